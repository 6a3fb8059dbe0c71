"""Two workers or two clients race on one execution: one of them wins, and all see the same outcome."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.interfaces.activities import ActivityLease, Settled
from saros.interfaces.store import FENCED, Commit
from saros.model.errors import ALREADY_EXISTS
from saros.model.execution import Record
from saros.model.records import START
from saros_testing import eventually, lua_app

WORKFLOWS = {
    # what came first: a message, or the end of its patience
    "receives": """
        local workflow = require("workflow")
        local inbox, late = require("process").listen("word"), time.after(input)
        local seen = "nothing"
        workflow.on_query("seen", function() return seen end)
        local ready = require("channel").select({ inbox:case_receive(), late:case_receive() })
        seen = ready.channel == late and "nobody" or ready.value
        funcs.call("app:traced", 1)
        return seen
    """,
    # one step after the other
    "steps": """
        for i = 1, input do
          local _, err = funcs.call("app:traced", i)
          if err then return nil, err end
        end
        return input
    """,
    "parent": """
        local workflow = require("workflow")
        return workflow.call("app:child", input)
    """,
    "slow": 'return funcs.call("app:traced", input.n, input.seconds)',
    "child": 'return funcs.call("app:traced", input)',
}
STEPS = """
import asyncio, os, pathlib

async def traced(n, seconds=0.0):
    with pathlib.Path(__file__).with_name("trace").open("a") as file:
        file.write(f"{os.getpid()} {n}\\n")
    await asyncio.sleep(seconds)
    return n
"""


@pytest.fixture
def app_path(tmp_path: Path) -> Path:
    python = {"traced": "steps_of_races:traced"}
    return lua_app(tmp_path / "app", workflows=WORKFLOWS, python=python, files={"steps_of_races.py": STEPS})


class Stalled:
    """Holds a worker's commits of one execution back while its leases expire, as if its machine had paused."""

    def __init__(self, app: saros.App, id: str, after: int) -> None:
        backend: Any = app.backend
        self._store = backend.store
        self._commit = self._store.commit
        self._id, self._after = id, after
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self.verdicts: list[str] = []
        self._store.commit = self.commit

    async def commit(self, commits: Any) -> list[str]:
        mine = [each for each in commits if each.run.id == self._id and each.expected >= self._after]
        if not mine or self.verdicts:
            found: list[str] = await self._commit(commits)
            return found
        for each in mine:
            self._store._leases.drop(each.fence)  # the lease is no longer renewed
        self._store._prefetch.tasks.stop()
        self.reached.set()
        with contextlib.suppress(TimeoutError):  # of a test that failed
            async with asyncio.timeout(100):
                await self.go_on.wait()
        self.verdicts = await self._commit(commits)
        return self.verdicts


async def settled_once(app: saros.App, id: str) -> list[Any]:
    page = await app.backend.history(id)
    settled = Counter(record.ref for record in page.records if record.op == "done")
    assert all(count == 1 for count in settled.values()), settled
    assert [record.op for record in page.records].count("complete") == 1
    return page.records


@pytest.mark.parametrize("first", ["message", "timeout"])
def test_s8_a_message_and_a_timeout_race_while_two_workers_replay(
    server: Any, app_path: Path, trace: Callable[[], Any], first: str
) -> None:
    """Each worker decides by the events that it has read; the accepted commit decides for everyone."""
    prefix = f"s8-{first}"
    url = server.url(prefix=prefix, lease="500ms")
    patience = "1s" if first == "message" else "50ms"

    def fired() -> bool:
        with server.client() as redis:
            return not redis.zcard(f"{{{prefix}:0}}:tm")

    async def main() -> None:
        async with (
            saros.open(app_path, backend=url) as one,
            saros.open(app_path, backend=url, workers=False) as other,
        ):
            slow = Stalled(one, "x", 1)
            order = await other.start("app:receives", patience, id="x")
            if first == "message":
                await eventually(lambda: recorded(other, "x"), "it waits")
                await order.signal("word", "hello")
            await slow.reached.wait()  # it has decided, but its decision is not stored yet
            await eventually(fired, "the timer fires as well")
            await order.signal("word", "late")
            other.start_workers()
            result = await order.result(90)
            slow.go_on.set()
            await eventually(lambda: bool(slow.verdicts), "the slow worker's commit is answered")
            assert slow.verdicts == [FENCED]
            assert result in ("hello", "late", "nobody")
            assert result == ("hello" if first == "message" else "nobody")  # mail counts in the order it came
            for app in (one, other):
                assert await app.get("x").result(5) == result
                assert await app.get("x").query("seen") == result
            records = await settled_once(other, "x")
            assert len([each for each in records if each.op == "call"]) == 1
            assert len(trace()) == 1

    asyncio.run(main())


async def recorded(app: saros.App, id: str) -> bool:
    return bool((await app.backend.history(id)).records)


def test_s9_a_refused_commit_stops_its_worker_at_once(
    server: Any, app_path: Path, trace: Callable[[], Any]
) -> None:
    url = server.url(lease="500ms")

    async def main() -> None:
        async with (
            saros.open(app_path, backend=url) as one,
            saros.open(app_path, backend=url, workers=False) as other,
        ):
            slow = Stalled(one, "x", 5)
            order = await other.start("app:steps", 8, id="x")
            await slow.reached.wait()
            other.start_workers()
            assert await order.result(90) == 8
            slow.go_on.set()
            await eventually(lambda: bool(slow.verdicts), "the slow worker's commit is answered")
            assert slow.verdicts == [FENCED]
            backend: Any = one.backend
            assert not backend.workflow_worker._cache
            await settled_once(other, "x")
            assert [n for _, n in trace()] == list(range(1, 9))  # each body once, also after the refusal

    asyncio.run(main())


def test_s10_a_child_that_completed_before_its_parent_was_lost_runs_once(
    server: Any, app_path: Path, trace: Callable[[], Any]
) -> None:
    url = server.url(lease="500ms")

    async def main() -> None:
        async with (
            saros.open(app_path, backend=url) as one,
            saros.open(app_path, backend=url, workers=False) as other,
        ):
            lost = Stalled(one, "x", 2)  # the commit that records the end of the child
            order = await other.start("app:parent", 7, id="x")
            await lost.reached.wait()
            children = [each async for each in other.list() if each.parent]
            assert [each.status for each in children] == ["completed"]
            other.start_workers()
            assert await order.result(90) == 7
            lost.go_on.set()
            await settled_once(other, "x")
            assert len([each async for each in other.list() if each.parent]) == 1
            assert len(trace()) == 1

    asyncio.run(main())


def test_s7_one_execution_of_an_id(
    server: Any,
    app_path: Path,
    worker: Callable[..., Any],
    client: Callable[[str], Any],
    trace: Callable[[], Any],
) -> None:
    """Starting the same id again gives the same handle or a clear error; the execution survives its worker."""
    url = server.url(lease="500ms")

    async def main() -> None:
        async with client(url) as app, client(url) as another:
            starts = [each.start("app:steps", 30, id="x") for each in (app, another) for _ in range(25)]
            orders = await asyncio.gather(*starts)
            assert len({each.run_id for each in orders}) == 1
            first = worker(url).ready()
            assert (await app.start("app:steps", 99, id="x")).run_id == orders[0].run_id
            assert (await app.start("app:parent", 1, id="x")).run_id == orders[0].run_id
            with pytest.raises(saros.Error) as refused:
                await app.start("app:parent", 1, id="x", options={"id_conflict_policy": "fail"})
            assert refused.value.kind == ALREADY_EXISTS
            await eventually(lambda: len(trace()) > 3, "it runs")
            first.end(signal.SIGKILL)
            worker(url)
            assert await orders[0].result(90) == 30
            await settled_once(app, "x")
            found = [each async for each in app.list()]
            assert [each.type for each in found] == ["app:steps"]
            assert {n for _, n in trace()} == set(range(1, 31))

    asyncio.run(main())


def test_s2_of_two_that_recover_the_same_task_one_counts(server: Any, app_path: Path, abandoned: Any) -> None:
    """Both recover it at the same moment; then both are lost, and their later commits are refused."""
    url = server.url(lease="500ms")

    async def main() -> None:
        opened = [saros.open(app_path, backend=url, workers=False) for _ in range(3)]
        async with opened[0] as app, opened[1] as one, opened[2] as other:
            for n in range(10):
                await app.start("app:steps", 1, id=f"s{n}")
            await abandoned(url)
            stores: list[Any] = [each.backend.store for each in (one, other)]
            for each in stores:
                await each._housekeeping._deadlines._fire()  # whoever takes over knows the server's clock
            takes = [asyncio.create_task(each.take(["main"], 64)) for each in stores]
            found: list[Any] = []
            while len(found) < 10:
                await asyncio.gather(*(each._housekeeping._reclaim._reclaim(0) for each in stores))
                found += [task for each in stores for task in each._prefetch.tasks._items]
                for each in stores:
                    each._prefetch.tasks.clear()
                for take in takes:
                    if take.done():
                        found += take.result()
                takes = [each for each in takes if not each.done()]
                await asyncio.sleep(0.02)
            assert sorted(task.run.id for task in found) == [f"s{n}" for n in range(10)]
            for take in takes:
                take.cancel()
            await asyncio.gather(*takes, return_exceptions=True)
            for each in stores:
                each._leases.clear()  # now both are lost, too
            app.start_workers()
            assert [await app.get(f"s{n}").result(90) for n in range(10)] == [1] * 10
            for task in found:
                late = Commit(
                    task.run, task.fence, task.length, len(task.mails), [Record(START, 0, b"{}", 1)]
                )
                assert await stores[0].commit([late]) == [FENCED]
                await settled_once(app, task.run.id)

    asyncio.run(main())


@pytest.mark.parametrize("when", ["while the retry runs", "after the retry"])
def test_a_result_that_comes_after_its_retry_is_dropped(
    server: Any, client: Callable[[str], Any], workflows_only: Any, when: str
) -> None:
    """The worker of the first attempt was considered lost, and comes back with a result."""
    url = server.url(lease="500ms")

    async def take(app: saros.App) -> ActivityLease:
        backend: Any = app.backend
        async with asyncio.timeout(10):
            (lease,) = await backend.store.take_activities(["main"], 1)
        assert isinstance(lease, ActivityLease)
        return lease

    async def main() -> None:
        async with client(url) as app, client(url) as one, client(url) as other, workflows_only(url):
            order = await app.start("app:child", 0, id="x")
            stores: list[Any] = [each.backend.store for each in (one, other)]
            first = await take(one)
            stores[0]._leases.clear()
            keeping = asyncio.create_task(stores[1].run())
            second = await take(other)
            assert (first.task.attempt, second.task.attempt) == (1, 2)
            if when == "while the retry runs":
                await stores[0].settle([Settled(first, b'{"ok":"first"}')])
                await stores[1].settle([Settled(second, b'{"ok":"second"}')])
            else:
                await stores[1].settle([Settled(second, b'{"ok":"second"}')])
                await stores[0].settle([Settled(first, b'{"ok":"first"}')])
            assert await order.result(90) == "second"
            await settled_once(app, "x")
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(main())


def test_s11_a_process_does_not_recover_what_it_runs_itself(
    server: Any, app_path: Path, trace: Callable[[], Any]
) -> None:
    """The activity runs for many lease periods while other workers look for lost tasks and one of them restarts."""
    url = server.url(lease="500ms")

    async def main() -> None:
        async with saros.open(app_path, backend=url) as app, saros.open(app_path, backend=url) as other:
            order = await app.start("app:slow", {"n": 1, "seconds": 1.6})
            await eventually(lambda: len(trace()) == 1, "it runs")
            async with saros.open(app_path, backend=url):
                running = [each for each in (app, other) if activities_of(each)]
                assert len(running) == 1
                idle = other if running[0] is app else app
                await idle.stop_workers()
                idle.start_workers()
                assert await order.result(90) == 1
            assert len(trace()) == 1

    asyncio.run(main())


def activities_of(app: saros.App) -> int:
    """How many calls a process has leased."""
    backend: Any = app.backend
    return sum(":act:" in place.stream for place in backend.store._leases.snapshot().values())
