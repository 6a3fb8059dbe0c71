"""A store that fails for a moment: everything that a process has leased goes on at once afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
import redis

import saros
from saros.model.errors import UNAVAILABLE
from saros_testing import eventually


def squares(n: int) -> int:
    return sum(i * i for i in range(1, n + 1))


def failing(call: Callable[..., Any], times: int) -> Callable[..., Any]:
    """Wrap an async function so that its first `times` calls fail before they do anything."""
    left = [times]

    async def refuse(*args: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise saros.Error("away", UNAVAILABLE)
        return await call(*args)

    return refuse


@pytest.mark.parametrize("method", ["start", "delivered"])
def test_the_outbox_worker_keeps_its_batch(
    server: Any, app_path: Any, check_histories: Any, method: str
) -> None:
    async def main() -> None:
        async with saros.open(app_path, backend=server.url(lease="60s")) as app:
            orders = [await app.start("app:mixed", n, id=f"m{n}") for n in range(8)]
            backend: Any = app.backend
            store = backend.store
            setattr(store, method, failing(getattr(store, method), 2))
            assert [await each.result(90) for each in orders] == [n * n + squares(3) + 13 for n in range(8)]
            await check_histories(app, [each.id for each in orders])

    asyncio.run(main())


def test_readers_outlive_errors(own_server: Any, app_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with saros.open(app_path, backend=own_server.url()) as app:
            assert await (await app.start("app:steps", 1)).result(90) == 1
            with own_server.client() as admin:
                admin.execute_command("ACL", "SETUSER", "default", "-xreadgroup")
                with caplog.at_level(logging.WARNING, "saros.redis"):
                    await eventually(lambda: caplog.text.count("refuses access") >= 3, "readers fail")
                admin.execute_command("ACL", "SETUSER", "default", "+@all")
            assert await (await app.start("app:steps", 3)).result(90) == squares(3)

    asyncio.run(main())


def test_a_busy_server(own_server: Any, app_path: Any, check_histories: Any) -> None:
    """While another client's script runs, the server refuses all commands."""

    def hog() -> None:
        refused = "BUSY"
        with own_server.client() as other:
            while "BUSY" in refused:  # another client's script was running at that moment
                with pytest.raises(redis.ResponseError) as ended:
                    other.eval("while true do end", 0)
                refused = str(ended.value)

    def is_busy(admin: redis.Redis) -> bool:
        try:
            return not admin.ping()
        except redis.ResponseError as error:
            return "BUSY" in str(error)

    async def main() -> None:
        with own_server.client() as admin:
            admin.config_set("lua-time-limit", 20)
            async with saros.open(app_path, backend=own_server.url(lease="5s")) as app:
                orders = [await app.start("app:steps", 20, id=f"s{n}") for n in range(5)]
                busy = asyncio.create_task(asyncio.to_thread(hog))
                await eventually(lambda: is_busy(admin), "the server refuses")
                await asyncio.sleep(0.6)  # that long
                admin.script_kill()
                await busy
                assert [await each.result(90) for each in orders] == [squares(20)] * 5
                await check_histories(app, [each.id for each in orders])

    asyncio.run(main())
