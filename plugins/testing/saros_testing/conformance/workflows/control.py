"""Cancel, terminate, timeouts, list and describe (§6, §8, §12)."""

from __future__ import annotations

import asyncio

from saros.model.errors import CANCELED, NOT_FOUND, TIMEOUT

from ..suite import Case, behaviour, refused


@behaviour(
    "§6",
    "a workflow that never asked for events is cancelled cooperatively, and may compensate once it asks for them",
)
async def cooperative_cancel(case: Case) -> None:
    main = """
    local ok, err = time.sleep("1h")
    process.events()
    local undone = funcs.call("app:echo", "undone")
    return nil, errors.new{kind = errors.CANCELED, message = tostring(err) .. " " .. undone}
    """
    app = await case.app(main, functions={"echo": "return input"})
    with case.still(app):
        order = await app.start("app:main", id=case.id())
        await asyncio.sleep(0.2)
        await order.cancel("changed my mind")
    error = await refused(order.result(30))
    assert error.kind == CANCELED
    assert error.message == "canceled: changed my mind undone"
    assert (await order.describe()).status == "canceled"


_TRIES = """
    local kinds = {}
    local function add(value, err)
      kinds[#kinds + 1] = value == nil and err:kind() or tostring(value)
    end
    add(time.sleep("1h"))
    add(time.sleep("1h"))
    add(funcs.call("app:echo", "called"))
    add(process.spawn("app:idle", "app:host"))
    local future = funcs.async("app:echo", "started")
    add(nil, select(2, future:result()))
    local ok, err = pcall(function() channel.new(0):receive() end)
    add(nil, not ok and err)
    ok, err = pcall(function() channel.select({process.inbox():case_receive()}) end)
    add(nil, not ok and err)
    local full = channel.new(1)
    full:send(1)
    add((full:receive()))
    process.events()
    add(time.sleep("1ms"))
    add(funcs.call("app:echo", "called"))
    return kinds
"""
_TRIED = [CANCELED] * 7 + ["1", "true", "called"]


@behaviour("§6", "once cancelled, every later call that blocks is refused, until the code asks for events()")
async def stays_cancelled(case: Case) -> None:
    cancels = """
    local pid
    if input == "process" then
      pid = process.spawn_monitored("app:tries", "app:host", process.pid())
    else
      future = funcs.async("app:try", process.pid())
      pid = process.inbox():receive():from()
    end
    process.cancel(pid, "enough")
    if input == "process" then
      return process.events():receive().result.value
    end
    return future:response():receive():data()
    """
    tells = f'process.send(input, "here")\n{_TRIES}'
    functions = {"echo": "return input", "cancels": f"local future\n{cancels}", "try": tells}
    app = await case.app(_TRIES, functions=functions, processes={"tries": _TRIES, "idle": "time.sleep('1h')"})
    order = await app.start("app:main", id=case.id())
    await order.cancel("enough")
    assert await order.result(30) == _TRIED
    assert await app.call("app:cancels", "process") == _TRIED
    assert await app.call("app:cancels", "function") == _TRIED


@behaviour("§6", "code that goes on regardless of its cancellation is ended as canceled")
async def ignores_its_cancellation(case: Case) -> None:
    main = """
    while true do
      pcall(function() process.inbox():receive() end)
      time.sleep("1s")
    end
    """
    app = await case.app(main)
    order = await app.start("app:main", id=case.id())
    await order.cancel("enough")
    error = await refused(order.result(30))
    assert (error.kind, error.message) == (CANCELED, "canceled: enough")
    assert (await order.describe()).status == "canceled"


@behaviour("§6", "a cancelled channel receive raises CANCELED")
async def cancel_raises_in_receive(case: Case) -> None:
    main = """
    local ok, err = pcall(function() process.inbox():receive() end)
    return {ok, err:kind()}
    """
    app = await case.app(main)
    order = await app.start("app:main", id=case.id())
    await asyncio.sleep(0.2)
    await order.cancel()
    assert await order.result(30) == [False, CANCELED]


@behaviour("§6", "with events() a cancel is an event, and nothing else happens")
async def cancel_as_event(case: Case) -> None:
    main = """
    local events = process.events()
    local e = events:receive()
    time.sleep("10ms")
    return {e.kind, e.reason}
    """
    app = await case.app(main)
    order = await app.start("app:main", id=case.id())
    await order.cancel("because")
    assert await order.result(30) == ["CANCEL", "because"]


@behaviour("§6", "terminate ends at once; watchers get EXIT with an error")
async def terminates(case: Case) -> None:
    main = """
    local pid = process.spawn("app:waits", "app:worker")
    local ok = process.terminate(pid)
    local e = process.events():receive()
    return {ok, e.kind, e.from == pid, e.error ~= nil}
    """
    assert await case.run(main, workflows={"waits": "process.inbox():receive()"}) == [
        True,
        "EXIT",
        True,
        True,
    ]


@behaviour(
    "§6", "an ended execution can be neither cancelled, terminated nor monitored: NOT_FOUND, for all who ask"
)
async def ended_destinations(case: Case) -> None:
    asks = """
    local kinds = {}
    for n, verb in ipairs({"cancel", "terminate", "monitor"}) do
      local ok, err = process[verb](input)
      kinds[n] = ok == nil and err:kind()
    end
    kinds[4] = process.unmonitor(input)
    return kinds
    """
    child = f"""
    local pid = process.spawn("app:quick", "app:worker")
    process.events():receive()
    return (function(input) {asks} end)(pid)
    """
    app = await case.app(asks, workflows={"quick": "return 1", "child": child}, functions={"asks": asks})
    ended = await app.start("app:quick", id=case.id())
    await ended.result(30)
    expected = [NOT_FOUND, NOT_FOUND, NOT_FOUND, True]
    assert await app.run("app:child", id=case.id()) == expected
    for dest in (ended.pid, ended.id):
        assert await app.run("app:main", dest, id=case.id()) == expected
        assert await app.call("app:asks", dest) == expected
    for request in (ended.cancel(), ended.terminate()):
        assert (await refused(request)).kind == NOT_FOUND


@behaviour(
    "§6", "only what runs can have a name: to register another pid is NOT_FOUND, and the name stays free"
)
async def names_of_the_ended(case: Case) -> None:
    main = """
    local workflow, here = process.spawn("app:quick", "app:worker"), process.spawn("app:short", "app:host")
    process.events():receive() process.events():receive()
    local found = {}
    for n, pid in ipairs({workflow, here, "app:worker|nobody", "nobody"}) do
      local ok, err = process.registry.register(input, pid)
      found[n] = ok == nil and err:kind()
    end
    found[5] = process.registry.register(input)
    return found
    """
    parts = {"workflows": {"quick": "return 1"}, "processes": {"short": "return 1"}}
    assert await case.run(main, case.id(), **parts) == [*[NOT_FOUND] * 4, True]


@behaviour("§13", "a handle terminates and describes an execution, and its result raises the reason")
async def handle_terminates(case: Case) -> None:
    app = await case.app('time.sleep("1h")')
    order = await app.start("app:main", id=case.id())
    assert (await order.describe()).status == "running"
    await order.terminate("test over")
    error = await refused(order.result(30))
    assert "test over" in str(error)
    assert (await order.describe()).status == "terminated"


@behaviour("§8", "execution_timeout ends a workflow with TIMEOUT")
async def execution_timeout(case: Case) -> None:
    app = await case.app('time.sleep("1h")')
    error = await app.fails("app:main", id=case.id(), options={"execution_timeout": 300})
    assert error.kind == TIMEOUT


@behaviour("§8", "start_delay delays the first task")
async def start_delay(case: Case) -> None:
    app = await case.app("return 1")
    with case.still(app):
        order = await app.start("app:main", id=case.id(), options={"start_delay": 500})
        error = await refused(order.result(0.1))
    assert error.kind == TIMEOUT
    assert await order.result(30) == 1


@behaviour(
    "§8", "a workflow's retry_policy starts it again after a retryable failure; describe shows the attempt"
)
async def workflow_retry(case: Case) -> None:
    main = """
    local attempt = require("workflow").info().attempt
    if attempt < 3 then return nil, errors.new{message = "again", retryable = true} end
    return attempt
    """
    app = await case.app(main)
    policy = {"initial_interval": 10, "maximum_attempts": 5}
    order = await app.start("app:main", id=case.id(), options={"retry_policy": policy})
    assert await order.result(30) == 3
    assert (await app.app.get(order.id).describe()).attempt == 3


@behaviour(
    "§6", "an execution has one monitor of each watcher, by pid or by id: one EXIT, and none after unmonitor"
)
async def one_monitor(case: Case) -> None:
    main = """
    local events, heard = process.events(), {}
    local function exits(expected)
      local count = 0
      while count < expected do events:receive() count = count + 1 end
      local quiet = time.after("300ms")
      while true do
        local chosen = channel.select{events:case_receive(), quiet:case_receive()}
        if chosen.channel == quiet then return count end
        count = count + 1
      end
    end
    for n, watch in ipairs({
      function(id, pid) process.monitor(id) process.monitor(pid) process.monitor(id) end,
      function(id, pid) process.unmonitor(id) end,
      function(id, pid) process.unmonitor(pid) process.monitor(id) end,
      function(id, pid) process.monitor(id) process.unmonitor(pid) end,
      function(id, pid) process.with_options({["workflow.id"] = id}):spawn("app:waits", "app:worker") end,
    }) do
      local id = input .. n
      local pid = process.with_options({["workflow.id"] = id}):spawn("app:waits", "app:worker")
      watch(id, pid)
      process.send(id, "end")
      heard[n] = exits(n % 2)
    end
    return heard
    """
    assert await case.run(main, case.id(), workflows={"waits": "process.inbox():receive()"}) == [
        1,
        0,
        1,
        0,
        1,
    ]


@behaviour("§6", "a pid that a child had reaches whatever runs under it later")
async def pid_used_again(case: Case) -> None:
    main = """
    local events = process.events()
    local pid = process.with_options({["workflow.id"] = input}):spawn("app:waits", "app:worker")
    process.send(pid, "end")
    events:receive()
    local _, gone = process.send(pid, "late")
    local same = funcs.call("app:starts", input) == pid
    local watched = process.monitor(pid)
    local sent = process.send(pid, "end")
    local exit = events:receive()
    return {gone:kind(), same, watched, sent, exit.from == pid}
    """
    starts = 'return process.with_options({["workflow.id"] = input}):spawn("app:waits", "app:worker")'
    parts = {"workflows": {"waits": "process.inbox():receive()"}, "functions": {"starts": starts}}
    assert await case.run(main, case.id(), **parts) == [NOT_FOUND, True, True, True, True]
