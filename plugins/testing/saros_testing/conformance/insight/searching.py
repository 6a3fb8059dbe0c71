"""Search attributes, list, describe and history (§8, §12, §13)."""

from __future__ import annotations

from saros.model.errors import INVALID

from ..suite import Case, behaviour, eventually, refused


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
async def list_queries(case: Case) -> None:
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
    for id in ("a\0b", "a\nb", "\x7f\u2028\u202e", "x" * 2_000, "\U0001f600" * 400):
        assert (await refused(app.app.get(id).describe())).kind == "NotFound"
        assert (await refused(app.app.get(case.id(), id).describe())).kind == "NotFound"
        assert (await refused(app.start("app:main", id=id))).kind == "Invalid"
        text = id.replace("\0", "")
        assert await app.app.count(f"id = '{text}' or run_id = '{text}' or type starts with '{text}'") == 0
    for wrong in ("\0", "\ud800"):
        error = await refused(app.app.count(f"type = 'a{wrong}b'"))
        assert error.kind == "Invalid"
    assert (await refused(app.start("app:main", id="\ud800"))).kind == "Invalid"


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
