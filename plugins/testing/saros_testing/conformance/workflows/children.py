"""Children: spawn, exec, monitor, policies (§6, §8)."""

from __future__ import annotations

import asyncio

from saros.model.errors import ALREADY_EXISTS, CANCELED, NOT_FOUND, TIMEOUT

from ..suite import Case, behaviour, eventually, refused


@behaviour("§8", "workflow.call waits for a child and gives its result or its error")
async def child_called(case: Case) -> None:
    main = """
    local workflow = require("workflow")
    local good = workflow.call("app:child", {n = 20})
    local none, err = workflow.call("app:child", {fail = true})
    local missing, nerr = workflow.exec("app:nothing")
    return {good, none == nil, err:kind(), err:details().why, missing == nil, nerr:kind()}
    """
    child = """
    if input.fail then return nil, errors.new{kind = "Broken", message = "x", details = {why = "test"}} end
    return input.n + 1
    """
    result = await case.run(main, workflows={"child": child})
    assert result == [21, True, "Broken", "test", True, NOT_FOUND]


@behaviour("§6", "a spawned child's end arrives as EXIT with its result or error")
async def child_exit(case: Case) -> None:
    main = """
    local good = process.spawn("app:child", "app:worker", 1)
    local bad = process.spawn("app:child", "app:worker", 0)
    local seen, events = {}, process.events()
    for _ = 1, 2 do
      local e = events:receive()
      local name = e.from == good and "good" or e.from == bad and "bad" or "?"
      seen[name] = {e.kind, e.result.value or false, e.error and e.error:message() or false}
    end
    return seen
    """
    child = 'if input == 0 then return nil, errors.new("Bad", "zero") end return input * 10'
    result = await case.run(main, workflows={"child": child})
    assert result == {"good": ["EXIT", 10, False], "bad": ["EXIT", False, "zero"]}


@behaviour("§8", "a start with the id of a running execution joins it, or is ALREADY_EXISTS under fail")
async def id_conflicts(case: Case) -> None:
    main = """
    local same = process.with_options({["workflow.id"] = input})
    local a = same:spawn("app:waits", "app:worker")
    local strict = same:with_options({["workflow.id_conflict_policy"] = "fail"}):with_message("go", 8)
    local none, err = strict:spawn("app:waits", "app:worker")
    local b = same:with_message("go", 7):spawn("app:waits", "app:worker")
    local e = process.events():receive()
    return {a == b, none == nil, err:kind(), e.result.value}
    """
    waits = "return process.inbox():receive():payload():data()"
    assert await case.run(main, case.id(), workflows={"waits": waits}) == [True, True, ALREADY_EXISTS, 7]


@behaviour("§8", "id_reuse_policy decides whether an ended execution's id may start again")
async def id_reuse(case: Case) -> None:
    app = await case.app("if input then return 1 end return nil, errors.new('Bad', 'x')")
    id = case.id()
    assert await app.run("app:main", True, id=id) == 1
    for policy in ("reject_duplicate", "allow_duplicate_failed_only"):
        error = await refused(app.start("app:main", True, id=id, options={"id_reuse_policy": policy}))
        assert error.kind == ALREADY_EXISTS
    assert (await app.fails("app:main", False, id=id)).kind == "Bad"
    options = {"id_reuse_policy": "allow_duplicate_failed_only"}
    assert await app.run("app:main", True, id=id, options=options) == 1


@behaviour("§8", "parent_close_policy: terminate, request_cancel or abandon the children")
async def parent_close(case: Case) -> None:
    main = """
    for _, policy in ipairs({"terminate", "abandon", "request_cancel"}) do
      process.with_options({
        ["workflow.id"] = input .. "-" .. policy, ["workflow.parent_close_policy"] = policy,
      }):spawn("app:waits", "app:worker")
    end
    return true
    """
    app = await case.app(main, workflows={"waits": "process.inbox():receive() return 1"})
    id = case.id()
    await app.run("app:main", id, id=id)

    async def status(policy: str) -> str:
        return (await app.app.get(f"{id}-{policy}").describe()).status

    async def settled() -> bool:
        return await status("terminate") == "terminated" and await status("request_cancel") == "canceled"

    await eventually(settled, "children ended by their policies")
    assert await status("abandon") == "running"
    await app.app.get(f"{id}-abandon").terminate("end of the test")


@behaviour("§6", "a plain process is spawned on a host, talks with a workflow, and its EXIT arrives")
async def processes(case: Case) -> None:
    main = """
    local pid = process.spawn("app:counter", "app:host", process.pid())
    local hello = process.inbox():receive()
    process.send(pid, "add", 2) process.send(pid, "add", 3) process.send(pid, "stop")
    local e = process.events():receive()
    return {hello:from() == pid, e.kind, e.from == pid, e.result.value}
    """
    counter = """
    process.send(input, "hello")
    local sum = 0
    while true do
      local msg = process.inbox():receive()
      if msg:topic() == "stop" then return sum end
      sum = sum + msg:payload():data()
    end
    """
    assert await case.run(main, processes={"counter": counter}) == [True, "EXIT", True, 5]


@behaviour("§6", "monitor delivers the end of an execution that was started elsewhere")
async def monitors(case: Case) -> None:
    watches = """
    local ok = process.monitor(input)
    process.send(input, "go", 1)
    local e = process.events():receive()
    return {ok, e.kind, e.from == input, e.result.value}
    """
    app = await case.app(watches, workflows={"waits": "return process.inbox():receive():payload():data()"})
    other = await app.start("app:waits", id=case.id())
    assert await app.run("app:main", other.pid, id=case.id()) == [True, "EXIT", True, 1]


TELLS = """
    local from = process.inbox():receive():from()
    process.send(from, "bye")
    return "done"
"""


@behaviour("§6", "a monitor belongs to the run that made it: after continue-as-new no EXIT of it arrives")
async def monitors_end_with_their_run(case: Case) -> None:
    main = """
    if not input.old then
      local lasting = process.with_options({["workflow.parent_close_policy"] = "abandon"})
      local old = {
        process.spawn("app:tells", "app:host"), process.spawn_monitored("app:tells", "app:host"),
        lasting:spawn_monitored("app:waits", "app:worker"), input.forgotten,
      }
      local again = process.spawn("app:tells", "app:host")
      for _, pid in ipairs({old[1], input.forgotten, again, input.again}) do assert(process.monitor(pid)) end
      return require("workflow").continue_as_new({old = old, again = {again, input.again}})
    end
    local function finish(pids)
      for _, pid in ipairs(pids) do assert(process.send(pid, "go")) end
      for _ = 1, #pids do process.inbox():receive() end
    end
    local events, ended = process.events(), {}
    for _, pid in ipairs(input.again) do assert(process.monitor(pid)) end
    finish(input.old)
    time.sleep("300ms")
    finish(input.again)
    for n = 1, 2 do
      local e = events:receive()
      ended[n] = {e.kind, e.from == input.again[1] or e.from == input.again[2], e.result.value}
    end
    local more = channel.select{events:case_receive(), time.after("300ms"):case_receive()}
    return {ended, more.channel ~= events}
    """
    app = await case.app(main, workflows={"waits": TELLS}, processes={"tells": TELLS})
    forgotten, again = [await app.start("app:waits", id=case.id()) for _ in range(2)]
    given = {"forgotten": forgotten.pid, "again": again.pid}
    result = await app.run("app:main", given, id=case.id())
    assert result == [[["EXIT", True, "done"], ["EXIT", True, "done"]], True]


@behaviour("§6", "a monitor of an execution gets one EXIT, after its last run")
async def monitors_follow_runs(case: Case) -> None:
    counts = """
    if input > 0 then return require("workflow").continue_as_new(input - 1) end
    return process.inbox():receive():payload():data()
    """
    watches = """
    local child = process.spawn_monitored("app:counts", "app:worker", 2)
    assert(process.monitor(input))
    time.sleep("100ms")
    process.send(input, "go", "other")
    process.send(child, "go", "child")
    local events, values = process.events(), {}
    for _ = 1, 2 do
      local e = events:receive()
      values[e.from == child and "child" or e.from == input and "other" or "?"] = e.result.value
    end
    local more = channel.select{events:case_receive(), time.after("200ms"):case_receive()}
    return {values, more.channel ~= events}
    """
    app = await case.app(watches, workflows={"counts": counts})
    other = await app.start("app:counts", 2, id=case.id())
    result = await app.run("app:main", other.pid, id=case.id())
    assert result == [{"child": "child", "other": "other"}, True]


@behaviour("§6", "links are not supported in workflow context")
async def no_links(case: Case) -> None:
    main = 'local none, err = process.link("x") return {none == nil, tostring(err)}'
    none, text = await case.run(main)
    assert none is True
    assert "not supported in workflow context" in text


@behaviour("§8", "a child that waits for its start_delay is cancelled with its parent")
async def delayed_child_cancelled(case: Case) -> None:
    main = """
    local later = process.with_options({
      ["workflow.id"] = input, ["workflow.start_delay"] = "1h", ["workflow.wait_for_cancellation"] = true,
    })
    local _, err = later:exec("app:child", "app:worker")
    return err:kind()
    """
    app = await case.app(main, workflows={"child": 'local _, err = time.sleep("1h") return nil, err'})
    child = app.app.get(case.id())
    with case.still(app):
        order = await app.start("app:main", child.id, id=case.id())

        async def waits() -> bool:
            return any([info.id == child.id async for info in app.app.list("status = 'running'")])

        await eventually(waits, "the child is waiting for its start", 30)
        await order.cancel()
        assert await order.result(30) == "Canceled"
    assert (await child.describe()).status == "canceled"


@behaviour("§8", "with wait_for_cancellation a cancelled parent still gets its child's own end")
async def child_waited_for(case: Case) -> None:
    main = """
    local patient = process.with_options({["workflow.wait_for_cancellation"] = true})
    return {patient:exec("app:tidies", "app:worker")}
    """
    tidies = """
    time.sleep("1h")
    process.events()
    time.sleep("50ms")
    return "tidied up"
    """
    app = await case.app(main, workflows={"tidies": tidies})
    with case.still(app):
        order = await app.start("app:main", id=case.id())
        await asyncio.sleep(0.3)
        await order.cancel()
    assert await order.result(30) == ["tidied up"]


@behaviour("§8", "cancelling an awaited child cancels it, and the parent goes on")
async def child_cancelled(case: Case) -> None:
    main = """
    local result, err = require("workflow").call("app:waits")
    return {result == nil, err:kind()}
    """
    waits = 'time.sleep("1h") return 1'
    app = await case.app(main, workflows={"waits": waits})
    with case.still(app):
        order = await app.start("app:main", id=case.id())
        await asyncio.sleep(0.3)
        await order.cancel("enough")
    assert await order.result(30) == [True, "Canceled"]


@behaviour(
    "§6", "EXIT tells how a child has ended: kind, text, retryable and details of its error, however it ended"
)
async def exits_alike(case: Case) -> None:
    main = """
    local function spawn(entry, options)
      return process.with_options(options or {}):spawn("app:" .. entry, "app:worker")
    end
    local function ended()
      local err = process.events():receive().error
      local text = err:message():match("^timed out") or err:message():match("^canceled") or err:message()
      return {err:kind(), text, tostring(err:retryable()), err:details() or "none"}
    end
    local ends = {}
    spawn("raises") ends[1] = ended()
    spawn("returns") ends[2] = ended()
    process.terminate(spawn("waits")) ends[3] = ended()
    process.cancel(spawn("waits"), "enough") ends[4] = ended()
    spawn("waits", {["workflow.run_timeout"] = 200}) ends[5] = ended()
    spawn("waits", {["workflow.execution_timeout"] = 200}) ends[6] = ended()
    return ends
    """
    workflows = {
        "raises": 'error("broken", 0)',
        "returns": 'return nil, errors.new{message = "no", kind = "Own", retryable = false, details = {n = 1}}',
        "waits": "process.inbox():receive()",
    }
    found = await case.run(main, workflows=workflows)
    assert found[:2] == [["Internal", "broken", "false", "none"], ["Own", "no", "false", {"n": 1}]]
    assert found[2:4] == [[CANCELED, text, "false", "none"] for text in ("terminated", "canceled")]
    assert found[4:] == [[TIMEOUT, "timed out", "false", "none"]] * 2
