"""The family of a run as a tree: its parents up to the first, and its children."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from saros.model.errors import NOT_FOUND, Error
from saros.model.execution import Description, Pid
from saros.model.presentation import Line, lines

if TYPE_CHECKING:
    from ..desk import Desk

DEEPEST: Final = 3
"""How many generations of children are looked up."""
MOST: Final = 40
"""How many children are looked up in all."""
READ: Final = 1_000
"""How many of the first events of a run are searched for children."""


class Member(NamedTuple):
    """An execution of the tree, at a depth from 0.

    :param found: None if it has not started yet or was deleted.
    """

    depth: int
    id: str
    type: str
    found: Description | None
    is_self: bool = False


def children_of(run_id: str, events: list[Line]) -> list[tuple[str, str]]:
    """Return ids and entries of the children that a run started."""
    found: dict[int, tuple[str, str]] = {}
    for line in events:
        body = line.body if isinstance(line.body, dict) else {}
        if line.record.op == "spawn":
            id = body.get("options", {}).get("id") or body.get("name") or f"{run_id}/{line.record.ref}"
            found[line.record.ref] = str(id), str(body.get("entry", ""))
        elif line.record.op == "done" and line.record.ref in found and isinstance(body.get("ok"), str):
            pid = Pid.parse(body["ok"])
            if pid is not None and pid.id:
                found[line.record.ref] = pid.id, found[line.record.ref][1]
    return list(found.values())


class Tree:
    """Looks up a family, within limits."""

    def __init__(self, console: Desk) -> None:
        self._backend = console.app.backend
        self._left = MOST
        self.cut = False  # there is more than the limits allow

    async def of(self, run: Description, events: list[Line]) -> list[Member]:
        """Return the family of a run, given its events; an empty list if it has neither parent nor child."""
        parents = await self._parents(run)
        depth = len(parents)
        children = await self._children(run.run_id, events, depth + 1, DEEPEST)
        if not parents and not children:
            return []
        itself = Member(depth, run.id, run.type, run, True)
        above = [Member(at, each.id, each.type, each) for at, each in enumerate(reversed(parents))]
        return [*above, itself, *children]

    async def _parents(self, run: Description) -> list[Description]:
        parents: list[Description] = []
        while run.parent and len(parents) < DEEPEST:
            pid = Pid.parse(run.parent)
            found = await self._describe(pid.id) if pid is not None and pid.is_workflow else None
            if found is None:
                break
            parents.append(found)
            run = found
        return parents

    async def _children(self, run_id: str, events: list[Line], depth: int, deeper: int) -> list[Member]:
        members: list[Member] = []
        for id, entry in children_of(run_id, events):
            if self._left <= 0:
                self.cut = True
                break
            self._left -= 1
            found = await self._describe(id)
            members.append(Member(depth, id, found.type if found else entry, found))
            if found is None or deeper <= 1:
                continue
            page = await self._backend.history(id, found.run_id, limit=READ)
            members += await self._children(found.run_id, lines(page.records), depth + 1, deeper - 1)
        return members

    async def _describe(self, id: str) -> Description | None:
        try:
            return await self._backend.describe(id)
        except Error as error:
            if error.kind != NOT_FOUND:
                raise
            return None
