"""Messages (§6)."""

from __future__ import annotations

import asyncio

from saros.model.errors import CANCELED, INVALID, NOT_FOUND

from ..suite import Case, behaviour, refused


@behaviour("§6", "a signal reaches the inbox with topic, sender and payload")
async def signals(case: Case) -> None:
    main = """
    local msg = process.inbox():receive()
    return {msg:topic(), msg:payload():data(), type(msg:from())}
    """
    app = await case.app(main)
    order = await app.start("app:main", id=case.id())
    await order.signal("approve", {"by": "admin"})
    assert await order.result(30) == ["approve", {"by": "admin"}, "string"]


@behaviour("§6", "one sender's messages keep their order, and none is lost before the workflow listens")
async def signals_in_order(case: Case) -> None:
    main = """
    time.sleep("100ms")
    local got, inbox = {}, process.inbox()
    for i = 1, 20 do got[i] = inbox:receive():payload():data() end
    return got
    """
    app = await case.app(main)
    order = await app.start("app:main", id=case.id())
    for number in range(1, 21):
        await order.signal("n", number)
    assert await order.result(30) == list(range(1, 21))


@behaviour("§6", "a message goes to its topic's listener if there is one, else to the inbox")
async def listeners(case: Case) -> None:
    main = """
    local a = process.listen("a")
    local b = process.listen("b", {message = true})
    local same = process.listen("a") == a and process.inbox() == process.inbox()
    local one = a:receive()
    local two = b:receive():topic()
    local rest = process.inbox():receive():topic()
    return {one, two, rest, same}
    """
    app = await case.app(main)
    order = await app.start("app:main", id=case.id())
    await order.signal("c", 3)
    await order.signal("a", 1)
    await order.signal("b", 2)
    assert await order.result(30) == [1, "b", "c", True]


@behaviour("§6", "a message without payload delivers nil; reserved topics are INVALID")
async def send_edges(case: Case) -> None:
    main = """
    local ok = process.send(process.pid(), "ping")
    local msg = process.inbox():receive()
    local none, err = process.send(process.pid(), "@system")
    return {ok, msg:payload():data() == nil, msg:from() == process.pid(), none == nil, err:kind()}
    """
    assert await case.run(main) == [True, True, True, True, INVALID]


@behaviour("§6", "sending to a destination that is not running is NOT_FOUND, and the error names it")
async def send_not_found(case: Case) -> None:
    main = """
    local ok, err = process.send("nobody-here", "ping")
    local ok2, err2 = process.send("app:worker|no-such-workflow", "ping")
    return {ok == nil, err:kind(), err:retryable(), tostring(err), ok2 == nil, err2:kind()}
    """
    result = await case.run(main)
    assert result[:3] == [True, NOT_FOUND, False]
    assert "not found" in result[3]
    assert "nobody-here" in result[3]
    assert result[4:] == [True, NOT_FOUND]


@behaviour("§6", "workflows send each other messages")
async def workflows_talk(case: Case) -> None:
    main = """
    local pid = process.spawn("app:pong", "app:worker")
    process.send(pid, "ping", process.pid(), 1)
    return process.inbox():receive():payload():data()
    """
    pong = """
    local reply_to, n = process.inbox():receive():payload()
    process.send(reply_to:data(), "pong", n:data() + 1)
    """
    assert await case.run(main, workflows={"pong": pong}) == 2


@behaviour("§6", "a function sends messages to a workflow, and spawns workflows")
async def functions_talk(case: Case) -> None:
    main = """
    local done = funcs.call("app:notify", process.pid())
    local msg = process.inbox():receive()
    return {done, msg:payload():data(), type(msg:from())}
    """
    notify = 'return process.send(input, "note", {n = 5})'
    assert await case.run(main, functions={"notify": notify}) == [True, {"n": 5}, "string"]


@behaviour("§6", "a signal to an execution that has ended is NOT_FOUND")
async def signal_ended(case: Case) -> None:
    app = await case.app("return 1")
    order = await app.start("app:main", id=case.id())
    await order.result(30)
    error = await refused(order.signal("late"))
    assert error.kind == NOT_FOUND


@behaviour("§6", "names reach their process until it ends")
async def names(case: Case) -> None:
    main = """
    local _, before = process.registry.lookup(input)
    local ok = process.registry.register(input)
    local pid = process.registry.lookup(input)
    process.send(input, "to-name", 1)
    local got = process.inbox():receive():topic()
    local freed, again = process.registry.unregister(input), process.registry.unregister(input)
    return {before:kind(), ok, pid == process.pid(), got, freed, again}
    """
    assert await case.run(main, case.id()) == [NOT_FOUND, True, True, "to-name", True, False]


@behaviour("§6", "the names of a process are free again when its EXIT is delivered")
async def names_are_free_at_the_exit(case: Case) -> None:
    main = """
    local events, heard = process.events(), {}
    for round = 1, 10 do
      local holder = assert(process.spawn_monitored("app:holder", "app:host", input))
      repeat time.sleep("5ms") until process.registry.lookup(input) == holder
      process.send(holder, "end")
      events:receive()
      heard[round] = assert(process.registry.register(input))
      process.registry.unregister(input)
    end
    return #heard
    """
    holder = """
    assert(process.registry.register(input))
    process.inbox():receive()
    """
    assert await case.run(main, case.id(), processes={"holder": holder}) == 10


@behaviour("§6", "first messages of a spawner arrive once, in order, before all others")
async def first_messages(case: Case) -> None:
    main = """
    local spawner = process.with_options({}):with_message("a", 1):with_message("b", 2)
    return spawner:exec("app:reads", "app:worker")
    """
    reads = """
    local inbox, got = process.inbox(), {}
    for i = 1, 2 do
      local msg = inbox:receive()
      got[i] = {msg:topic(), msg:payload():data(), msg:from() ~= ""}
    end
    return got
    """
    assert await case.run(main, workflows={"reads": reads}) == [["a", 1, True], ["b", 2, True]]


@behaviour("§6", "no signal is lost while a workflow continues as new")
async def signals_survive_continue(case: Case) -> None:
    main = """
    local count = input
    local inbox = process.inbox()
    for _ = 1, 3 do
      local msg = inbox:receive()
      if msg:topic() == "end" then return count end
      count = count + 1
    end
    require("workflow").continue_as_new(count)
    """
    source = main.replace('require("workflow")', 'require("workflow")')
    app = await case.app(source)
    order = await app.start("app:main", 0, id=case.id())
    for number in range(20):
        await order.signal("n", number)
        if number % 5 == 0:
            await asyncio.sleep(0.02)
    await order.signal("end")
    assert await app.app.get(order.id).result(30) == 20


@behaviour("§6", "a reply to a process is accepted at once: the next message does not overtake its sender")
async def replies(case: Case) -> None:
    main = """
    local count, inbox = 0, process.inbox()
    local done = channel.new(0)
    coroutine.spawn(function()
      while true do
        local message = inbox:receive()
        local topic, from = message:topic(), message:from()
        if topic == "finish" then
          process.send(from, "count", count)
          return done:send(count)
        end
        coroutine.spawn(function()
          if process.send(from, "ok", message:payload():data()) then count = count + 1 end
        end)
      end
    end)
    return (done:receive())
    """
    asks = """
    local dest = input
    for n = 1, 3 do process.send(dest, "increment", n) end
    process.send(dest, "finish")
    local heard = {}
    for n = 1, 4 do
      local message = process.inbox():receive()
      heard[n] = {message:topic(), message:payload():data()}
    end
    return heard
    """
    app = await case.app(main, functions={"asks": asks})
    order = await app.start("app:main", id=case.id())
    assert await app.call("app:asks", order.pid) == [["ok", 1], ["ok", 2], ["ok", 3], ["count", 3]]
    assert await order.result(30) == 3


@behaviour(
    "§6",
    "a send to an ended process is accepted until its EXIT is delivered, even if the process no longer exists",
)
async def send_before_the_exit(case: Case) -> None:
    main = """
    local child = process.spawn("app:quick", "app:worker")
    local before = {(process.send(child, "early"))}
    local here = process.spawn("app:short", "app:host")
    before[2] = process.send(here, "early")
    local events = process.events()
    events:receive() events:receive()
    local after = {process.send(child, "late")}
    local gone = {process.send(here, "late")}
    return {before[1], before[2], after[2]:kind(), gone[2]:kind(), (process.send("@none|p1", "lost"))}
    """
    parts = {"workflows": {"quick": "return 1"}, "processes": {"short": "process.inbox():receive()"}}
    for _ in range(3):
        assert await case.run(main, **parts) == [True, True, NOT_FOUND, NOT_FOUND, True]


@behaviour("§6", "after unlisten the messages of a topic are dropped, until it is listened to again")
async def unlistened(case: Case) -> None:
    main = """
    local me, inbox = process.pid(), process.inbox()
    local one = process.listen("one")
    process.send(me, "one", 1)
    local log = {(one:receive())}
    process.unlisten(one)
    process.send(me, "one", 2) process.send(me, "other", 3)
    log[2] = inbox:receive():payload():data()
    local again = process.listen("one")
    process.send(me, "one", 4)
    log[3] = again:receive()
    return log
    """
    assert await case.run(main) == [1, 3, 4]


@behaviour("§6", "what a workflow sends to itself, by pid, id or name, arrives before the send returns")
async def sends_to_itself(case: Case) -> None:
    main = """
    assert(process.registry.register(input .. "-name"))
    local got = {}
    for n, dest in ipairs({process.pid(), input, input .. "-name"}) do
      local topic = "t" .. n
      process.unlisten(process.listen(topic))
      assert(process.send(dest, topic, "dropped"))
      local again = process.listen(topic)
      assert(process.send(dest, topic, n))
      got[n] = again:receive()
    end
    local _, err = process.cancel(input, "enough")
    got[4] = err:kind()
    local heard = channel.select{process.events():case_receive(), default = true}
    got[5] = heard.value.kind .. " " .. heard.value.reason
    return got
    """
    app, id = await case.app(main), case.id()
    assert await app.run("app:main", id, id=id) == [1, 2, 3, CANCELED, "CANCEL enough"]
