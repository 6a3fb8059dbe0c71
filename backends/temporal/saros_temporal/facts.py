"""What a program asks in the middle of a run, answered from the workflow's history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import workflow

from saros.attributes import check_search
from saros.errors import INVALID, Error
from saros.values import Json

if TYPE_CHECKING:
    from .environment import Environment


class WorkflowFacts:
    """See `saros.program.Facts`."""

    def __init__(self, env: Environment) -> None:
        self.name = ""
        self._env = env
        self._versions: dict[str, int] = {}
        self._reported = (0, 0)
        self._own = (0, 0)  # events and bytes since the server last told
        self._upserts = 0

    @property
    def replaying(self) -> bool:
        return workflow.unsafe.is_replaying()

    @replaying.setter
    def replaying(self, value: bool) -> None:
        raise AttributeError("whether a workflow replays is the SDK's to say")

    def count(self, body: Json) -> None:
        """Note an event or command: the server's numbers stand still until the next workflow task."""
        self._look()
        length, size = self._own
        self._own = length + 1, size + len(body) + 32

    def _look(self) -> None:
        info = workflow.info()
        reported = info.get_current_history_length(), info.get_current_history_size()
        if reported != self._reported:
            self._reported, self._own = reported, (0, 0)

    def history(self) -> tuple[int, int]:
        self._look()
        return self._reported[0] + self._own[0], self._reported[1] + self._own[1]

    def version_of(self, change_id: str, lowest: int, highest: int) -> tuple[int, bool]:
        """A change's version is the patch ``id#number``; no marker means the lowest.

        Markers below `lowest` are looked for as well, so that the program can refuse them by name.
        """
        known = self._versions.get(change_id)
        if known is None:
            known = lowest
            for number in range(highest, min(lowest, 1) - 1, -1):
                if workflow.patched(f"{change_id}#{number}"):
                    known = number
                    break
            self._versions[change_id] = known
        return known, False

    settles_side_effects = True  # the SDK has no marker that is read at once; a local activity's is as good

    def recorded(self, ref: int) -> Json | None:
        return None

    def log(self, level: str, message: str, fields: Json) -> None:
        if not self.replaying:
            self._env.deployment.log(level, message, fields, self.name)

    def heartbeat(self, details: Json) -> None:
        raise Error("a workflow has no heartbeat; only activities do", INVALID, retryable=False)

    def is_canceled(self) -> bool:
        return False

    def refuse_attributes(self, search: Json) -> str | None:
        """What the server would take decides only once: a refusal is a patch marker, which a replay finds."""
        why = check_search(search)
        if why is not None:
            return why
        self._upserts += 1
        marker = f"saros.refused#{self._upserts}"
        if self.replaying:
            return self._env.search.refusal(search) or _REFUSED if workflow.patched(marker) else None
        why = self._env.search.refusal(search)
        if why is not None:
            workflow.patched(marker)
        return why


_REFUSED = "the server did not know these search attributes when the workflow asked for them"
