"""One broken item harms no other: invalid ids, run data, activities and outbox entries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

import saros
from saros.engine import retry
from saros.engine import workflow_worker as worker
from saros.model.errors import INVALID
from saros_testing import eventually


def squares(n: int) -> int:
    return sum(i * i for i in range(1, n + 1))


@pytest.mark.parametrize("id", ["", "  ", "\t", "a|b", "a\nb"])
def test_s5_ids_that_are_none_are_refused(server: Any, client: Callable[[str], Any], id: str) -> None:
    async def main() -> None:
        async with client(server.url(prefix="bad-ids")) as app:
            with pytest.raises(saros.Error) as refused:
                await app.start("app:steps", 1, id=id)
            assert refused.value.kind == INVALID
            assert [each async for each in app.list()] == []

    asyncio.run(main())


BROKEN = {
    "an empty id": lambda facts: facts.replace(b'"id":"bad"', b'"id":""'),
    "a blank id": lambda facts: facts.replace(b'"id":"bad"', b'"id":"  "'),
    "no facts": lambda facts: b"",
    "garbage": lambda facts: b"\xff{",
}


@pytest.mark.parametrize("what", BROKEN)
def test_s5_a_broken_row_is_set_aside(
    server: Any, client: Callable[[str], Any], app_path: Any, what: str
) -> None:
    """A row that cannot be read is set aside; the other runs complete."""
    prefix = "broken-" + what.replace(" ", "-")
    url = server.url(prefix=prefix, lease="500ms", attempts=2)

    async def main() -> None:
        async with client(url) as app:
            bad = await app.start("app:steps", 3, id="bad")
            good = [await app.start("app:steps", 3, id=f"g{n}") for n in range(8)]
            with server.client() as redis:
                key = f"{{{prefix}:0}}:m:{bad.run_id}"
                facts = redis.hget(key, "run")
                redis.hset(key, "run", BROKEN[what](facts))
                async with saros.open(app_path, backend=url):
                    assert [await each.result(90) for each in good] == [squares(3)] * 8

                    async def set_aside() -> bool:
                        return redis.hget(key, "delayed") == b"dead"

                    await eventually(set_aside, "the row is set aside")
                    assert b"cannot be read" in redis.hget(key, "problem")
                    assert len([each async for each in app.list()]) == 9
                    assert redis.llen(f"{{{prefix}:0}}:h:{bad.run_id}") == 0
                    redis.hset(key, "run", facts)
                    assert await app.backend.store.release("bad")
                    assert await bad.result(90) == squares(3)

    asyncio.run(main())


def test_s5_a_broken_call_fails_and_a_broken_entry_is_told_of(
    server: Any, client: Callable[[str], Any], workflows_only: Any, app_path: Any, caplog: Any
) -> None:
    prefix = "broken-call"
    url = server.url(prefix=prefix)
    tag = f"{{{prefix}:0}}"

    async def main() -> None:
        async with client(url) as app, workflows_only(url):
            bad, good = [await app.start("app:steps", 3, id=id) for id in ("bad", "good")]
            with server.client() as redis:
                await eventually(lambda: redis.xlen(f"{tag}:act:main") == 2, "both call")
                redis.hset(f"{tag}:c:{bad.run_id}", "1", b"{}")
                redis.xadd(f"{tag}:out", {"i": "nobody"})
            async with saros.open(app_path, backend=url):
                with pytest.raises(saros.Error, match="the activity cannot be read"):
                    await bad.result(90)
                assert await good.result(90) == squares(3)
                with caplog.at_level(logging.WARNING, "saros.redis"):
                    await eventually(lambda: f"{tag}:out cannot be read" in caplog.text, "it is told")
                assert await (await app.start("app:mixed", 1)).result(90) == 1 + squares(3) + 13

    asyncio.run(main())


def test_s6_a_task_that_raises_in_dispatch_stops_no_other(
    server: Any, app_path: Any, client: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a batch of ten, one workflow task and one activity raise an internal error; the others complete."""
    begin, start = worker.CommitBuilder.begin, retry.start_limited
    failures: list[str] = []

    def begin_or_raise(self: Any) -> None:
        if self.run.id == "s2" and "s2" not in failures:
            failures.append("s2")
            raise RuntimeError("an error of ours")
        begin(self)

    def start_or_raise(attempts: Any, call: Any, info: Any, *args: Any) -> Any:
        if info["workflow_id"] == "s5":
            failures.append("s5")
            raise RuntimeError("another error of ours")
        return start(attempts, call, info, *args)

    monkeypatch.setattr(worker.CommitBuilder, "begin", begin_or_raise)
    monkeypatch.setattr(retry, "start_limited", start_or_raise)
    url = server.url()

    async def main() -> None:
        async with client(url) as app:
            orders = [await app.start("app:steps", 4, id=f"s{n}") for n in range(10)]
            async with saros.open(app_path, backend=url):
                with pytest.raises(saros.Error, match="another error of ours"):
                    await orders.pop(5).result(90)
                assert [await each.result(90) for each in orders] == [squares(4)] * 9
            assert failures == ["s2", "s5"]

    asyncio.run(main())


def test_s5_a_deadline_that_nobody_wrote_holds_up_no_other(
    server: Any, client: Callable[[str], Any], app_path: Any
) -> None:
    url = server.url(prefix="bad-deadline")

    async def main() -> None:
        async with client(url) as app:
            with server.client() as redis:
                redis.zadd("{bad-deadline:0}:tm", {"garbage": 1, "timer:": 2, "": 3})
                asleep = await app.start("app:nap", "50ms", id="asleep")
                async with saros.open(app_path, backend=url):
                    assert await asleep.result(90) == "slept"
                assert redis.zcard("{bad-deadline:0}:tm") == 0

    asyncio.run(main())
