"""Statements that are sent to PostgreSQL together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import saros
from saros_sql.options import parse
from saros_sql.postgres.driver import connect
from saros_sql.postgres.pipeline import Pipeline


@pytest.fixture
def raw(postgresql_url: str) -> Iterator[Any]:
    with connect(parse(postgresql_url)) as raw:
        yield raw


@pytest.mark.parametrize(
    ("sql", "value", "found"),
    [
        ("SELECT ?::bigint", -(1 << 63), -(1 << 63)),
        ("SELECT ?::text", "ä\0'\\", "ä\ufffd'\\"),
        ("SELECT ?::bytea", b"\0\xff", b"\0\xff"),
        ("SELECT ?::double precision", 1.5, 1.5),
        ("SELECT ?::boolean", True, True),
        ("SELECT ?::bigint", None, None),
        ("SELECT (?::text[])[2]", ["", '"a\\{},'], '"a\\{},'),
        ("SELECT (?::bigint[])[1]", [-7], -7),
    ],
)
def test_values_come_back(raw: Any, sql: str, value: Any, found: Any) -> None:
    pipeline = Pipeline(raw)
    replies = [pipeline.send(sql, [value]) for _ in range(3)]
    pipeline.wait()
    assert [reply.rows for reply in replies] == [[(found,)]] * 3


def test_the_first_failure_is_told_and_nothing_after_it_is_done(raw: Any) -> None:
    pipeline = Pipeline(raw)
    raw.execute("CREATE TEMPORARY TABLE things (number bigint)")
    for sql in ("BEGIN", "INSERT INTO things VALUES (1)", "SELECT 1 / 0", "COMMIT"):
        pipeline.send(sql)
    with pytest.raises(psycopg.errors.DivisionByZero):
        pipeline.wait()
    pipeline.send("ROLLBACK", prepare=False)
    found = pipeline.send("SELECT count(*) FROM things")
    pipeline.wait()
    assert found.rows == [(0,)]


def test_a_number_that_is_too_long_is_refused_before_it_is_sent(raw: Any) -> None:
    pipeline = Pipeline(raw)
    with pytest.raises(psycopg.DataError):
        pipeline.send("SELECT ?::bigint", [1 << 63])
    pipeline.wait()


def test_more_than_fits_into_the_buffers(raw: Any) -> None:
    """The server waits until its answers are read; it must be read meanwhile."""
    pipeline = Pipeline(raw)
    text = "x" * 100_000
    replies = [pipeline.send("SELECT ?::text", [text]) for _ in range(200)]
    pipeline.wait()
    assert all(reply.rows == [(text,)] for reply in replies)


def test_statements_that_the_server_has_forgotten(run: Any, app_path: Path, postgresql_url: str) -> None:
    """As after a DISCARD ALL by a pool between."""

    async def work() -> None:
        async with saros.open(app_path, backend=postgresql_url, workers=False) as app:
            link = app.backend.store._link
            await app.start("app:nap", "1h", id="n1")
            await link.write(lambda tx: tx.run("DEALLOCATE ALL"))
            await app.start("app:nap", "1h", id="n2")
            assert await app.backend.describe("n2") is not None

    run(work())
