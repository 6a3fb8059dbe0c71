"""Calls of functions (§7)."""

from __future__ import annotations

from saros.model.errors import NOT_FOUND, TIMEOUT

from ..suite import Case, behaviour

FLAKY = """
local activity = require("activity")
return { main = function(failures, kind)
  local info = activity.info()
  if info.attempt <= failures then
    return nil, require("errors").new{message = "try " .. info.attempt, kind = kind or "Unavailable"}
  end
  return info.attempt
end }
"""


@behaviour("§7", "funcs.call returns the result; several arguments arrive in order")
async def call_arguments(case: Case) -> None:
    main = 'return {funcs.call("app:add", 1, nil, 3), (funcs.call("app:add"))}'
    add = "return { main = function(...) return {n = select('#', ...), a = (...), c = (select(3, ...))} end }"
    result = await case.run(
        main,
        functions={
            "add": add.replace("(select(3, ...))", "select('#', ...) > 2 and (select(3, ...)) or false")
        },
    )
    assert result == [{"n": 3, "a": 1, "c": 3}, {"n": 0, "c": False}]


@behaviour("§7", "an entry that the app lacks is NOT_FOUND, retryable, at once")
async def call_unknown(case: Case) -> None:
    main = 'local _, err = funcs.call("app:nothing") return {err:kind(), err:retryable(), tostring(err)}'
    kind, retryable, text = await case.run(main)
    assert (kind, retryable) == (NOT_FOUND, True)
    assert "app:nothing" in text


@behaviour("§7", "a bad id returns INVALID and raises nothing")
async def call_bad_id(case: Case) -> None:
    main = """
    local kinds = {}
    for _, id in ipairs({"", "nocolon", ":x", 7, true}) do
      local _, err = funcs.call(id)
      kinds[#kinds + 1] = err:kind()
    end
    return kinds
    """
    assert await case.run(main) == ["Invalid"] * 5


@behaviour("§7", "a transient error is retried under the policy, and the attempt is counted")
async def call_retried(case: Case) -> None:
    main = """
    local quick = funcs.new():with_options({["activity.retry_policy"] = {initial_interval = 10}})
    return {quick:call("app:flaky", 2), (quick:call("app:flaky", 0))}
    """
    assert await case.run(main, functions={"flaky": FLAKY}) == [3, 1]


@behaviour("§7", "maximum_attempts ends the retries with the last error")
async def call_attempts_limited(case: Case) -> None:
    main = """
    local policy = {initial_interval = 10, maximum_attempts = 3}
    local _, err = funcs.new():with_options({["activity.retry_policy"] = policy}):call("app:flaky", 9)
    return {err:kind(), err:message()}
    """
    assert await case.run(main, functions={"flaky": FLAKY}) == ["Unavailable", "try 3"]


@behaviour("§7", "an error that is not retryable, or whose kind the policy names, is not retried")
async def call_not_retried(case: Case) -> None:
    main = """
    local policy = {initial_interval = 10, non_retryable_error_types = {"Unavailable"}}
    local _, named = funcs.new():with_options({["activity.retry_policy"] = policy}):call("app:flaky", 9)
    local _, business = funcs.call("app:flaky", 9, "CardDeclined")
    return {named:message(), business:message()}
    """
    assert await case.run(main, functions={"flaky": FLAKY}) == ["try 1", "try 1"]


@behaviour("§7", "start_to_close_timeout ends an attempt with TIMEOUT, and the error names the timeout")
async def call_start_to_close(case: Case) -> None:
    main = """
    local _, err = funcs.new():with_options({
      ["activity.start_to_close_timeout"] = 100,
      ["activity.retry_policy"] = {maximum_attempts = 1},
    }):call("app:slow")
    return {err:kind(), err:details().timeout_type}
    """
    slow = 'require("time").sleep("20s") return 1'
    assert await case.run(main, functions={"slow": slow}) == [TIMEOUT, "start_to_close"]


@behaviour("§7", "schedule_to_close_timeout bounds all attempts together")
async def call_schedule_to_close(case: Case) -> None:
    main = """
    local _, err = funcs.new():with_options({
      ["activity.schedule_to_close_timeout"] = 300,
      ["activity.retry_policy"] = {initial_interval = 100, maximum_interval = 100},
    }):call("app:flaky", 1000)
    return err:kind()
    """
    assert await case.run(main, functions={"flaky": FLAKY}) in (TIMEOUT, "Unavailable")


@behaviour("§7", "schedule_to_start_timeout ends a call that no worker takes")
async def call_schedule_to_start(case: Case) -> None:
    main = """
    local _, err = funcs.new():with_options({
      ["activity.schedule_to_start_timeout"] = 200,
      ["activity.task_queue"] = "nobody-serves-this-" .. tostring(input),
    }):call("app:echo", 1)
    return {err:kind(), err:details().timeout_type}
    """
    assert await case.run(main, case.id(), functions={"echo": "return input"}) == [
        TIMEOUT,
        "schedule_to_start",
    ]


@behaviour("§7", "an attempt without timely heartbeats fails; the next one reads the last heartbeat details")
async def call_heartbeat(case: Case) -> None:
    main = """
    return funcs.new():with_options({
      ["activity.heartbeat_timeout"] = 500,
      ["activity.retry_policy"] = {initial_interval = 10},
    }):call("app:beats")
    """
    beats = """
    local activity, time = require("activity"), require("time")
    return { main = function()
      local info = activity.info()
      if info.attempt == 1 then
        activity.heartbeat({at = 41})
        time.sleep("30s")
      end
      return {attempt = info.attempt, at = info.heartbeat_details.at}
    end }
    """
    assert await case.run(main, functions={"beats": beats}) == {"attempt": 2, "at": 41}


@behaviour("§7", "the retry policy of a call retries timed-out attempts; its final TIMEOUT is not retryable")
async def timeouts_are_final(case: Case) -> None:
    main = """
    local function call(options, ...)
      local value, err = funcs.new():with_options(options):call(...)
      return err and {err:kind(), err:retryable()} or value
    end
    local once, twice = {maximum_attempts = 1}, {maximum_attempts = 2, initial_interval = 10}
    local function child(option)
      local _, err = process.with_options({[option] = 300}):exec("app:child", "app:worker")
      return {err:kind(), err:retryable()}
    end
    return {
      call({["activity.start_to_close_timeout"] = 100, ["activity.retry_policy"] = once}, "app:slow", 1),
      call({["activity.heartbeat_timeout"] = 300, ["activity.retry_policy"] = once}, "app:slow", 1),
      call({["activity.schedule_to_close_timeout"] = 300}, "app:slow", 1),
      call({["activity.schedule_to_start_timeout"] = 200, ["activity.task_queue"] = "not-served"}, "app:slow"),
      call({["activity.local"] = true, ["activity.start_to_close_timeout"] = 100, ["activity.retry_policy"] = once},
        "app:slow", 1),
      call({}, "app:caller"),
      child("workflow.execution_timeout"),
      child("workflow.run_timeout"),
      call({["activity.start_to_close_timeout"] = 300, ["activity.retry_policy"] = twice}, "app:slow", 1),
      call({["activity.heartbeat_timeout"] = 300, ["activity.retry_policy"] = twice}, "app:slow", 1),
      call({["activity.local"] = true, ["activity.start_to_close_timeout"] = 300, ["activity.retry_policy"] = twice},
        "app:slow", 1),
    }
    """
    slow = """
    local activity, time = require("activity"), require("time")
    return { main = function(attempts)
      local info = activity.info()
      if info.attempt <= attempts then time.sleep("30s") end
      return "attempt " .. info.attempt
    end }
    """
    caller = """
    local quick = require("funcs").new():with_options({["activity.start_to_close_timeout"] = 100})
    local _, err = quick:call("app:sleeps")
    return {err:kind(), err:retryable()}
    """
    app = await case.app(
        main,
        workflows={"child": 'time.sleep("1h")'},
        functions={"slow": slow, "caller": caller, "sleeps": 'require("time").sleep("1h")'},
    )
    final = [TIMEOUT, False]
    assert await app.run("app:main", id=case.id()) == [final] * 8 + ["attempt 2"] * 3
    for option in ("execution_timeout", "run_timeout"):
        error = await app.fails("app:child", id=case.id(), options={option: 300})
        assert (error.kind, error.retryable) == (TIMEOUT, False)


@behaviour("§7", "activity.info describes the call")
async def call_info(case: Case) -> None:
    about = """
    local info = require("activity").info()
    return {info.workflow_id, info.attempt, type(info.activity_id), info.task_queue}
    """
    app = await case.app('return funcs.call("app:about")', functions={"about": about})
    id = case.id()
    assert await app.run("app:main", id=id) == [id, 1, "string", "main"]


@behaviour("§7", "a future yields its payload, or its error object, once")
async def futures(case: Case) -> None:
    main = """
    local good = funcs.async("app:echo", {n = 1})
    local bad = funcs.async("app:fails")
    local pending = good:is_complete()
    local p, ok = good:channel():receive()
    local e, eok = bad:response():receive()
    local value, verr = good:result()
    local none, err = bad:result()
    local e2, failed = bad:error()
    local e3, fine = good:error()
    return {pending, p:data().n, ok, e:kind(), eok,
      value:data().n, verr == nil, none == nil, err:kind(), failed, fine}
    """
    functions = {"echo": "return input", "fails": 'return nil, errors.new("Nope", "no")'}
    result = await case.run(main, functions=functions)
    assert result == [False, 1, True, "Nope", True, 1, True, True, "Nope", True, False]


@behaviour("§7", "after cancel, a future is CANCELED at once")
async def future_canceled(case: Case) -> None:
    main = """
    local future = funcs.async("app:slow")
    time.sleep("50ms")
    future:cancel()
    local none, err = future:result()
    return {future:is_canceled(), future:is_complete(), none == nil, err:kind(), tostring(err)}
    """
    flags = await case.run(main, functions={"slow": 'require("time").sleep("20s") return 1'})
    assert flags[:4] == [True, True, True, "Canceled"]
    assert "canceled" in flags[4]


@behaviour("§7", "calls of several coroutines run side by side")
async def calls_in_parallel(case: Case) -> None:
    main = """
    local done = channel.new(10)
    for i = 1, 5 do
      coroutine.spawn(function() done:send((funcs.call("app:echo", i))) end)
    end
    local sum = 0
    for i = 1, 5 do sum = sum + done:receive() end
    return sum
    """
    assert await case.run(main, functions={"echo": "return input"}) == 15


@behaviour("§7", "meta.temporal.activity.local runs a call inside of the workflow's own task")
async def local_calls(case: Case) -> None:
    main = """
    local sum = 0
    for i = 1, 5 do sum = sum + funcs.call("app:echo", i) end
    local forced = funcs.new():with_options({["activity.local"] = true}):call("app:other", 7)
    return {sum, forced}
    """
    meta = {"echo": {"temporal": {"activity": {"local": True}}}}
    functions = {"echo": "return input", "other": "return input"}
    assert await case.run(main, functions=functions, meta=meta) == [15, 7]


@behaviour("§7", "local calls are retried, and fail, as others are")
async def local_calls_fail(case: Case) -> None:
    main = """
    local fast = funcs.new():with_options({
      ["activity.local"] = true, ["activity.retry_policy"] = {initial_interval = 10, maximum_attempts = 4},
    })
    local _, err = fast:call("app:flaky", 9)
    return {fast:call("app:flaky", 2), err:message()}
    """
    assert await case.run(main, functions={"flaky": FLAKY}) == [3, "try 4"]


@behaviour("§10", "context set on an executor or a start passes on to everything called below")
async def context_flows(case: Case) -> None:
    main = """
    local mine = ctx.get("tenant")
    local changed = funcs.new():with_context({step = "two", tenant = "other"})
    local _, missing = ctx.get("nothing")
    return {mine, (funcs.call("app:reads")), changed:call("app:reads"), missing:kind()}
    """
    reads = "return ctx.all()"
    app = await case.app(main, functions={"reads": reads})
    result = await app.run("app:main", id=case.id(), context={"tenant": "acme"})
    assert result == ["acme", {"tenant": "acme"}, {"tenant": "other", "step": "two"}, NOT_FOUND]
