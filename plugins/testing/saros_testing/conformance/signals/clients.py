"""Handles, and the requests that functions may make to workflows (§6, §13)."""

from __future__ import annotations

import datetime as dt

from saros.model.errors import INVALID, NOT_FOUND

from ..suite import Case, behaviour, eventually, refused

GENERATIONS = """
local w = require("workflow")
w.on_query("generation", function() return input end)
w.on_update("generation", function() return input end)
local message = process.inbox():receive()
if message:topic() == "next" then w.continue_as_new(input + 1) end
return input
"""


@behaviour("§13", "every method of a handle means the newest run, unless a run_id was asked for")
async def newest_run(case: Case) -> None:
    app = await case.app(GENERATIONS)
    started = await app.start("app:main", 1, id=case.id())
    first = app.app.get(started.id, started.run_id)
    assert await first.update("generation") == 1
    await started.signal("next")

    async def follows() -> bool:
        return (await started.describe()).run_id != started.run_id

    await eventually(follows, "the second run has started")
    for handle in (started, app.app.get(started.id)):
        assert await handle.update("generation") == 2
        assert await handle.query("generation") == 2
        told = await handle.describe()
        assert (told.status, told.run_id != started.run_id) == ("running", True)
        assert (await handle.history())[-1].name != "ContinuedAsNew"
    assert await first.query("generation") == 1
    assert (await first.describe()).run_id == started.run_id
    assert (await first.describe()).status == "continued_as_new"
    assert (await first.history())[-1].name == "ContinuedAsNew"
    for request in (first.signal("next"), first.update("generation"), first.cancel(), first.terminate()):
        assert (await refused(request)).kind == NOT_FOUND
    await started.signal("end")
    assert [await handle.result(30) for handle in (first, started, app.app.get(started.id))] == [2, 2, 2]


@behaviour("§13", "describe and list return plain data: aware times, attributes and memo as values")
async def plain_descriptions(case: Case) -> None:
    main = """
    require("workflow").attrs({
      search = {customer = input, placed = time.unix(1767225600, 0)},
      memo = {lines = {{sku = "lamp", price = 2.0}}, none = json.decode("[]")},
    })
    return 1
    """
    app = await case.app(main)
    before = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    order = await app.start("app:main", case.id(), id=case.id())
    assert await order.result(30) == 1

    async def listed() -> bool:
        return [found async for found in app.app.list(f"id = '{order.id}'")] != []

    await eventually(listed, "the execution is listed")
    (found,) = [found async for found in app.app.list(f"id = '{order.id}'")]
    for told in (found, await order.describe()):
        assert told.status == "completed"
        assert told.close_time is not None
        assert told.close_time.utcoffset() == dt.timedelta(0)
        assert before < told.start_time <= told.close_time
        placed = told.search_attributes["placed"]
        assert dt.datetime.fromisoformat(placed) == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        assert told.memo == {"lines": [{"sku": "lamp", "price": 2.0}], "none": []}


SENDS = "return process.send(input[1], input[2], input[3])"


@behaviour("§6", "a workflow is reached by its pid, its name or its id, from functions and from workflows")
async def destinations(case: Case) -> None:
    main = """
    local got, inbox = {}, process.inbox()
    for i = 1, input do got[i] = inbox:receive():payload():data() end
    return got
    """
    app = await case.app(main, workflows={"relays": SENDS}, functions={"sends": SENDS})
    name, id = case.id(), case.id()
    await app.start("app:main", 3, name=name)
    order = await app.start("app:main", 3, id=id)
    for number, dest in enumerate((order.pid, id), 1):
        assert await app.call("app:sends", [dest, "t", number]) is True
    assert await app.run("app:relays", [id, "t", 3], id=case.id()) is True
    assert await order.result(30) == [1, 2, 3]
    for number in (1, 2):
        assert await app.call("app:sends", [name, "t", number]) is True
    assert await app.run("app:relays", [name, "t", 3], id=case.id()) is True
    assert await app.app.get(name).result(30) == [1, 2, 3]
    for dest in (case.id(), id):
        assert (await refused(app.call("app:sends", [dest, "t", 1]))).kind == NOT_FOUND
        assert (await app.fails("app:relays", [dest, "t", 1], id=case.id())).kind == NOT_FOUND


@behaviour("§6", "monitor, cancel and terminate take a workflow id, too")
async def watched_by_id(case: Case) -> None:
    main = """
    assert(process.monitor(input[1]))
    assert(process.monitor(input[2]))
    local events = process.events()
    assert(process.cancel(input[1]))
    local first = events:receive()
    assert(process.terminate(input[2]))
    local second = events:receive()
    return {first.kind, first.from, second.kind, second.from, second.error ~= nil}
    """
    app = await case.app(main, workflows={"waits": "process.inbox():receive()"})
    one, two = [await app.start("app:waits", id=case.id()) for _ in range(2)]
    found = await app.run("app:main", [one.id, two.id], id=case.id())
    assert found == ["EXIT", one.pid, "EXIT", two.pid, True]


BASKET = """
local w = require("workflow")
local basket = {}
w.on_query("basket", function(prefix, nothing, count) return {prefix, nothing == nil, count} end)
w.on_query("size", function() return #basket end)
w.on_query("broken", function() error(errors.new{kind = "Broken", message = "no", retryable = false}) end)
w.on_update("add", function(item, count)
  time.sleep("10ms")
  basket[#basket + 1] = item
  return #basket + count
end, function(item)
  if item ~= "lamp" then return nil, errors.new("Invalid", "no such article: " .. item) end
end)
w.on_update("clear", function() basket = {} end)
process.inbox():receive()
return basket
"""


@behaviour("§6", "functions and processes query and update a workflow, and get its answer or its error")
async def asks_workflows(case: Case) -> None:
    ask = """
    local dest = input
    local asked, err = process.query(dest, "basket", "before", nil, 7)
    if err then return nil, err end
    local added = process.update(dest, "add", "lamp", 10)
    local _, refused = process.update(dest, "add", "sofa", 1)
    local cleared, none = process.update(dest, "clear")
    local after = process.query(dest, "size")
    local _, broken = process.query(dest, "broken")
    local _, unknown = process.query(dest, "nonsense")
    return {asked, added, refused:kind(), refused:message(), cleared == nil and none == nil, after,
      broken:kind(), unknown:kind()}
    """
    app = await case.app(
        BASKET, workflows={"other": "return 1"}, functions={"ask": ask}, processes={"asks": ask}
    )
    wanted = [
        ["before", True, 7], 11, INVALID, "no such article: sofa", True, 0, "Broken", NOT_FOUND,
    ]  # fmt: skip
    order = await app.start("app:main", id=case.id())
    named = await app.start("app:main", name=case.id())
    for dest in (order.id, order.pid, named.id):
        assert await app.call("app:ask", dest) == wanted
    await order.signal("end")
    assert await order.result(30) == []
    assert (await refused(app.call("app:ask", case.id()))).kind == NOT_FOUND
    await named.terminate()


@behaviour("§6", "a query or update of a missing workflow, from a workflow, or without a name is an error")
async def asks_wrongly(case: Case) -> None:
    wrong = """
    local kinds = {}
    for _, verb in ipairs{"query", "update"} do
      local function note(...)
        local _, err = process[verb](...)
        kinds[#kinds + 1] = err:kind()
      end
      note()
      note(input)
      note(input, "")
      note(input, "basket", function() end)
      note(process.pid(), "basket")
      note("nobody-of-this-id", "basket")
    end
    return kinds
    """
    inside = """
    local _, one = process.query(input, "basket")
    local _, two = process.update(input, "clear")
    return {one:kind(), two:kind()}
    """
    ended = 'local _, err = process.update(input, "clear") return err:kind()'
    app = await case.app(BASKET, workflows={"inside": inside}, functions={"wrong": wrong, "ended": ended})
    order = await app.start("app:main", id=case.id())
    assert await app.call("app:wrong", order.id) == 2 * ([INVALID] * 5 + [NOT_FOUND])
    assert await app.run("app:inside", order.id, id=case.id()) == [INVALID, INVALID]
    await order.signal("end")
    await order.result(30)
    assert await app.call("app:ended", order.id) == NOT_FOUND
