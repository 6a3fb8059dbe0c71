"""Functions and processes outside of workflows (§6, §7)."""

from __future__ import annotations

from .suite import Case, behaviour, refused


@behaviour("§7", "a function called from Python returns its result, and raises its error as saros.Error")
async def called_from_python(case: Case) -> None:
    app = await case.app(
        functions={"add": "return input.a + input.b", "fails": 'return nil, errors.new("Odd", "x")'}
    )
    assert await app.call("app:add", {"a": 1, "b": 2}) == 3
    error = await refused(app.call("app:fails"))
    assert error.kind == "Odd"


@behaviour("§7", "outside of workflows, timeout bounds a call")
async def function_timeout(case: Case) -> None:
    outer = """
    local none, err = funcs.new():with_options({timeout = 100}):call("app:slow")
    return {none == nil, err:kind()}
    """
    app = await case.app(functions={"outer": outer, "slow": 'time.sleep("30s")'})
    assert await app.call("app:outer") == [True, "Timeout"]


@behaviour("§6", "a function starts a workflow, signals it and monitors its end")
async def function_drives_workflow(case: Case) -> None:
    outer = """
    local pid, err = process.spawn_monitored("app:main", "app:worker", {n = 1})
    if err then error(err) end
    process.send(pid, "go", 41)
    local e = process.events():receive()
    return {e.kind, e.from == pid, e.result.value, type(tostring(pid))}
    """
    main = "return process.inbox():receive():payload():data() + input.n"
    app = await case.app(main, functions={"outer": outer})
    assert await app.call("app:outer") == ["EXIT", True, 42, "string"]


@behaviour("§6", "process.exec from a function waits for a workflow's result")
async def function_execs(case: Case) -> None:
    outer = 'return process.exec("app:main", "app:worker", 5)'
    app = await case.app("return input * 2", functions={"outer": outer})
    assert await app.call("app:outer") == 10


@behaviour("§6", "a process can be spawned, linked and trapped; its name is freed at its end")
async def process_links(case: Case) -> None:
    outer = """
    process.set_options({trap_links = true})
    local pid = process.spawn_linked("app:dies", "app:host")
    local e = process.events():receive()
    local kind, err = e.kind, e.error
    local named = process.with_options({}):with_name(input):spawn("app:waits", "app:host")
    local found = process.registry.lookup(input)
    process.monitor(named)
    process.send(input, "stop")
    local exit = process.events():receive()
    local _, gone = process.registry.lookup(input)
    return {kind, tostring(err), found == named, exit.kind, gone:kind(), process.get_options().trap_links}
    """
    processes = {"dies": 'time.sleep("10ms") error("oops")', "waits": "process.inbox():receive()"}
    app = await case.app(functions={"outer": outer}, processes=processes)
    kind, text, found, exit_kind, gone, trapped = await app.call("app:outer", case.id())
    assert kind == "LINK_DOWN"
    assert "oops" in text
    assert (found, exit_kind, gone, trapped) == (True, "EXIT", "NotFound", True)


@behaviour("§6", "without trap_links, the failure of a linked process ends its peer")
async def link_kills(case: Case) -> None:
    outer = """
    local pid = process.spawn_monitored("app:linker", "app:host")
    local e = process.events():receive()
    return {e.kind, e.error ~= nil}
    """
    linker = 'process.spawn_linked("app:dies", "app:host") process.inbox():receive()'
    processes = {"dies": 'error("oops")', "linker": linker}
    app = await case.app(functions={"outer": outer}, processes=processes)
    assert await app.call("app:outer") == ["EXIT", True]


@behaviour("§6", "only monitors are notified of the normal end of a linked process")
async def normal_ends(case: Case) -> None:
    outer = """
    local events, kinds = process.events(), {}
    local function ended(form)
      local pid = process[form]("app:waits", "app:host")
      process.send(pid, "stop")
      while process.send(pid, "again") do time.sleep("1ms") end
      return pid
    end
    local linked = ended("spawn_linked")
    local both = ended("spawn_linked_monitored")
    local first = events:receive()
    local flow = process.spawn("app:flow", "app:worker")
    local ok, err = process.link(flow)
    process.send(flow, "stop")
    local second = events:receive()
    local more = channel.select{events:case_receive(), default = true}
    return {first.kind, first.from == both, second.kind, second.from == flow, second.result.value, more.default}
    """
    app = await case.app(
        functions={"outer": outer},
        processes={"waits": "process.inbox():receive() return 1"},
        workflows={"flow": "process.inbox():receive() return 2"},
    )
    assert await app.call("app:outer") == ["EXIT", True, "EXIT", True, 2, True]


@behaviour("§6", "a process is cancelled and terminated")
async def process_control(case: Case) -> None:
    outer = """
    local polite = process.spawn_monitored("app:polite", "app:host")
    process.cancel(polite, "please")
    local first = process.events():receive()
    local stubborn = process.spawn_monitored("app:stubborn", "app:host")
    process.terminate(stubborn)
    local second = process.events():receive()
    local ok, err = process.send(stubborn, "x")
    return {first.result.value, second.kind, second.error ~= nil, err:kind()}
    """
    processes = {
        "polite": "local e = process.events():receive() return e.reason",
        "stubborn": "while true do pcall(function() process.inbox():receive() end) end",
    }
    app = await case.app(functions={"outer": outer}, processes=processes)
    assert await app.call("app:outer") == ["please", "EXIT", True, "NotFound"]


@behaviour("§3", "a long error text is cut to 10,000 bytes and states its size, wherever it comes from")
async def errors_bounded(case: Case) -> None:
    name = f"conformance_{case.id().replace('-', '_')}"
    module = 'def fails():\n    raise ValueError("x" * 1_000_000)'
    long = '("é"):rep(500000)'
    main = f"""
    local function told(_, err) return {{#err:message(), err:message():sub(-17), utf8.len(err:message()) ~= nil}} end
    workflow.on_update("fails", function() error({long}) end)
    process.inbox():receive()
    local found = {{told(funcs.call("app:raises")), told(funcs.call("app:returns")), told(funcs.call("app:fails"))}}
    found[4] = told(process.exec("app:child", "app:worker"))
    return found
    """
    functions = {"raises": f"error({long}, 0)", "returns": f"return nil, errors.new({long})"}
    app = await case.app(
        main,
        functions=functions,
        workflows={"child": f"error({long}, 0)"},
        python={"fails": f"{name}:fails"},
        files={f"{name}.py": module},
    )
    handle = await app.start("app:main", id=case.id())
    error = await refused(handle.update("fails"))
    assert len(error.message.encode()) <= 10_000
    assert error.message.endswith(" bytes)")
    await handle.signal("go")
    for size, end, whole in await handle.result():
        assert 9_900 < size <= 10_000
        assert end.endswith(" bytes)")
        assert whole
    failed = await app.fails("app:child", id=case.id())
    assert len(failed.message.encode()) <= 10_000
    assert failed.message.endswith("... (1000000 bytes)")
