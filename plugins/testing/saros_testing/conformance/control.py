"""Cancel, terminate, timeouts, list and describe (§6, §8, §12)."""

from __future__ import annotations

import asyncio

from saros.model.errors import CANCELED, INVALID, TIMEOUT

from .suite import Case, behaviour, eventually, refused


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


@behaviour("§8", "workflow.attrs are visible in describe and select in list")
async def attributes(case: Case) -> None:
    main = """
    local ok = require("workflow").attrs({
      search = {customer = input, total = 12.5, items = 3, vip = true, tags = {"a", "b"}},
      memo = {notes = "call first"},
    })
    process.inbox():receive()
    return ok
    """
    app = await case.app(main)
    customer = case.id()
    order = await app.start("app:main", customer, id=case.id())
    await app.start("app:main", "somebody else", id=case.id())
    query = f"customer = '{customer}' and total > 10 and items in (3, 4) and vip = true and tags = 'b'"

    async def listed() -> bool:
        return [info.id async for info in app.app.list(query, status="running")] == [order.id]

    await eventually(listed, "the execution is listed")
    info = await order.describe()
    tags = info.search_attributes.pop("tags")
    assert info.search_attributes == {"customer": customer, "total": 12.5, "items": 3, "vip": True}
    assert sorted(tags) == ["a", "b"]
    assert info.memo == {"notes": "call first"}
    await order.signal("end")
    assert await order.result(30) is True


@behaviour("§12", "list and count take or, not, parentheses, in, starts with, null and times relative to now")
async def queries(case: Case) -> None:
    main = """
    require("workflow").attrs({search = input})
    process.inbox():receive()
    """
    app = await case.app(main)
    group = case.id()
    given = (
        {"customer": f"{group}a", "total": 5.0, "vip": True},
        {"customer": f"{group}b", "total": 50.0},
        {"customer": f"{group}c"},
    )
    ids = [(await app.start("app:main", search, id=case.id())).id for search in given]
    ours = f"customer starts with '{group}'"

    async def listed() -> bool:
        return {info.id async for info in app.app.list(ours, status="running")} == set(ids)

    await eventually(listed, "the executions are listed")
    for query, wanted in (
        ("total < 10 or total > 40", "ab"),
        ("not total > 10", "ac"),
        ("total is null", "c"),
        ("total is not null and not (total = 5 and vip = true)", "b"),
        ("not (total = 5 or total = 50)", "c"),
        (f"customer not in ('{group}a', '{group}c')", "b"),
        (f"customer not starts with '{group}a'", "bc"),
        ("vip != true", "bc"),
        ("start_time > now - 1h and start_time < now + 1h", "abc"),
        ("start_time < now - 1h or close_time is not null", ""),
        ("NOT not total = 5", "a"),
    ):
        found = {info.id async for info in app.app.list(f"{ours} and ({query})", status="running")}
        assert found == {ids["abc".index(letter)] for letter in wanted}, query
        assert await app.app.count(f"{ours} and ({query})", status="running") == len(wanted), query
    for bad in ("statsu = 'x'", "status = 'runing'", "(total = 5", "total = 5 or", "start_time > now - x"):
        assert (await refused(app.app.count(bad))).kind == INVALID, bad


@behaviour("§12", "a start returns whether it created the execution or joined a running one")
async def joined(case: Case) -> None:
    app = await case.app("return process.inbox():receive():topic()")
    id = case.id()
    first = await app.start("app:main", id=id)
    second = await app.start("app:main", id=id)
    assert (first.created, second.created) == (True, False)
    assert second.pid == first.pid
    await first.signal("end")
    assert await second.result(30) == "end"


@behaviour("§8", "a value that cannot be a search attribute is INVALID, and blocks nothing")
async def bad_attributes(case: Case) -> None:
    main = """
    local ok, err = require("workflow").attrs({search = {nested = {a = 1}}})
    return {ok == nil, err:kind()}
    """
    assert await case.run(main) == [True, INVALID]


@behaviour("§8", "workflow.attrs stores what it can, and its error names the rest")
async def partly_bad_attributes(case: Case) -> None:
    main = """
    local ok, err = require("workflow").attrs({
      search = {customer = input, nested = {a = 1}}, memo = {notes = "call first"},
    })
    process.inbox():receive()
    return {ok == nil, err:kind(), err:message():find("nested") ~= nil}
    """
    app = await case.app(main)
    customer = case.id()
    order = await app.start("app:main", customer, id=case.id())

    async def stored() -> bool:
        info = await order.describe()
        return (info.search_attributes, info.memo) == ({"customer": customer}, {"notes": "call first"})

    await eventually(stored, "the good attributes are stored")
    await order.signal("end")
    assert await order.result(30) == [True, INVALID, True]


@behaviour("§12", "list selects by status, type and id, newest first")
async def lists(case: Case) -> None:
    app = await case.app(
        "if input then return 1 end process.inbox():receive()", workflows={"other": "return 2"}
    )
    done, waits, other = case.id(), case.id(), case.id()
    await app.run("app:main", True, id=done)
    waiting = await app.start("app:main", False, id=waits)
    await app.run("app:other", id=other)

    async def found(query: str) -> list[str]:
        ids = f"id in ('{done}', '{waits}', '{other}')"
        return [info.id async for info in app.app.list(f"{ids} and {query}")]

    async def right() -> bool:
        return (
            await found("type = 'app:main' and status = 'completed'") == [done]
            and await found("status = 'running'") == [waits]
            and await found("type = 'app:other'") == [other]
        )

    await eventually(right, "list gives the right executions")
    await waiting.terminate()


@behaviour("§13", "describe and history of an unknown id are NOT_FOUND")
async def unknown_id(case: Case) -> None:
    app = await case.app("return 1")
    for method in ("describe", "result", "history", "signal", "cancel", "terminate"):
        handle = app.app.get(case.id())
        error = await refused(getattr(handle, method)(*(["x"] if method == "signal" else [])))
        assert error.kind == "NotFound", method


@behaviour("§12", "the history shows calls, timers and signals in order")
async def histories(case: Case) -> None:
    main = """
    funcs.call("app:echo", 1)
    time.sleep("20ms")
    process.inbox():receive()
    return 1
    """
    app = await case.app(main, functions={"echo": "return input"})
    order = await app.start("app:main", id=case.id())

    async def slept() -> bool:
        return any(line.name == "TimerFired" for line in await order.history())

    await eventually(slept, "the timer has fired")
    await order.signal("go")
    await order.result(30)
    names = [line.name for line in await order.history()]
    wanted = [
        "ExecutionStarted", "ActivityScheduled", "ActivityCompleted", "TimerStarted", "TimerFired",
        "SignalReceived", "ExecutionCompleted",
    ]  # fmt: skip
    assert [name for name in names if name in wanted] == wanted
