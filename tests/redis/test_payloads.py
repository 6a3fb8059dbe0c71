"""Large values."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import saros
from saros_redis.limits import SCRIPT, portions
from saros_testing import lua_app

MAIN = """
    local inbox, bytes, n = process.listen("part"), 0, 0
    while n < input do
      bytes = bytes + #inbox:receive()
      n = n + 1
    end
    return bytes
"""


def test_more_mail_than_a_commit_can_hold(server: Any, tmp_path: Path) -> None:
    """It is delivered in several tasks; a commit may be eight times as large as one value."""
    path = lua_app(tmp_path, workflows={"main": MAIN})

    async def run() -> None:
        url = server.url(payload=50_000)
        async with saros.open(path, backend=url, workers=False) as app:
            order = await app.start("app:main", 40)
            for _ in range(40):
                await order.signal("part", "x" * 40_000)
            app.start_workers()
            assert await order.result(90) == 40 * 40_000
            assert (await order.describe()).problem is None

    asyncio.run(run())


def test_results_of_a_megabyte_at_once(server: Any, tmp_path: Path) -> None:
    main = """
        local bytes = 0
        local calls = {}
        for n = 1, 12 do calls[n] = funcs.async("app:big", n) end
        for n = 1, 12 do
          local value = calls[n]:channel():receive()
          bytes = bytes + #value:data()
        end
        return bytes
    """
    big = "async def big(n):\n    return 'x' * 1_900_000\n"
    path = lua_app(tmp_path, workflows={"main": main}, python={"big": "big:big"}, files={"big.py": big})

    async def run() -> None:
        async with saros.open(path, backend=server.url()) as app:
            order = await app.start("app:main", 0)
            assert await order.result(90) == 12 * 1_900_000

    asyncio.run(run())


def test_what_goes_into_one_script() -> None:
    sizes = [SCRIPT // 2, SCRIPT // 2, 1, 5 * SCRIPT, 10, 10]
    assert list(portions(sizes, lambda size: size)) == [sizes[:2], sizes[2:3], sizes[3:4], sizes[4:]]
    assert list(portions([7], lambda size: size)) == [[7]]
