"""The soak (bench/soak.py) detects the faults it looks for: a step that counts twice, and a step that is lost."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import saros
from saros_testing import lua_app

FILE = Path(__file__).parents[2] / "bench" / "orders.py"


@pytest.fixture(scope="module")
def orders() -> Any:
    spec = importlib.util.spec_from_file_location("orders", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def doubled(redis: Any, key: str) -> None:
    records = redis.lrange(key, 0, -1)
    done = next(each for each in records if each.startswith(b"done\n"))
    redis.linsert(key, "AFTER", done, done)


def lost(redis: Any, key: str) -> None:
    done = next(each for each in redis.lrange(key, 0, -1) if each.startswith(b"done\n"))
    redis.lrem(key, 1, done)


@pytest.mark.parametrize(
    ("plant", "fault"), [(doubled, "has the end of step 1 2 times"), (lost, "has no end of step 1")]
)
def test_the_soak_reports_planted_faults(
    server: Any, tmp_path: Path, orders: Any, plant: Callable[[Any, str], None], fault: str
) -> None:
    path = lua_app(
        tmp_path / "app",
        workflows={"order": orders.ORDER, "child": orders.CHILD},
        functions=dict.fromkeys(("square", "near"), "return input * input"),
    )
    url = server.url(prefix=f"soak-{plant.__name__}")

    async def main() -> None:
        tally = orders.Tally()
        async with saros.open(path, backend=url) as app:
            await orders.one(app, tally, 1)
            assert tally.wrong == []
            (order,) = tally.started
            with server.client() as redis:
                plant(redis, f"{{soak-{plant.__name__}:0}}:h:{order.run_id}")
            await orders.judge(tally, order)
        assert tally.wrong == [f"order-1 {fault}"]
        assert tally.report(1.0) == 1

    asyncio.run(main())
