"""Log records: what an operator sees of failures, and which workflow and activity a record is about."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..suite import Case, behaviour, eventually

FLAKY = """
return { main = function()
  require("logger"):info("charging")
  if require("activity").info().attempt < 3 then
    return nil, require("errors").new{message = "no route", kind = "Unavailable"}
  end
  return true
end }
"""


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.all: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(record)


@contextmanager
def _records() -> Iterator[_Kept]:
    """Collect the log records of the context, from level debug."""
    logger, handler = logging.getLogger("saros"), _Kept()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


async def _run(case: Case, main: str, *, fails: bool = False, **parts: Any) -> tuple[Any, list[Any]]:
    """Return the result or error of a workflow, and the log records about it."""
    app, id = await case.app(main, **parts), case.id()
    with _records() as records:
        work = app.fails if fails else app.run
        result = await work("app:main", id=id)
        await eventually(lambda: any("has ended" in record.getMessage() for record in records.all), "its end")
    return result, [record for record in records.all if getattr(record, "workflow_id", "") == id]


@behaviour(
    "§14", "each failed attempt is a warning: workflow, run, entry, attempt, kind, message, next attempt"
)
async def log_attempts(case: Case) -> None:
    main = """
    local policy = {initial_interval = 10, backoff_coefficient = 1}
    return (funcs.new():with_options({["activity.retry_policy"] = policy}):call("app:flaky"))
    """
    result, records = await _run(case, main, functions={"flaky": FLAKY})
    assert result is True
    warned = [record for record in records if record.levelno == logging.WARNING]
    assert [record.attempt for record in warned] == [1, 2]
    for record in warned:
        assert (record.entry, record.error_kind, record.error) == ("app:flaky", "Unavailable", "no route")
        assert record.next_attempt_in == 0.01
        assert record.run_id


@behaviour(
    "§14", "the last failed attempt and a failed workflow are warnings; starts and ends are debug messages"
)
async def log_failures(case: Case) -> None:
    main = """
    local policy = {maximum_attempts = 1}
    local _, err = funcs.new():with_options({["activity.retry_policy"] = policy}):call("app:flaky")
    return nil, err
    """
    error, records = await _run(case, main, fails=True, functions={"flaky": FLAKY})
    assert error.kind == "Unavailable"
    attempt, end = (record for record in records if record.levelno == logging.WARNING)
    assert (attempt.entry, attempt.attempt, hasattr(attempt, "next_attempt_in")) == ("app:flaky", 1, False)
    assert (end.entry, end.error_kind, end.error) == ("app:main", "Unavailable", "no route")
    begun = [record.entry for record in records if record.getMessage().endswith("starts")]
    assert sorted(begun) == ["app:flaky", "app:main"]


@behaviour(
    "§14", "log records of code carry workflow, run, entry and attempt as fields; replay logs nothing again"
)
async def log_fields(case: Case) -> None:
    main = """
    local logger, time = require("logger"), require("time")
    logger:info("begins")
    funcs.call("app:charge")
    time.sleep(20)
    logger:info("ends")
    return true
    """
    functions = {"charge": 'require("logger"):info("charging") return true'}
    _, records = await _run(case, main, functions=functions)
    said = [record for record in records if record.name == "saros.app"]
    assert [record.getMessage().split()[0] for record in said] == ["begins", "charging", "ends"]
    assert [record.entry for record in said] == ["app:main", "app:charge", "app:main"]
    assert all(record.attempt == 1 and record.run_id for record in said)
