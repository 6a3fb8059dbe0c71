"""Whatever garbage is in Redis, workers set it aside, log it once, and go on with everything else."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

import pytest

import saros
from saros.model.errors import INTERNAL
from saros_testing import eventually

SHARED = (
    "ready:main",
    "act:main",
    "out",
    "tm",
    "x:all",
    "x:status:running",
    "x:closed",
    "x:dead",
    "names",
    "soft",
)
SHARED += ("nodes", "notes", "aside")
OF_A_RUN = ("m", "h", "i", "c", "d")
OF_AN_ID = ("e", "w", "ch", "k")
OTHER = {
    b"string": "list",
    b"list": "string",
    b"hash": "string",
    b"zset": "hash",
    b"stream": "zset",
    b"none": "string",
}


def squares(n: int) -> int:
    return sum(i * i for i in range(1, n + 1))


def write(redis: Any, key: str, kind: str) -> None:
    """Replace a key with garbage of the given type, atomically, so that no worker writes in between."""
    with redis.pipeline() as together:
        together.delete(key)
        if kind == "string":
            together.set(key, "garbage")
        elif kind == "list":
            together.rpush(key, "garbage")
        elif kind == "hash":
            together.hset(key, "garbage", "garbage")
        else:
            together.zadd(key, {"garbage": 1})
        together.execute()


def junk(random: random.Random) -> bytes:
    return random.choice(
        [b"", b"\xff\xfe\x00", b"junk", b"-1", b"[]", b"{}", b"null", b"\n\n\n\n", random.randbytes(40)]
    )


def spoil(redis: Any, key: str, random: random.Random) -> None:
    """Put garbage into a key of whatever type it is."""
    kind = redis.type(key)
    if kind == b"hash":
        fields = redis.hkeys(key)
        field = random.choice([*fields, junk(random)])
        if random.random() < 0.3:
            redis.hdel(key, field)
        else:
            redis.hset(key, field, junk(random))
    elif kind == b"list":
        redis.lset(key, random.randrange(redis.llen(key)), junk(random))
        redis.rpush(key, junk(random))
    elif kind == b"zset":
        redis.zadd(key, {junk(random): random.choice([0, 1, 1e18, float("inf")])})
    elif kind == b"stream":
        pairs = [
            (random.choice([b"r", b"f", b"i", junk(random)]), junk(random))
            for _ in range(random.randint(1, 9))
        ]
        redis.xadd(key, dict(pairs))


def poison(redis: Any, tag: str) -> None:
    for name in ("ready:main", "act:main", "out"):
        redis.xadd(f"{tag}:{name}", {"x": "junk"})
        redis.xadd(f"{tag}:{name}", {"r": "nobody", "f": b"\xff"})
        redis.xadd(f"{tag}:{name}", {"r": b"\xff\x00"})


def test_a_poison_entry_stops_nobody(
    server: Any, client: Callable[[str], Any], app_path: Any, caplog: Any
) -> None:
    """This holds for new entries and for entries that a lost worker had leased."""
    prefix = "poison"
    url, tag = server.url(prefix=prefix, lease="500ms"), f"{{{prefix}:0}}"

    async def main() -> None:
        with server.client() as redis, caplog.at_level(logging.WARNING, "saros"):
            async with client(url) as app:
                orders = [await app.start("app:steps", 3) for _ in range(5)]
                poison(redis, tag)
                for name in ("ready:main", "act:main", "out"):  # as if a worker had leased them and died
                    redis.xgroup_create(f"{tag}:{name}", "saros", "0", mkstream=True)
                    redis.xreadgroup("saros", "lost", {f"{tag}:{name}": ">"}, count=20)
                poison(redis, tag)
                async with saros.open(app_path, backend=url):
                    assert [await each.result(90) for each in orders] == [squares(3)] * 5
                    await eventually(lambda: redis.xlen(f"{tag}:aside") >= 10, "all is set aside")
                    assert await (await app.start("app:mixed", 1)).result(90) == 1 + squares(3) + 13
                    for name in ("ready:main", "act:main", "out"):
                        await eventually(lambda key=f"{tag}:{name}": redis.xlen(key) == 0, f"{name} is clean")

                    def told() -> bool:
                        return caplog.text.count("cannot be read and was moved") == redis.xlen(f"{tag}:aside")

                    await eventually(told, "each is told once")
        assert "Traceback" not in caplog.text

    asyncio.run(main())


@pytest.mark.parametrize("name", SHARED)
def test_a_shared_key_of_a_wrong_type_is_put_aside(
    server: Any, client: Callable[[str], Any], app_path: Any, caplog: Any, name: str
) -> None:
    prefix = "type-" + name.replace(":", "-")
    url, tag = server.url(prefix=prefix, lease="500ms"), f"{{{prefix}:0}}"

    async def main() -> None:
        async with saros.open(app_path, backend=url) as app:
            await app.host.backend.register("somebody", app.host.node + "|1")
            with server.client() as redis:
                before = await app.start("app:nap", "100ms")
                await before.result(90)
                write(redis, f"{tag}:{name}", OTHER[redis.type(f"{tag}:{name}")])
                for _ in range(3):
                    after = [await app.start("app:steps", 3), await app.start("app:nap", "50ms")]
                    assert await after[0].result(90) == squares(3)
                    assert await after[1].result(90) == "slept"
                assert len([each async for each in app.list()]) >= 6
        assert caplog.text.count("put aside") < 5
        assert "Traceback" not in caplog.text

    with caplog.at_level(logging.WARNING, "saros"):
        asyncio.run(main())


def test_garbage_in_the_clocks_stops_no_timer(
    server: Any, client: Callable[[str], Any], app_path: Any
) -> None:
    url, clocks = server.url(prefix="clocks", partitions=1, lease="500ms"), "{clocks:0}:x:steady"

    async def main() -> None:
        async with saros.open(app_path, backend=url) as app:
            with server.client() as redis:
                for value in ("junk", "0x10", "1.5", "9" * 30, "-5", "inf", "nan", b"\xff", ""):
                    for field in ("set", "skew", "seen"):
                        redis.hset(clocks, field, value)
                    assert await (await app.start("app:nap", "10ms")).result(60) == "slept", value

    asyncio.run(main())


@pytest.mark.parametrize("name", OF_A_RUN)
def test_a_broken_run_harms_no_other_and_goes_on_when_it_is_repaired(
    server: Any, client: Callable[[str], Any], app_path: Any, caplog: Any, name: str
) -> None:
    prefix = "run-" + name
    url, tag = server.url(prefix=prefix, lease="500ms"), f"{{{prefix}:0}}"

    async def main() -> None:
        async with client(url) as app:
            with server.client() as redis:
                bad, good = [await app.start("app:steps", 3, id=id) for id in ("bad", "good")]
                key, kept = f"{tag}:{name}:{bad.run_id}", f"{tag}:kept"
                found = redis.type(key)
                if found != b"none":
                    redis.rename(key, kept)
                write(redis, key, OTHER[found])
                async with saros.open(app_path, backend=url) as worker:
                    assert await good.result(90) == squares(3)
                    if name in ("m", "h"):
                        with pytest.raises(saros.Error) as refused:
                            await bad.describe()
                        assert refused.value.kind == INTERNAL
                    else:

                        async def told() -> bool:
                            return bool((await bad.describe()).problem)

                        await eventually(told, "it is set aside")
                    assert await (await worker.start("app:steps", 2)).result(90) == squares(2)
                    redis.delete(key)
                    if found != b"none":
                        redis.rename(kept, key)
                    if name != "m":
                        row = f"{tag}:m:{bad.run_id}"
                        await eventually(lambda: redis.hget(row, "delayed") == b"dead", "it waits")
                        await bad.release()
                        assert await bad.result(90) == squares(3)

    with caplog.at_level(logging.WARNING, "saros"):
        asyncio.run(main())
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("seed", range(4))
def test_garbage_in_any_key_while_workers_run(
    server: Any, client: Callable[[str], Any], app_path: Any, caplog: Any, seed: int
) -> None:
    """With random bytes, wrong types and missing fields in Redis, all untouched executions still complete."""
    prefix = f"fuzz-{seed}"
    url, tag = server.url(prefix=prefix, lease="500ms", retention="1h"), f"{{{prefix}:0}}"
    dice = random.Random(seed)

    async def main() -> None:
        async with saros.open(app_path, backend=url) as app:
            with server.client() as redis:
                victims = [await app.start("app:steps", 4, id=f"victim{number}") for number in range(10)]
                victims += [await app.start("app:nap", "1h", id=f"asleep{number}") for number in range(5)]
                for turn in range(6):
                    keys = [f"{tag}:{name}" for name in SHARED]
                    victim = dice.choice(victims)
                    keys += [f"{tag}:{kind}:{victim.run_id}" for kind in OF_A_RUN]
                    keys += [f"{tag}:{kind}:{victim.id}" for kind in OF_AN_ID]
                    good = [
                        await app.start("app:steps", 5, id=f"good-{turn}-{number}") for number in range(4)
                    ]
                    for key in dice.sample(keys, 6):
                        if dice.random() < 0.3 and key not in (
                            f"{tag}:ready:main",
                            f"{tag}:act:main",
                            f"{tag}:out",
                        ):
                            write(redis, key, dice.choice(["string", "list", "hash", "zset"]))
                        else:
                            spoil(redis, key, dice)
                        await asyncio.sleep(0.01)
                    for each in good:
                        assert await each.result(90) == squares(5)
                assert await (await app.start("app:mixed", 1)).result(90) == 1 + squares(3) + 13
                assert not app.start_workers().done()

    with caplog.at_level(logging.WARNING, "saros"):
        asyncio.run(main())
    failures = [record.getMessage() for record in caplog.records if record.exc_info]
    assert not [message for message in failures if "workflow task of victim" not in message]
