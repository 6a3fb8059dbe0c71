"""The store itself: races, repetitions, lists, retention."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

import saros
from saros.engine import runs
from saros.interfaces.activities import ActivityTask, Settled
from saros.interfaces.history import Close, WorkflowTask
from saros.interfaces.signals import Mail, Outgoing, lane_of
from saros.interfaces.store import CONFLICT, FENCED, OK, Commit
from saros.model.errors import ALREADY_EXISTS, CANCELED, INVALID
from saros.model.execution import CONTINUED, RUNNING, Record, Run, StartRequest, Watcher, new_id
from saros.model.records import CANCEL, COMPLETE, EXIT, START, Call, StartOptions
from saros_redis.options import parse
from saros_redis.store import RedisStore
from saros_testing import lua_app, refused


@asynccontextmanager
async def opened(url: str, *, working: bool = True) -> AsyncIterator[RedisStore]:
    store = RedisStore(parse(url))
    await store.open()
    keeping = asyncio.create_task(store.run() if working else asyncio.sleep(0))
    try:
        yield store
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await store.close()


def request(id: str, **more: Any) -> StartRequest:
    return StartRequest(id, "app:main", "main", "w", "q", request_id=more.pop("request_id", new_id()), **more)


async def start(store: RedisStore, wanted: StartRequest) -> Any:
    return await store.start(runs.first(wanted, store.clock.now()), wanted)


async def take(store: RedisStore) -> WorkflowTask:
    async with asyncio.timeout(10):
        (task,) = await store.take(("q",), 1)
    return task


def commit(task: WorkflowTask, **more: Any) -> Commit:
    record = Record(START, 0, b"{}", task.now)
    return Commit(task.run, task.fence, task.length, len(task.mails), [record], **more)


def test_a_late_commit_is_refused(url: str) -> None:
    async def main() -> None:
        short = url + "&lease=500ms"
        async with opened(short, working=False) as late, opened(short) as other:
            await start(late, request("x"))
            first = await take(late)
            late._leases.clear()  # as if its process stood still
            second = await take(other)
            assert second.run == first.run
            assert second.fence != first.fence
            assert await late.commit([commit(first)]) == [FENCED]
            assert await other.commit([commit(second, close=Close("completed", b'{"ok":1}'))]) == [OK]
            assert await late.commit([commit(first)]) == [FENCED]
            page = await other.history("x")
            assert page is not None
            assert (page.status, len(page.records)) == ("completed", 1)

    asyncio.run(main())


def test_a_repeated_commit_counts_once(url: str) -> None:
    async def main() -> None:
        async with opened(url) as store:
            await start(store, request("x"))
            task = await take(store)
            assert await store.commit([commit(task)]) == [OK]
            assert await store.commit([commit(task)]) == [OK]
            page = await store.history("x")
            assert page is not None
            assert len(page.records) == 1

    asyncio.run(main())


def test_a_commit_on_another_history_is_computed_again(url: str) -> None:
    async def main() -> None:
        async with opened(url) as store:
            await start(store, request("x"))
            task = await take(store)
            wrong = commit(task)
            wrong.expected = 7
            assert await store.commit([wrong]) == [CONFLICT]
            again = await take(store)
            assert again.mails == task.mails
            assert await store.commit([commit(again)]) == [OK]

    asyncio.run(main())


def test_a_result_counts_once(url: str) -> None:
    async def main() -> None:
        async with opened(url) as store:
            await start(store, request("x"))
            task = await take(store)
            call = ActivityTask("x", task.run.run_id, 1, "q", "w|x", "main", Call("app:f"))
            assert await store.commit([commit(task, activities=[call])]) == [OK]
            (lease,) = await store.take_activities(("q",), 1)
            await store.settle([Settled(lease, b'{"ok":1}')])
            await store.settle([Settled(lease, b'{"ok":2}')])
            after = await take(store)
            assert [mail.body for mail in after.mails] == [b'{"ok":1}']

    asyncio.run(main())


def test_starts_at_once_give_one_execution(url: str) -> None:
    async def main() -> None:
        async with opened(url) as store:
            starts = await asyncio.gather(*(start(store, request("x")) for _ in range(50)))
            assert len({started.run_id for started in starts}) == 1
            assert sum(started.created for started in starts) == 1
            strict = request("x", options=StartOptions(id_conflict_policy="fail"))
            with pytest.raises(saros.Error) as refused:
                await start(store, strict)
            assert refused.value.kind == ALREADY_EXISTS
            assert refused.value.details["run_id"] == starts[0].run_id

    asyncio.run(main())


def test_a_repeated_start_is_the_same_start(url: str) -> None:
    async def main() -> None:
        async with opened(url) as store:
            wanted = request("x", request_id="r1", options=StartOptions(id_reuse_policy="reject_duplicate"))
            first = await start(store, wanted)
            assert await start(store, wanted) == first
            task = await take(store)
            await store.commit([commit(task, close=Close("completed", b'{"ok":1}'))])
            assert (await start(store, wanted)).run_id == first.run_id
            with pytest.raises(saros.Error):
                await start(store, request("x", options=wanted.options))
            again = request("x", options=StartOptions(id_reuse_policy="allow_duplicate_failed_only"))
            with pytest.raises(saros.Error):
                await start(store, again)
            assert (await start(store, request("x"))).run_id != first.run_id

    asyncio.run(main())


def test_mail_with_a_key_comes_once(url: str) -> None:
    async def main() -> None:
        async with opened(url) as store:
            await start(store, request("x"))
            for _ in range(3):
                assert await store.post("x", Mail("message", 0, b'{"topic":"t"}', key="k1"))
            assert len((await take(store)).mails) == 2
            assert not await store.post("y", Mail("message", 0, b"{}"))

    asyncio.run(main())


def test_watchers_hear_of_the_end_once(url: str) -> None:
    async def main() -> None:
        async with opened(url) as store:
            await start(store, request("x"))
            assert await store.watch("x", Watcher("w|a"))
            assert await store.watch("x", Watcher("w|a"))
            assert await store.watch("x", Watcher("w|b", "run", 3))
            assert await store.watch("x", Watcher("w|c"))
            await store.unwatch("x", "w|c")
            assert await store.terminate("x", b'{"err":{"message":"enough"}}')
            assert not await store.terminate("x", b"{}")
            entries = await store.outbox(10)
            told = sorted((entry.to.pid, entry.to.ref) for entry in entries if entry.to)
            assert told == [("w|a", 0), ("w|b", 3)]
            for entry in entries:
                await store.delivered(entry, None)

    asyncio.run(main())


def test_a_lane_is_delivered_in_order(url: str) -> None:
    """One entry at a time, across runs; the news of an end comes last."""

    def out(run: Run, number: int, to: str) -> Outgoing:
        lane = lane_of("x", to) if to else ""
        return Outgoing("x", run.run_id, str(run.pid), 0, "send", b"{}", f"{run.run_id}:{number}", lane=lane)

    async def main() -> None:
        async with opened(url) as store:
            await start(store, request("x"))
            assert await store.watch("x", Watcher("@n|p"))
            task = await take(store)
            following = runs.first(request("x"), store.clock.now())
            sent = [
                out(task.run, 1, "@n|p"),
                out(task.run, 2, "@n|p"),
                out(task.run, 3, "@n|q"),
                out(task.run, 4, ""),
            ]
            assert await store.commit(
                [commit(task, outbox=sent, close=Close(CONTINUED, b"{}", following))]
            ) == [OK]
            task = await take(store)
            assert await store.commit([commit(task, outbox=[out(task.run, 5, "@n|p")])]) == [OK]
            assert await store.terminate("x", b'{"err":{"message":"enough"}}')

            first: list[Outgoing] = []
            while len(first) < 3:
                first += await store.outbox(10)
            assert [entry.key for entry in first] == [sent[0].key, sent[2].key, sent[3].key]
            heard = [first[0]]
            await store.delivered(first[0], None)
            await store.delivered(first[0], None)  # said again
            for _ in range(3):
                (entry,) = await store.outbox(10)
                heard.append(entry)
                await store.delivered(entry, None)
            assert [entry.key for entry in heard[:3]] == [sent[0].key, sent[1].key, f"{task.run.run_id}:5"]
            assert heard[3].op == EXIT
            assert heard[3].to == Watcher("@n|p")

    asyncio.run(main())


def test_values_that_are_too_large(url: str) -> None:
    async def main() -> None:
        async with opened(url + "&payload=10000") as store:
            wanted = request("x", args=msgspec.Raw(b'["' + b"x" * 10_001 + b'"]'))
            with pytest.raises(saros.Error) as refused:
                await start(store, wanted)
            assert refused.value.kind == INVALID
            assert "the limit is 10,000" in refused.value.message
            await start(store, request("x"))
            task = await take(store)
            large = commit(task)
            large.records = [Record(COMPLETE, 0, b'"' + b"x" * 10_001 + b'"', task.now)]
            assert await store.commit([large]) == [FENCED]
            described = await store.describe("x")
            assert described is not None
            assert "its complete has 10,003 bytes" in (described.problem or "")

    asyncio.run(main())


def test_closed_runs_are_forgotten_after_their_time(server: Any) -> None:
    url = server.url(retention="500ms", prefix="forgets")

    async def main() -> None:
        async with opened(url) as store:
            search = msgspec.Raw(b'{"customer":"c-1"}')
            for n in range(3):
                options = StartOptions(search_attributes=search)
                await start(store, request(f"x{n}", options=options))
                await store.commit([commit(await take(store), close=Close("completed", b'{"ok":1}'))])
            await start(store, request("open"))
            deadline = time.monotonic() + 10
            while await store.describe("x0") is not None:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            assert [each.id async for each in store.executions()] == ["open"]
            with server.client() as redis:
                keys = [key.decode() for key in redis.scan_iter("{forgets:0}:*")]
            kinds = {key.split(":")[2] for key in keys}
            assert kinds <= {"m", "e", "i", "x", "ready", "act", "out", "queues"}, keys
            assert sum(key.split(":")[2] in "mehicd" for key in keys) == 3

    asyncio.run(main())


def test_lists_in_pages(server: Any) -> None:
    url = server.url(partitions=2)

    async def main() -> None:
        async with opened(url) as store:
            for n in range(250):
                text = b'{"customer":"c-%d","total":%d}' % (n % 5, n)
                await start(
                    store, request(f"x{n}", options=StartOptions(search_attributes=msgspec.Raw(text)))
                )
            everything = [each.id async for each in store.executions()]
            assert everything == [f"x{n}" for n in reversed(range(250))]
            some = [each.id async for each in store.executions("customer = 'c-3' and total >= 200")]
            assert some == [f"x{n}" for n in reversed(range(200, 250)) if n % 5 == 3]
            assert [each.id async for each in store.executions("status = 'completed'")] == []

    asyncio.run(main())


def test_messages_while_it_starts_over(server: Any, tmp_path: Path) -> None:
    main = """
        local inbox, total = process.listen("add"), input.total
        for _ = 1, 3 do
          local value = inbox:receive()
          if value == "end" then return total end
          total = total + value
        end
        return require("workflow").continue_as_new({total = total})
    """
    path = lua_app(tmp_path, workflows={"main": main})

    async def run() -> None:
        async with saros.open(path, backend=server.url()) as app:
            order = await app.start("app:main", {"total": 0}, id="x")
            for n in range(100):
                await order.signal("add", n)
            await order.signal("add", "end")
            assert await app.get("x").result(90) == sum(range(100))
            assert len([each async for each in app.list("status = 'continued_as_new'")]) >= 33

    asyncio.run(run())


def test_a_workflow_that_kills_its_workers_is_set_aside(url: str) -> None:
    async def main() -> None:
        async with opened(url + "&lease=500ms&attempts=2") as store:
            await start(store, request("x"))
            for _ in range(2):
                await take(store)
                store._leases.clear()  # as if its process were gone
            deadline = time.monotonic() + 10
            while not (found := await store.describe("x")) or not found.problem:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            assert "2 workers in a row were lost" in found.problem
            assert await store.post("x", Mail("message", 0, b"{}"))
            assert await store.release("x")
            assert not await store.release("x")
            task = await take(store)
            assert len(task.mails) == 2
            assert await store.commit([commit(task)]) == [OK]
            after = await store.describe("x")
            assert after is not None
            assert after.problem is None

    asyncio.run(main())


def test_names_count_while_their_pids_live(url: str) -> None:
    async def main() -> None:
        async with opened(url + "&partitions=3") as store:
            await start(store, request("x", name="first"))
            await start(store, request("y"))
            assert await store.lookup("first") == "w|x"
            assert await store.register("second", "w|y")
            assert await store.register("second", "w|y")
            assert not await store.register("second", "w|x")
            assert await store.terminate("y", b'{"err":{"message":"enough"}}')
            assert await store.lookup("second") is None
            assert await store.register("second", "w|x")
            assert await store.unregister("second", "w|x")
            assert not await store.unregister("second")
            assert await store.register("third", "@node|p1")
            assert await store.lookup("third") == "@node|p1"
            assert not await store.register("third", "@other|p1")

    asyncio.run(main())


def test_names_of_the_dead_are_swept(server: Any) -> None:
    async def main() -> None:
        async with opened(server.url(prefix="swept")) as store:
            await start(store, request("x", name="mine"))
            await store.terminate("x", b'{"err":{"message":"enough"}}')
            await store._names.sweep()
            with server.client() as redis:
                assert redis.hgetall("{swept:0}:names") == {}

    asyncio.run(main())


@pytest.mark.parametrize("verb", ["cancel", "terminate"])
def test_a_start_that_was_withdrawn_is_not_carried_out(url: str, verb: str) -> None:
    async def main() -> None:
        async with opened(url) as store:
            if verb == "cancel":
                assert not await store.post("child", Mail(CANCEL, 0, b"{}", request="parent:1"))
            else:
                assert not await store.terminate("child", b"{}", request="parent:1")
            error = await refused(start(store, request("child", request_id="parent:1")))
            assert error.kind == CANCELED
            other = await start(store, request("child", request_id="parent:2"))
            assert not await store.terminate("child", b"{}", request="parent:1")
            assert not await store.terminate("child", b"{}", request="another:1")
            found = await store.describe("child")
            assert found is not None
            assert (found.run_id, found.status) == (other.run_id, RUNNING)
            assert await store.terminate("child", b"{}", request="parent:2")

    asyncio.run(main())
