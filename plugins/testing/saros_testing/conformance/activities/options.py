"""Options that every backend refuses, and the meaning of those that every backend accepts (§7, §8)."""

from __future__ import annotations

import random

from saros.model.errors import INVALID, NOT_FOUND

from ..suite import Case, behaviour, refused


@behaviour("§8", "options of a start that a backend refuses are INVALID at once")
async def bad_start_options(case: Case) -> None:
    main = """
    local kinds = {}
    for i, given in ipairs({
      {cron_schedule = "every day"}, {cron_schedule = "* * * * * *"}, {cron_schedule = "0 0 30 2 *"},
      {cron_schedule = "0 0 * * *", start_delay = "1h"}, {id = ("x"):rep(1200)}, {task_queue = ("x"):rep(1200)},
      {retry_policy = {maximum_attempts = 2147483648}}, {execution_timeout = "2000000h"},
      {retry_policy = {backoff_coefficient = 1/0}}, {retry_policy = {non_retryable_error_types = {a = "b"}}},
      {memo = {1, 2}}, {search_attributes = {1, 2}}, {search_attributes = {a = {b = 1}}},
      {memo = {}, id = "\\xff"}, {task_queue = "\\xff"}, {cron_schedule = "\\xff"},
      {retry_policy = {non_retryable_error_types = {"\\xff"}}},
      {id_conflict_policy = "terminate_existing", id_reuse_policy = "reject_duplicate"},
    }) do
      local options = {}
      for name, value in pairs(given) do options["workflow." .. name] = value end
      local spawner, err = process.with_options(options)
      if spawner then _, err = spawner:spawn("app:quick", "app:worker") end
      kinds[i] = err and err:kind() or "taken"
    end
    local empty = process.with_options{["workflow.memo"] = {}, ["workflow.search_attributes"] = {}}
    kinds[#kinds + 1] = empty:exec("app:quick", "app:worker")
    return kinds
    """
    app = await case.app(main, workflows={"quick": "return 1"})
    assert await app.run("app:main", id=case.id()) == [INVALID] * 18 + [1]
    for options in (
        {"cron_schedule": "every day"},
        {"cron_schedule": "0 0 * * *", "start_delay": 1000},
        {"task_queue": "x" * 1200},
        {"retry_policy": {"maximum_attempts": 2**31}},
        {"retry_policy": {"backoff_coefficient": 0.5}},
        {"execution_timeout": 2**62},
        {"run_timeout": -1},
        {"id_reuse_policy": "sometimes"},
        {"id_conflict_policy": "terminate_existing", "id_reuse_policy": "reject_duplicate"},
        {"memo": 5},
        {"memo": [1]},
        {"search_attributes": [1]},
        {"search_attributes": {"a": {"b": 1}}},
    ):
        assert (await refused(app.start("app:quick", id=case.id(), options=options))).kind == INVALID
    assert (await refused(app.start("app:quick", id="x" * 1200))).kind == INVALID


@behaviour("§8", "a start may name only the namespace of its worker; eager starts and calls are hints")
async def namespaces_and_hints(case: Case) -> None:
    starts = """
    local function start(namespace)
      local spawner = process.with_options{
        ["temporal.workflow.namespace"] = namespace, ["workflow.enable_eager_start"] = true,
      }
      local result, err = spawner:exec("app:quick", "app:worker")
      return result or err:kind()
    end
    """
    main = (
        starts
        + """
    local hasty = funcs.new():with_options{["temporal.activity.disable_eager_execution"] = true}
    local own = workflow.info().namespace
    return {start("elsewhere"), start(own), start(nil), (hasty:call("app:echo", 1)), (funcs.call("app:starts", own))}
    """
    )
    app = await case.app(
        main,
        workflows={"quick": "return 1"},
        functions={
            "echo": "return ...",
            "starts": starts + 'local own = ...; return {start("elsewhere"), start(own), start(nil)}',
        },
    )
    outcome = await app.run("app:main", id=case.id())
    assert outcome == [INVALID, 1, 1, 1, [INVALID, 1, 1]]
    elsewhere = app.start("app:quick", id=case.id(), options={"namespace": "elsewhere"})
    assert (await refused(elsewhere)).kind == INVALID


@behaviour("§7", "options of a call that a backend refuses are INVALID at once")
async def bad_call_options(case: Case) -> None:
    main = """
    local function kind_of(given, id)
      local options = {}
      for name, value in pairs(given) do options["activity." .. name] = value end
      local executor, err = funcs.new():with_options(options)
      if executor then _, err = executor:call(id or "app:echo", 1) end
      return err and err:kind() or "taken"
    end
    local named = funcs.new():with_options({["activity.id"] = "one"})
    local future = named:async("app:echo", 1)
    local none, twice = named:call("app:echo", 2)
    future:channel():receive()
    local again = named:call("app:echo", 3)
    return {
      none == nil and twice:kind(), again,
      kind_of{start_to_close_timeout = 0}, kind_of{retry_policy = {maximum_attempts = 2147483648}},
      kind_of{id = ("x"):rep(1200)}, kind_of{task_queue = ("x"):rep(1200)}, kind_of({}, "app:" .. ("x"):rep(1200)),
      kind_of{start_to_close_timeout = "2000000h"},
      kind_of{id = "\\xff"}, kind_of{task_queue = "\\xff"}, kind_of({}, "app:\\xff"),
      kind_of{retry_policy = {backoff_coefficient = 1/0}},
      kind_of{retry_policy = {non_retryable_error_types = {"\\xff"}}},
      kind_of{retry_policy = {non_retryable_error_types = {a = "b"}}},
      kind_of{retry_policy = {initial_interval = 0, maximum_interval = 1}, heartbeat_timeout = 0},
    }
    """
    result = await case.run(main, functions={"echo": "return input"})
    assert result == [INVALID, 3, *[INVALID] * 12, "taken"]


@behaviour(
    "§6", "a string that is not UTF-8 names nothing: as a name, a topic or a destination it is INVALID"
)
async def bytes_name_nothing(case: Case) -> None:
    asks = """
    local function kind_of(value, err) return err and err:kind() or "taken" end
    local odd, registry, spawner = "\\xff", process.registry, process.with_options({})
    local kinds = {
      kind_of(process.send(odd, "topic")), kind_of(process.send(process.pid(), odd)), kind_of(process.listen(odd)),
      kind_of(process.monitor(odd)), kind_of(process.cancel(odd)), kind_of(process.terminate(odd)),
      kind_of(registry.register(odd)), kind_of(registry.lookup(odd)), kind_of(registry.unregister(odd)),
      kind_of(process.spawn(odd, "app:worker")), kind_of(process.spawn("app:quick", odd)),
      kind_of(spawner:with_name(odd)), kind_of(spawner:with_message(odd)), kind_of(funcs.call(odd)),
    }
    """
    handlers = """
    local workflow = require("workflow")
    for i, deed in ipairs({
      function() workflow.version("\\xff", 1, 2) end,
      function() workflow.on_query("\\xff", print) end,
      function() workflow.on_update("\\xff", print) end,
    }) do
      kinds[#kinds + 1] = pcall(deed) and "taken" or "raised"
    end
    """
    reads = """
    kinds[#kinds + 1] = kind_of(process.query("app:worker|none", odd))
    kinds[#kinds + 1] = kind_of(process.update(odd, "name"))
    """
    app = await case.app(
        f"{asks} {handlers} return kinds",
        workflows={"quick": "return 1"},
        functions={"asks": f"{asks} {reads} return kinds"},
    )
    assert await app.run("app:main", id=case.id()) == [INVALID] * 14 + ["raised"] * 3
    assert await app.call("app:asks") == [INVALID] * 16


@behaviour(
    "§7",
    "a maximum_interval below the initial_interval counts as equal to it, and an initial_interval of 0 means 1 s",
)
async def intervals(case: Case) -> None:
    main = """
    local waits = {}
    for i, policy in ipairs({
      {initial_interval = 400, maximum_interval = 1, maximum_attempts = 3},
      {initial_interval = 0, maximum_attempts = 2},
    }) do
      local begin = time.now()
      funcs.new():with_options({["activity.retry_policy"] = policy}):call("app:fails")
      waits[i] = time.now():sub(begin):milliseconds()
    end
    return waits
    """
    fails = 'return nil, errors.new{message = "again", retryable = true}'
    first, second = await case.run(main, functions={"fails": fails})
    assert first >= 800
    assert second >= 1000


@behaviour(
    "§6",
    "nothing has an id of more than 1,000 bytes or a name of more than 900; asking for it stops no worker",
)
async def long_names(case: Case) -> None:
    asks = """
    local function kind_of(value, err) return err and err:kind() or "taken" end
    local long, registry = ..., process.registry
    local function every(dest)
      return {
        kind_of(process.send(dest, "topic")), kind_of(process.monitor(dest)),
        kind_of(process.cancel(dest)), kind_of(process.terminate(dest)),
      }
    end
    local most = long:sub(1, 900)
    return {
      every(long), every("app:worker|" .. long), every("@none|" .. long), every("app:worker|" .. long:sub(1, 999)),
      {kind_of(registry.register(long)), kind_of(registry.lookup(long)), kind_of(registry.unregister(long)),
        kind_of(process.with_options({}):with_name(long))},
      {kind_of(registry.register(most)), kind_of(registry.lookup(most)), kind_of(registry.unregister(most))},
    }
    """
    attrs = 'return select(2, require("workflow").attrs{search = {[input] = 1}}):kind()'
    app = await case.app(asks, workflows={"attrs": attrs, "quick": "return 1"}, functions={"asks": asks})
    long = "".join(map(chr, random.Random(1).choices(range(0x4E00, 0x9FA5), k=3000)))  # is not compressible
    expected = [[NOT_FOUND] * 4] * 4 + [[INVALID] * 4, ["taken"] * 3]
    assert await app.run("app:main", long, id=case.id()) == expected
    assert await app.call("app:asks", long) == expected
    assert await app.run("app:attrs", long, id=case.id()) == INVALID
    named = app.start("app:quick", id=case.id(), name=long)
    assert (await refused(named)).kind == INVALID
    options = {"search_attributes": {long: 1}}
    assert (await refused(app.start("app:quick", id=case.id(), options=options))).kind == INVALID
