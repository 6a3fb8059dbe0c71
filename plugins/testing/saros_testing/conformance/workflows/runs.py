"""One run after another: retries, continue-as-new and cron (§8)."""

from __future__ import annotations

import asyncio
from typing import Any

from saros.model.errors import INVALID, TIMEOUT, Error

from ..suite import Case, behaviour, refused
from .helpers import AGAIN

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


@behaviour("§6", "a run that a retry policy starts does not get the messages of the run before again")
async def retries_repeat_no_message(case: Case) -> None:
    counts = f"""
    local workflow, inbox, count = require("workflow"), process.inbox(), 0
    if input.continues then
      inbox:receive()
      workflow.continue_as_new({{}})
    end
    time.sleep("50ms") -- the first messages come after the start
    while not channel.select{{inbox:case_receive(), default = true}}.default do count = count + 1 end
    if workflow.info().attempt == 1 then
      assert(count > 0)
      {AGAIN}
    end
    return count
    """
    main = """
    local spawner = process.with_options({["workflow.retry_policy"] = {initial_interval = 10}})
    spawner = spawner:with_message("a", 1):with_message("b", 2)
    local first = spawner:exec("app:counts", "app:worker", {})
    return {first, (spawner:exec("app:counts", "app:worker", {continues = true}))}
    """
    assert await case.run(main, workflows={"counts": counts}) == [0, 0]


@behaviour(
    "§8", "no run begins after the execution_timeout: a retry that would is dropped, and the failure is final"
)
async def no_run_past_the_execution_timeout(case: Case) -> None:
    app = await case.app(AGAIN)
    policy = {"initial_interval": 3_600_000, "maximum_interval": 3_600_000}
    options: dict[str, Any] = {"execution_timeout": 600_000, "retry_policy": policy}
    error = await app.fails("app:main", id=case.id(), options=options)
    assert (error.message, error.retryable) == ("again", True)
    policy["initial_interval"], options["execution_timeout"] = 10, 60_000
    attempts = await case.app('if require("workflow").info().attempt < 3 then ' + AGAIN + " end return 3")
    assert await attempts.run("app:main", id=case.id(), options=options) == 3


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


ATTEMPTS = """
local w, uuid, time = require("workflow"), require("uuid"), require("time")
local kept, open, timer = channel.new(5), channel.new(1), time.timer("1h")
kept:send("kept") uuid.v1() uuid.v7()
local named = funcs.new():with_options{["activity.id"] = "one"}
local attempts = {
  function() uuid.v1() end, function() uuid.v7() end, function() math.random() end,
  function() kept:receive() end, function() kept:send("more") end, function() open:close() end,
  function() channel.select{process.inbox():case_receive(), default = true} end,
  function() coroutine.spawn(function() kept:close() funcs.call("app:echo", 1) end) end,
  function() process.listen("mail") end, function() process.set_options{trap_links = true} end,
  function() process.events() end, function() timer:stop() end, function() named:call("app:echo", 1) end,
  function() w.on_query("attempts", print) end, function() w.on_update("u", print) end,
  function() w.version("change", 1, 3) end, function() w.attrs{search = {odd = {}}} end,
  function() w.continue_as_new(1) end,
}
local function each(inside)
  local refused = {}
  for i, attempt in ipairs(attempts) do
    refused[i] = not pcall(inside, attempt)
  end
  return refused
end
"""


@behaviour("§8", "a query or side effect cannot change what its workflow does next")
async def reads_change_nothing(case: Case) -> None:
    main = f"""{ATTEMPTS}
    w.on_query("attempts", function()
      local own = channel.new(1)
      own:send(tostring({{}}))
      return {{each(function(attempt) attempt() end), (own:receive())}}
    end)
    w.on_query("blocks", function() pcall(open.receive, channel.new(0)) funcs.call("app:echo", 1) end)
    process.listen("go"):receive()
    local asked = channel.select{{open:case_receive(), default = true}}.default
    local told = process.inbox():receive():payload():data()
    local found = each(w.side_effect)
    time.sleep("1ms")
    return {{tostring({{}}), asked, told, kept:receive(), w.version("change", 1, 3), named:call("app:echo", 7),
      timer:stop(), process.get_options().trap_links, found}}
    """
    app = await case.app(main, functions={"echo": "return input"})
    order = await app.start("app:main", id=case.id())
    error = await refused(order.query("blocks"))
    assert error.kind == INVALID, error
    for mail in [(), ("told",)]:  # without mail, the query is the first to look for the inbox
        for value in mail:
            await order.signal("mail", value)
        found, name = await order.query("attempts")
        assert (found, name) == ([True] * len(found), "table: #1")
    with case.still(app):
        await order.signal("go")
    *rest, found = await order.result(30)
    assert rest == ["table: #1", True, "told", "kept", 3, 7, True, False]
    assert found == [False] * 3 + [True] * (len(found) - 3), "a side effect may draw"
    await order.query("attempts")  # a replay gets this far


@behaviour("§8", "a query sees each message that was acknowledged before it")
async def queries_see_messages(case: Case) -> None:
    main = """
    local count = 0
    require("workflow").on_query("count", function() return count end)
    for _ = 1, 20 do process.inbox():receive() count = count + 1 end
    """
    continued = """
    local count = input or 0
    require("workflow").on_query("count", function() return count end)
    process.inbox():receive() count = count + 1
    if count < 5 then require("workflow").continue_as_new(count) end
    """
    app = await case.app(main, workflows={"continued": continued})
    for entry, messages in [("app:main", 20), ("app:continued", 5)]:
        order = await app.start(entry, id=case.id())
        for count in range(messages):
            assert await order.query("count") == count, entry
            await order.signal("one")
        await order.result(30)


@behaviour("§8", "what a query is the first to make or load is its own")
async def queries_make_their_own(case: Case) -> None:
    main = """
    local w, seen = require("workflow"), {}
    w.on_query("first", function()
      local made = {process.inbox(), seen[1]:payload(), utf8.char(65)}
      return {#made, tally.count(), (pcall(require, "draws"))}
    end)
    seen[1] = process.listen("mail", {message = true}):receive()
    process.listen("go"):receive()
    local globals, order = 0, {}
    for _ in pairs(_G) do globals = globals + 1 end
    local named = {[channel.new()] = "a", [process.inbox()] = "b", [process.events()] = "c"}
    named[seen[1]:payload()] = "d"
    for _, name in pairs(named) do order[#order + 1] = name end
    return {globals, table.concat(order), tally.count(), require("draws").drawn < 1, utf8.char(66)}
    """
    libraries = {
        "tally": "local n = 0 return {count = function() n = n + 1 return n end}",
        "draws": "return {drawn = math.random()}",
    }
    app = await case.app(main, libraries=libraries)
    results = []
    for queries in range(2):
        order = await app.start("app:main", id=case.id())
        await order.signal("mail", "told")
        for _ in range(queries):
            assert await order.query("first") == [3, 1, False]
        await order.signal("go")
        results.append(await order.result(30))
        await order.query("first")  # a replay gets this far
    assert results[0] == results[1]
    assert results[0][2:] == [1, True, "B"]


@behaviour("§8", "a side effect whose result is not data fails, and a replay does not try again")
async def side_effect_without_data(case: Case) -> None:
    main = """
    local w, times = require("workflow"), 0
    w.on_query("times", function() return times end)
    local function odd() times = times + 1 return times % 2 == 1 and print or times end
    local function worse() error(errors.new{message = "m", details = {f = 1}}) end
    local fine, err = pcall(w.side_effect, odd)
    local second = pcall(w.side_effect, worse)
    time.sleep("1ms")
    process.inbox():receive()
    return {fine, tostring(err), second}
    """
    app = await case.app(main)
    order = await app.start("app:main", id=case.id())
    await order.query("times")
    await order.signal("end")
    fine, text, second = await order.result(30)
    assert (fine, second) == (False, False)
    assert "side effect is a function" in text
    await order.query("times")  # a replay gets this far
