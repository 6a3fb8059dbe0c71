"""One run after another: retries, continue-as-new and cron (§8)."""

from __future__ import annotations

import asyncio
from typing import Any

from saros.model.errors import TIMEOUT, Error

from ..suite import Case, behaviour
from .lifecycle import AGAIN

# --- one run after another ------------------------------------------------------------------------


@behaviour("§8", "the retry policy starts a new run after a run that exceeds its run_timeout")
async def run_timeout_retries(case: Case) -> None:
    main = """
    local attempt = require("workflow").info().attempt
    if attempt < 3 then time.sleep("1h") end
    return attempt
    """
    app = await case.app(main)
    options: dict[str, Any] = {"run_timeout": 1000, "retry_policy": {"initial_interval": 10}}
    assert await app.run("app:main", id=case.id(), options=options) == 3
    for final in ({"maximum_attempts": 2}, {"non_retryable_error_types": ["Timeout"]}):
        policy = {"initial_interval": 10, **final}
        error = await app.fails("app:main", id=case.id(), options={**options, "retry_policy": policy})
        assert error.kind == TIMEOUT


@behaviour("§8", "continue_as_new keeps the search attributes as they are, and the memo of the start")
async def continued_attributes(case: Case) -> None:
    main = """
    local w = require("workflow")
    local first = w.info().search_attributes
    if input then
      w.attrs({search = {customer = "b", items = 3}, memo = {note = "changed", more = 1}})
      w.continue_as_new()
    end
    return first
    """
    await _attributes(case, main, {"customer": "b", "items": 3}, {})


@behaviour("§8", "an attempt after a failure has the search attributes and the memo of the start")
async def retried_attributes(case: Case) -> None:
    main = f"""
    local w = require("workflow")
    if w.info().attempt == 1 then
      w.attrs({{search = {{customer = "b", items = 3}}, memo = {{note = "changed", more = 1}}}})
      {AGAIN}
    end
    return w.info().search_attributes
    """
    await _attributes(case, main, {"customer": "a"}, {"retry_policy": {"initial_interval": 10}})


async def _attributes(case: Case, main: str, search: dict[str, Any], options: dict[str, Any]) -> None:
    app = await case.app(main)
    memo = {"note": "of the start", "kept": True}
    given = {"search_attributes": {"customer": "a"}, "memo": memo, **options}
    order = await app.start("app:main", True, id=case.id(), options=given)
    assert await order.result(30) == search
    found = await app.app.get(order.id).describe()
    assert (found.search_attributes, found.memo) == (search, memo)


@behaviour("§8", "an update that arrives at a continue_as_new is carried out and answered by the next run")
async def updates_continue(case: Case) -> None:
    main = """
    local w, total = require("workflow"), input or 0
    w.on_update("add", function(n) total = total + n return total end)
    while true do
      local topic = process.inbox():receive():topic()
      if topic == "end" then return total end
      w.continue_as_new(total)
    end
    """
    app = await case.app(main)
    order = await app.start("app:main", id=case.id())
    execution = app.app.get(order.id)
    applied = 0

    async def add() -> None:
        nonlocal applied
        try:
            await execution.update("add", 1)
        except Error as error:
            raise AssertionError(f"an update was reported as failed: {error}") from error
        applied += 1

    for _ in range(2):
        await asyncio.gather(
            *[add() for _ in range(3)], execution.signal("again"), *[add() for _ in range(3)]
        )
    await execution.signal("end")
    assert await order.result(30) == applied == 12


@behaviour("§8", "continue_as_new ends a cron schedule, as on Temporal")
async def continued_cron(case: Case) -> None:
    app = await case.app('if input then require("workflow").continue_as_new() end return 1')
    order = await app.start("app:main", True, id=case.id(), options={"cron_schedule": "0 0 1 1 *"})
    await order.cancel("do it now")
    assert await order.result(30) == 1


@behaviour("§8", "a query before the first task waits for it")
async def query_first(case: Case) -> None:
    main = 'require("workflow").on_query("answer", function() return 42 end) process.inbox():receive()'
    app = await case.app(main)
    order = await app.start("app:main", id=case.id())
    assert await order.query("answer") == 42
    late = await app.start("app:main", id=case.id(), options={"start_delay": 500})
    assert await late.query("answer") == 42
