"""Counts by indexes: they are what the lists are long."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from pathlib import Path

import pytest

import saros
from saros.model.search import OPERATORS
from saros_testing.apps import lua_app

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
ATTRIBUTES = (
    {"customer": "c-1", "tags": ["a", "b"]},
    {"customer": "c-1\0", "tags": ["b"]},
    {"customer": "2026-01-31T12:00:00Z", "tags": []},
    {"customer": "x" * 300},
    {"customer": 5},
)


@pytest.fixture(params=["memory", "redis", "sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """A backend without executions."""
    if request.param == "memory":
        return "memory://"
    url = str(request.getfixturevalue(f"{request.param}_url"))
    return f"{url}?prefix={uuid.uuid4().hex}" if request.param == "redis" else url


def test_a_count_is_the_length_of_the_list(url: str, tmp_path: Path) -> None:
    lua_app(tmp_path, workflows={"main": "process.inbox():receive()"})

    async def scenario() -> None:
        async with saros.open(tmp_path, url) as app:
            for number, search in enumerate(ATTRIBUTES):
                options = {"search_attributes": search, "task_queue": "idle"}
                handle = await app.start("app:main", id=f"counted-{number}", options=options)
                if number % 2:
                    await handle.terminate()
            us = (await app.backend.describe("counted-2")).start_time // 1_000
            moments = [(EPOCH + dt.timedelta(microseconds=us + off)).isoformat() for off in (-1, 0, 1)]
            by_time = [f"start_time {operator} '{moment}'" for operator in OPERATORS for moment in moments]
            by_attribute = [
                f"{name} {operator} {value}"
                for name in ("customer", "tags")
                for operator in ("=", "!=")
                for value in (
                    "'c-1'",
                    "'b'",
                    "'2026-01-31T13:00:00+01:00'",
                    f"'{'x' * 300}'",
                    f"'{'x' * 256}'",
                    "5",
                )
            ]
            more = (
                f"start_time <= '{moments[1]}' and start_time > '{moments[0]}' and status = 'running'",
                f"start_time > '{moments[1]}' or status = 'running'",
                f"not start_time > '{moments[1]}' and (status = 'running' or status = 'terminated')",
                f"close_time >= '{moments[1]}'",
                "customer in ('c-1', 'b') and status != 'running'",
            )
            for query in ("", *by_time, *by_attribute, *more):
                listed = [run.status async for run in app.backend.executions(query)]
                wanted = {status: listed.count(status) for status in listed}
                assert await app.counts(query) == wanted, query
            assert await app.count(f"start_time <= '{moments[1]}'") >= 3
            assert await app.count(f"start_time < '{moments[1]}'") <= 2
            assert await app.count(f"start_time = '{moments[1]}'") >= 1

    asyncio.run(scenario())
