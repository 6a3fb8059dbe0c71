"""Operations that share a transaction."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from saros.model.errors import INVALID, Error
from saros_sql.database.transaction import ACTIVITIES, Transaction
from saros_sql.link import Link
from saros_sql.options import parse

INSERT = "INSERT INTO names (name, pid) VALUES (?, 'p')"
NAMES = "SELECT name FROM names ORDER BY name"


def named(name: str, fails: bool = False) -> Callable[[Transaction], str]:
    def call(tx: Transaction) -> str:
        tx.later(INSERT, name)
        if fails:
            raise Error(f"{name} fails in the middle", INVALID)
        return name

    return call


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, url: str) -> str:
    return url if request.param == "sqlite" else str(request.getfixturevalue("postgresql_url"))


def with_link(run: Any, url: str, scenario: Callable[[Link], Any]) -> None:
    async def main() -> None:
        link = Link(parse(url), "me")
        await link.open()
        try:
            await scenario(link)
        finally:
            await link.close()

    run(main())


async def at_once(link: Link, *work: Any) -> list[Any]:
    """Have the thread begin all of the work in one transaction."""
    begun, go = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        begun.set()
        go.wait(10)

    holding = asyncio.ensure_future(link.write(hold))
    await asyncio.to_thread(begun.wait, 10)
    results = [asyncio.ensure_future(each) for each in work]
    await asyncio.sleep(0)  # each has put its operation into the queue
    go.set()
    await holding
    return await asyncio.gather(*results, return_exceptions=True)


def test_one_that_fails_in_the_middle_fails_alone(run: Any, url: str) -> None:
    async def scenario(link: Link) -> None:
        work = [link.write(named("a")), link.write(named("b", fails=True)), link.write(named("c"))]
        a, b, c = await at_once(link, *work)
        assert (a, c) == ("a", "c")
        assert isinstance(b, Error)
        assert b.kind == INVALID
        assert await link.read(lambda tx: tx.all(NAMES)) == [("a",), ("c",)]

    with_link(run, url, scenario)


def test_a_search_that_fails_in_the_middle_does_not_concern_what_woke_it(run: Any, url: str) -> None:
    def touch(tx: Transaction) -> str:
        tx.touched.topics |= ACTIVITIES
        return named("woke")(tx)

    looked = threading.Event()

    def find(tx: Transaction) -> list[str]:
        looked.set()
        if not tx.all("SELECT 1 FROM names"):
            return []
        return [named("found", fails=True)(tx)]

    async def scenario(link: Link) -> None:
        finding = asyncio.ensure_future(link.find(ACTIVITIES, find))
        assert await asyncio.to_thread(looked.wait, 10)
        assert await link.write(touch) == "woke"
        with pytest.raises(Error, match="in the middle"):
            await asyncio.wait_for(finding, 10)
        assert await link.read(lambda tx: tx.all(NAMES)) == [("woke",)]

    with_link(run, url, scenario)
