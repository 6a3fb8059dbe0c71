"""What lost workers leave behind is recovered: tasks, names, timers, children and messages."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import saros
from saros_redis.options import parse
from saros_redis.store import RedisStore
from saros_testing import eventually, lua_app


def squares(n: int) -> int:
    return sum(i * i for i in range(1, n + 1))


KILL = """
from saros_redis.leases.leases import Leases
from saros_redis.leases.reclaim import Reclaim
from saros_redis.server.partitions import Partitions

def die():
    os.kill(os.getpid(), signal.SIGKILL)

run, give, add = Partitions.run, Reclaim._reclaim, Leases.add
reclaiming, held, buffers = [0], [0], []

async def reclaim(self, partition):
    reclaiming[0] += 1
    buffers[:] = [self._prefetch.tasks, *self._prefetch.activities.values()]
    try:
        found = await give(self, partition)
    finally:
        reclaiming[0] -= 1
    if found and POINT == "it is handed on":
        die()
    return found

async def run_script(self, name, *args, **more):
    if name != "reclaim":
        return await run(self, name, *args, **more)
    if POINT == "the script is sent" and all(each.serving for each in buffers):
        die()
    reply = await run(self, name, *args, **more)
    if POINT == "the script has run" and any(reply[0][1:]):
        die()
    return reply

def count(self, *args):
    held[0] += 1
    if POINT == "the second is read" and reclaiming[0] and held[0] == 2:
        die()
    add(self, *args)

async def commit(self, *args):
    die()

Partitions.run, Reclaim._reclaim, Leases.add = run_script, reclaim, count
if POINT == "the first is done":
    from saros_redis.store import RedisStore
    RedisStore.commit = commit
"""
POINTS = [
    "the script is sent",
    "the script has run",
    "the second is read",
    "it is handed on",
    "the first is done",
]


@pytest.mark.parametrize("point", POINTS)
def test_s15_a_worker_is_killed_while_it_takes_over(
    server: Any, worker: Callable[..., Any], client: Any, abandoned: Any, check_histories: Any, point: str
) -> None:
    """At each point of the reclaim loop; the next process takes over from both."""
    url = server.url(lease="500ms", attempts=5)

    async def main() -> None:
        async with client(url) as app:
            orders = [await app.start("app:mixed", n, id=f"m{n}") for n in range(8)]
            await abandoned(url)
            victim = worker(url, FIRST=f"POINT = {point!r}\n{KILL}")
            assert await asyncio.to_thread(victim.process.wait, 60) == -signal.SIGKILL
            worker(url)
            assert [await each.result(60) for each in orders] == [n * n + squares(3) + 13 for n in range(8)]
            await check_histories(app, [each.id for each in orders])

    asyncio.run(main())


def test_names_of_a_dead_node_are_free_after_its_lease(server: Any, tmp_path: Path) -> None:
    """Names end with the lease of the node, like everything else that a dead worker holds."""

    async def main() -> None:
        url = server.url(lease="500ms")
        alive, dead = RedisStore(parse(url)), RedisStore(parse(url))
        for store in (alive, dead):
            await store.open()
        await dead.join_node("@dead")
        assert await dead.register("till", "@dead|1")
        assert not await alive.register("till", "@alive|1")
        await asyncio.sleep(1.2)  # it is refreshed
        assert await alive.lookup("till") == "@dead|1"
        names: Any = dead._names
        names._refreshing.cancel()
        await asyncio.sleep(1.2)  # code blocks the event loop, and a thread keeps the node
        assert await alive.lookup("till") == "@dead|1"
        pulse = dead._nodes._joined.pop("@dead")
        await pulse.stop()

        async def free() -> bool:
            return await alive.lookup("till") is None

        await eventually(free, "the name is free", 5.0)
        assert await alive.register("till", "@alive|1")
        await alive.close()
        await dead.close()

    asyncio.run(main())


FAMILY = {
    # a child that outlives it, under an id of its own
    "parent": """
        local options = {["workflow.id"] = "kid", ["workflow.parent_close_policy"] = "abandon"}
        for name, value in pairs(input or {}) do options[name] = value end
        local value, err = require("process").with_options(options):exec("app:child", "app:worker")
        return value or {failed = err:kind()}
    """,
    "child": 'return require("process").listen("word"):receive()',
}


def test_s12_a_parent_that_ends_before_its_child_and_runs_again(server: Any, tmp_path: Path) -> None:
    """A new run of the parent that names the same child joins it while it runs, and gets its result. Once the child
    has ended, the id's reuse policy decides: it runs again, or the parent is told that it has run."""
    path = lua_app(tmp_path / "app", workflows=FAMILY)
    again = {"workflow.id_reuse_policy": "reject_duplicate"}

    async def main() -> None:
        async with saros.open(path, backend=server.url()) as app:

            async def children() -> int:
                return len([each async for each in app.list("type = 'app:child'")])

            async def runs() -> bool:
                return await children() == 1

            first = await app.start("app:parent", id="x")
            await eventually(runs, "the child runs")
            await first.terminate("closed too early")
            second = await app.start("app:parent", id="x")
            assert second.run_id != first.run_id

            async def joined() -> bool:
                records = (await app.backend.history("x")).records
                return any(record.op in ("call", "spawn") for record in records)

            await eventually(joined, "the new run asks for the child")
            with server.client() as redis:
                prefix = app.backend.store.options.prefix
                await eventually(
                    lambda: not redis.xlen(f"{{{prefix}:0}}:out"), "the child has been asked for"
                )
            await app.get("kid").signal("word", "hello")
            assert await second.result(90) == "hello"
            assert await children() == 1  # it was not started again
            ended = await app.backend.history("x", first.run_id)
            assert [record.op for record in ended.records][-1] == "terminate"  # and no result after that

            third = await app.start("app:parent", again, id="x")
            assert await third.result(90) == {"failed": "AlreadyExists"}
            assert await children() == 1
            fourth = await app.start("app:parent", id="x")

            async def runs_again() -> bool:
                return await children() == 2

            await eventually(runs_again, "a new child runs")
            await app.get("kid").signal("word", "again")
            assert await fourth.result(90) == "again"

    asyncio.run(main())


def test_s13_messages_at_a_high_rate_while_it_starts_over(
    server: Any, app_path: Path, worker: Callable[..., Any], client: Any
) -> None:
    """Every acknowledged message is received, across a hundred runs by continue-as-new and two workers."""
    url = server.url()
    count = 600

    async def main() -> None:
        for each in (worker(url), worker(url)):
            await asyncio.to_thread(each.ready)
        async with client(url) as one, client(url) as other:
            order = await one.start("app:counts", {"total": 0}, id="x")
            begun = asyncio.get_running_loop().time()
            for first in range(0, count, 20):
                apps = [one, other] * 10
                sends = [app.get("x").signal("add", 1) for app in apps]
                await asyncio.gather(*sends)
                assert first < count
            rate = count / (asyncio.get_running_loop().time() - begun)
            await order.signal("add", "end")
            assert await one.get("x").result(90) == count
            over = [each async for each in one.list("status = 'continued_as_new'")]
            assert len(over) >= 100
            print(f"messages per second to one execution: {rate:.0f}")

    asyncio.run(main())


def test_s23_timers_that_became_due_while_nobody_worked(server: Any, tmp_path: Path) -> None:
    """Ten thousand, after an hour: each fires once, and no script holds the server for long."""
    main_text = """
        local done = require("channel").new(input)
        for i = 1, input do coroutine.spawn(function() time.sleep("1h") done:send(i) end) end
        local sum = 0
        for _ = 1, input do sum = sum + done:receive() end
        return sum
    """
    path = lua_app(tmp_path / "app", workflows={"main": main_text})
    tag = "{downtime:0}"

    async def main() -> None:
        with server.client() as redis:
            async with saros.open(path, backend=server.url(prefix="downtime")) as app:
                orders = [await app.start("app:main", 1000) for _ in range(10)]
                await eventually(lambda: redis.zcard(f"{tag}:tm") == 10_000, "all timers are set")
                await app.stop_workers()
                timers = redis.zrange(f"{tag}:tm", 0, -1, withscores=True)
                redis.zadd(f"{tag}:tm", {member: due - 3.6e9 for member, due in timers})  # the hour is over
                redis.slowlog_reset()
                app.start_workers()
                assert [await order.result(90) for order in orders] == [500_500] * 10
                assert not redis.zcard(f"{tag}:tm")
                # Fired in parts: 10 ms each on an idle machine. One script for all would take longer.
                assert [each for each in redis.slowlog_get(128) if each["duration"] > 1_000_000] == []
                for order in orders:
                    records = (await app.backend.history(order.id)).records
                    assert len([each for each in records if each.op == "done"]) == 1000

    asyncio.run(main())
