"""The workflow module (§8), replay and versions."""

from __future__ import annotations

from saros.model.errors import INVALID, NOT_FOUND

from ...apps import lua_app
from ...cases import TestApp
from ..suite import Case, behaviour, eventually, refused
from .helpers import answers, order_result, problem_of, shared, started


@behaviour("§8", "workflow.info describes the execution")
async def info(case: Case) -> None:
    main = """
    local i = require("workflow").info()
    return {i.workflow_id, type(i.run_id), i.workflow_type, i.task_queue, type(i.namespace), i.attempt,
      i.history_length > 0, i.history_size > 0}
    """
    app = await case.app(main)
    id = case.id()
    result = await app.run("app:main", id=id)
    assert result[:5] == [id, "string", "app:main", "main", "string"]
    assert result[5:] == [1, True, True]


@behaviour("§2", "code at the top level of a source may call and wait, as it may in functions")
async def top_level_calls(case: Case) -> None:
    source = """
    local funcs, time = require("funcs"), require("time")
    local first = funcs.call("app:echo", 1)
    time.sleep("5ms")
    local shared = require("shared")
    return { main = function() return {first, shared.value, (funcs.call("app:echo", 3))} end }
    """
    shared = 'return {value = (require("funcs").call("app:echo", 2))}'
    app = await case.app(
        source,
        functions={
            "echo": "return input",
            "calls": source,
            "execs": 'return process.exec("app:actor", "app:host")',
        },
        processes={"actor": source},
        libraries={"shared": shared},
    )
    assert await app.run("app:main", id=case.id()) == [1, 2, 3]
    assert await app.call("app:calls") == [1, 2, 3]
    assert await app.call("app:execs") == [1, 2, 3]


@behaviour("§8", "history_length and history_size grow with what happens")
async def history_grows(case: Case) -> None:
    main = """
    local w = require("workflow")
    local n, s = w.history_length(), w.history_size()
    for _ = 1, 3 do funcs.call("app:echo", "some text") end
    return {w.history_length() >= n + 6, w.history_size() > s}
    """
    assert await case.run(main, functions={"echo": "return input"}) == [True, True]


@behaviour("§8", "continue_as_new starts over with new arguments, the same id and context")
async def continues(case: Case) -> None:
    main = """
    if input < 3 then require("workflow").continue_as_new(input + 1) end
    return {input, ctx.get("tenant"), require("workflow").info().workflow_id}
    """
    app = await case.app(main)
    id = case.id()
    assert await app.run("app:main", 0, id=id, context={"tenant": "t"}) == [3, "t", id]


@behaviour("§8", "a child that continues as new keeps its parent, which gets the result of the last run")
async def child_continues(case: Case) -> None:
    main = 'return {process.pid(), process.exec("app:child", "app:worker", 0)}'
    child = """
    if input < 2 then require("workflow").continue_as_new(input + 1) end
    return {require("workflow").info().parent, input}
    """
    own, (parent, runs) = await case.run(main, workflows={"child": child})
    assert (parent, runs) == (own, 2)


@behaviour("§6", "process.upgrade goes on with the code of another entry")
async def upgrades(case: Case) -> None:
    main = 'process.upgrade("app:next", {from = input})'
    assert await case.run(main, 4, workflows={"next": "return input.from + 1"}) == 5


@behaviour("design 5", "a runaway loop fails its own task, inside of pcall too, while others go on")
async def runaway(case: Case) -> None:
    workflows = {"endless": "pcall(function() while true do end end) while true do end"}
    app = await case.app("return 1", workflows=workflows)
    bad = await app.start("app:endless", id=case.id())
    problem = await problem_of(app, bad.id)
    assert "instructions" in problem or "endless" in problem, problem
    assert await app.run("app:main", id=case.id()) == 1
    await bad.terminate("it never ends")


@behaviour("§8", "a query reads without changing anything")
async def queries(case: Case) -> None:
    main = """
    local status, w = "waiting", require("workflow")
    w.on_query("status", function(prefix) return prefix .. status end)
    w.on_query("writes", function() return funcs.call("app:echo", 1) end)
    w.on_query("draws", function() return math.random(9) end)
    process.inbox():receive()
    status = "done"
    process.inbox():receive()
    return status
    """
    app = await case.app(main, functions={"echo": "return input"})
    order = await app.start("app:main", id=case.id())
    await eventually(lambda: started(app, order.id), "the workflow waits")
    assert await order.query("status", "is ") == "is waiting"
    await order.signal("next")
    await eventually(lambda: answers(order, "is done"), "the signal took effect")
    for name, kind in (("nothing", NOT_FOUND), ("writes", None), ("draws", None)):
        error = await refused(order.query(name))
        assert kind is None or error.kind == kind
    await order.signal("end")
    assert await order.result(30) == "done"
    assert await order.query("status", "was ") == "was done"


@behaviour("§8", "an update changes state and answers; its validator may refuse")
async def updates(case: Case) -> None:
    main = """
    local total, w = 0, require("workflow")
    w.on_update("add", function(n)
      total = total + funcs.call("app:echo", n)
      return total
    end, function(n) if n < 0 then error(errors.new("TooSmall", "n is negative")) end end)
    process.inbox():receive()
    return total
    """
    app = await case.app(main, functions={"echo": "return input"})
    order = await app.start("app:main", id=case.id())
    await eventually(lambda: started(app, order.id), "the workflow waits")
    assert await order.update("add", 2) == 2
    assert await order.update("add", 3) == 5
    error = await refused(order.update("add", -1))
    assert error.kind == "TooSmall"
    await order.signal("end")
    assert await order.result(30) == 5


@behaviour("§8", "side_effect runs once, and its value is recorded")
async def side_effects(case: Case) -> None:
    main = """
    local v = require("workflow").side_effect(function() return {n = math.random(1, 1000000)} end)
    time.sleep("10ms")
    return v.n >= 1
    """
    assert await case.run(main) is True


@behaviour("§8", "a cancellation does not discard the value of a side_effect")
async def side_effect_cancelled(case: Case) -> None:
    path, id = case.path / "cancelled", case.id()
    main = """
    local value, err = require("workflow").side_effect(function() return 7 end)
    local slept, why = time.sleep("1h")
    return {value, err == nil, why:kind()}
    """
    lua_app(path, workflows={"main": main})
    async with TestApp(path, shared(case), workers=False) as app:
        order = await app.start("app:main", id=id)
        await order.cancel("enough")  # the first task gets both
        app.app.start_workers()
        assert await order_result(app, id) == [7, True, "Canceled"]


@behaviour("§8", "random numbers in a side_effect come from the system, and those around it from the run")
async def side_effect_randomness(case: Case) -> None:
    main = """
    local w, uuid, crypto = require("workflow"), require("uuid"), require("crypto")
    local function draw()
      return {uuid.v4(), uuid.v7(), crypto.random.string(16), math.random(1 << 62), uuid.v1(), math.randomseed()}
    end
    local drawn = {}
    w.on_query("drawn", function() return drawn end)
    drawn = {draw(), w.side_effect(draw), draw(), w.side_effect(draw), draw()}
    return drawn
    """
    app = await case.app(main)
    order = await app.start("app:main", id=case.id())
    drawn = await order.result(20)
    assert await order.query("drawn") == drawn, "a replay draws the same"
    again = await app.run("app:main", id=case.id())
    for kind in range(5):
        seen = [found[kind] for found in [*drawn, *again]]
        assert len(set(seen)) == len(seen), "nothing is drawn twice, in this run or another"


@behaviour("§8", "a side_effect only computes: operations that a replay would skip are refused")
async def side_effect_only_computes(case: Case) -> None:
    main = """
    local w, time, told = require("workflow"), require("time"), {}
    local function refused(fn)
      local fine, err = pcall(w.side_effect, fn)
      told[#told + 1] = not fine and errors.is(err, errors.INTERNAL)
    end
    refused(function() time.sleep("1s") end)
    refused(function() process.send(process.pid(), "topic") end)
    refused(function() coroutine.yield() end)
    refused(function() w.side_effect(function() return 1 end) end)
    refused(function() channel.new(0):receive() end)
    return {told, w.side_effect(function() return 5 end)}
    """
    assert await case.run(main) == [[True] * 5, 5]


@behaviour("§8", "what a side_effect raises is recorded, too")
async def side_effect_raises(case: Case) -> None:
    main = """
    local w, calls = require("workflow"), 0
    local ok, err = pcall(w.side_effect, function() calls = calls + 1 error(errors.new("Odd", "text")) end)
    local value = w.side_effect(function() calls = calls + 1 return 5 end)
    time.sleep("10ms")
    return {ok, errors.is(err, "Odd"), err:message(), value, calls}
    """
    assert await case.run(main) == [False, True, "text", 5, 2]


@behaviour("§2", "not-for-workflow modules and dangerous globals give a clear error")
async def forbidden(case: Case) -> None:
    main = """
    local texts = {}
    for i, try in ipairs({
      function() return io.open("x") end, function() return require("http_client") end,
      function() return os.execute("ls") end, function() return debug.traceback() end,
    }) do
      local ok, err = pcall(try)
      texts[i] = (not ok) and tostring(err) or "allowed"
    end
    return texts
    """
    texts = await case.run(main)
    assert all(text != "allowed" for text in texts)
    assert "main.lua:" in texts[0]


@behaviour("§1", "imports are shared code, loaded when required")
async def imports(case: Case) -> None:
    library = "local M = {}\nfunction M.twice(n) return n * 2 end\nreturn M\n"
    main = 'return {require("lib").twice(4), require("lib") == require("lib"), (funcs.call("app:uses", 5))}'
    uses = 'return require("lib").twice(input)'
    result = await case.run(main, functions={"uses": uses}, libraries={"lib": library})
    assert result == [8, True, 10]


@behaviour("§13", "an unknown entry and a wrong kind of entry are refused before anything starts")
async def bad_starts(case: Case) -> None:
    app = await case.app("return 1", functions={"echo": "return input"})
    for entry, kind in (("app:nothing", NOT_FOUND), ("app:echo", INVALID)):
        error = await refused(app.start(entry))
        assert error.kind == kind
