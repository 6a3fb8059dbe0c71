"""Random families: parents that end while their children start, ids that are used again, cancels of delayed starts
and retries, and updates that arrive while a run ends.

``MODEL_PROGRAMS=1000 pytest tests/model`` tries more of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

import saros
from saros.model.execution import RUNNING
from saros_testing import eventually

from .laws import check_histories
from .test_random_programs import NUMBERS, sizes

APP = Path(__file__).parent / "families"
LIMIT_S = 40
HOUR = 3_600_000
BACKOFF = {"retry_policy": {"initial_interval": HOUR, "maximum_interval": HOUR, "maximum_attempts": 2}}
POLICIES = ("terminate", "request_cancel", "abandon")
ENDS = ("complete", "fail", "retry", "continue", "terminate")


class Family(NamedTuple):
    """A parent and its children.

    :param waits: the parent ends when it is told to; otherwise it ends in its first workflow task.
    """

    policies: list[str]
    ends: str
    waits: bool
    delayed: bool


class Step(NamedTuple):
    what: str
    who: int
    how: int


STEPS = ("go", "update", "update", "end child", "again", "stop", "start", "join", "leave", "pause")
FAMILIES = st.lists(
    st.builds(
        Family,
        st.lists(st.sampled_from(POLICIES), max_size=4),
        st.sampled_from(ENDS),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
)
HAPPENINGS = st.lists(
    st.builds(Step, st.sampled_from(STEPS), st.integers(0, 2), st.integers(0, 3)), min_size=5, max_size=25
)


class Life:
    def __init__(self, first: saros.App, second: saros.App, families: list[Family]) -> None:
        self.first, self.second = first, second
        self.families = families
        self.strangers: set[str] = set()
        self.applied = [0 for _ in families]
        self.asking: list[list[asyncio.Task[None]]] = [[] for _ in families]

    def child(self, family: int, number: int) -> str:
        return f"f{family}-{number}"

    async def begin(self) -> None:
        for number, family in enumerate(self.families):
            children = [[self.child(number, n), policy] for n, policy in enumerate(family.policies)]
            state = {
                "children": children,
                "waits": family.waits or family.ends == "terminate",
                "ends": family.ends,
            }
            options: dict[str, Any] = dict(BACKOFF) if family.ends == "retry" else {}
            if family.delayed:
                options["start_delay"] = HOUR
            await self.first.start("app:parent", state, id=f"f{number}", options=options)

    async def step(self, step: Step) -> None:
        number = step.who % len(self.families)
        parent, policies = self.first.get(f"f{number}"), self.families[number].policies
        child = self.child(number, step.how % len(policies)) if policies else ""
        match step.what:
            case "go":
                await ignored(parent.signal("go"))
            case "update":
                self.asking[number].append(asyncio.create_task(self.update(number)))
            case "end child" if child:
                await ignored(self.first.get(child).signal("end"))
            case "again" if child and await self.status(child) not in ("", RUNNING):
                await self.first.start("app:child", id=child)
                self.strangers.add(child)
            case "stop":
                await self.first.stop_workers()
            case "start":
                self.first.start_workers()
            case "join":
                self.second.start_workers()
            case "leave":
                await self.second.stop_workers()
            case "pause":
                await asyncio.sleep(step.how / 1000)
        await asyncio.sleep(0)

    async def update(self, number: int) -> None:
        """Count an update if it succeeds; one that fails must not have been applied."""
        try:
            await self.first.get(f"f{number}").update("add", 1)
        except saros.Error as error:
            if error.kind not in ("Unavailable", "NotFound"):
                raise
            return
        self.applied[number] += 1

    async def status(self, id: str) -> str:
        try:
            return (await self.second.get(id).describe()).status
        except saros.Error as error:
            if error.kind != "NotFound":
                raise
            return ""

    async def end(self) -> None:
        """End every parent, then check that only the children remain that may outlive it."""
        self.second.start_workers()
        for number, family in enumerate(self.families):
            await self.end_parent(number, family)
        await asyncio.gather(*(task for tasks in self.asking for task in tasks))
        for number, family in enumerate(self.families):
            for n, policy in enumerate(family.policies):
                child = self.child(number, n)
                if child in self.strangers or policy == "abandon":
                    await self.outlived(child, policy)
                else:
                    await eventually(self.ended(child), f"{child} has ended with its parent")

    async def end_parent(self, number: int, family: Family) -> None:
        id, waits = f"f{number}", family.delayed
        if family.ends == "terminate":
            await ignored(self.first.get(id).terminate("as told"))
        elif waits:
            await ignored(self.first.get(id).cancel("do not wait"))
        if family.ends == "retry":
            await ignored(self.first.get(id).signal("go"))
            await eventually(self.follows(id), f"{id} has ended, or its next attempt is delayed")
            await ignored(self.first.get(id).cancel("do not wait"))
        while await self.status(id) == RUNNING:
            await ignored(self.first.get(id).signal("go"))
            await asyncio.sleep(0.01)
        with contextlib.suppress(saros.Error):
            total = await self.second.get(id).result(LIMIT_S)
            await asyncio.gather(*self.asking[number])
            assert total == self.applied[number], (
                f"{id} applied {total} updates; confirmed by parent: {self.applied}"
            )

    def follows(self, id: str) -> Any:
        async def found() -> bool:
            described = await self.second.get(id).describe()
            return described.status != RUNNING or described.attempt == 2

        return found

    def ended(self, id: str) -> Any:
        async def found() -> bool:
            return await self.status(id) != RUNNING

        return found

    async def outlived(self, child: str, policy: str) -> None:
        """A stranger runs until it is told to end; so does an abandoned child, if it was started."""
        status = await self.status(child)
        if child not in self.strangers:
            assert status in ("", RUNNING, "completed"), f"{child}, to be abandoned, is {status}"
        else:
            assert status in (RUNNING, "completed"), f"{child}, a stranger, is {status}"
        if status == RUNNING:
            await self.second.get(child).signal("end")
            assert await self.second.get(child).result(LIMIT_S) == "ended"


async def ignored(request: Awaitable[object]) -> None:
    """Send a request to an execution that may have ended."""
    try:
        await request
    except saros.Error as error:
        if error.kind != "NotFound":
            raise


async def live(families: list[Family], steps: list[Step], url: str) -> None:
    async with (
        asyncio.timeout(LIMIT_S + 10),
        saros.open(APP, url) as first,
        saros.open(APP, url, workers=False) as second,
    ):
        life = Life(first, second, families)
        await life.begin()
        for step in steps:
            await life.step(step)
        await life.end()
        await check_histories(second)


def check(url: str, number: int) -> None:
    @sizes(number)
    @given(families=FAMILIES, steps=HAPPENINGS)
    def lives(families: list[Family], steps: list[Step]) -> None:
        asyncio.run(live(families, steps, url.format(next(NUMBERS))))

    lives()


def test_in_memory() -> None:
    check("memory://families-{}", 150)


def test_on_redis(redis_port: int) -> None:
    check(f"redis://localhost:{redis_port}/0?lease=60s&prefix=families-{{}}", 25)


def test_on_redis_with_partitions(redis_port: int) -> None:
    check(f"redis://localhost:{redis_port}/0?lease=60s&partitions=3&prefix=parted-families-{{}}", 15)
