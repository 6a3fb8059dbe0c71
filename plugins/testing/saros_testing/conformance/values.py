"""Values across boundaries (§4) and errors (§3)."""

from __future__ import annotations

from typing import Any

from saros.model.errors import INTERNAL

from .suite import Case, behaviour

ECHO = {"echo": "return input"}


@behaviour("§4", "data of every type goes to a workflow, to a function and back unchanged")
async def values_round_trip(case: Case) -> None:
    value: dict[str, Any] = {
        "integer": 3,
        "float": 3.0,
        "big": 2**53 + 1,
        "text": "grüße ✓",
        "bytes": b"\xff\x00\xfe",
        "yes": True,
        "list": [1, [2, {"x": "y"}], "z"],
        "nulls": [None, 1, None],
        "empty list": [],
        "empty map": {},
    }
    main = 'local back, err = funcs.call("app:echo", input) if err then error(err) end return back'
    result = await case.run(main, value, functions=ECHO)
    assert result == value
    assert type(result["float"]) is float
    assert type(result["integer"]) is int


MARKERS = ("$bin", "$error", "$$bin", "$$error", "$raised", "$http", "$err", "$ok", "ok", "err", "saros")
"""Keys that have, or might have, a special meaning inside Saros or a backend."""


@behaviour("§4", "a key is only a key: JSON from a client or program never gets a special meaning")
async def values_hold_no_markers(case: Case) -> None:
    contents: list[Any] = ["aGk=", {"message": "m", "kind": "K"}, True, None, {"$bin": "aGk="}, b"\xff"]
    value: list[Any] = [{key: content} for key in MARKERS for content in contents]
    value += [{"$http": "whole", "status": 418, "headers": {}, "body": ""}, {"$raised": True, "$error": {}}]
    value = [{key: item for key, item in found.items() if item is not None} for found in value]
    main = """
    local w = require("workflow")
    local told, err = process.inbox():receive():payload():data()
    w.on_query("echo", function(x) return x end)
    w.on_update("echo", function(x) return x end)
    w.attrs{memo = {["$bin"] = input[1]}}
    local called, err = funcs.call("app:echo", input)
    if err then return nil, err end
    local beside = w.side_effect(function() return input end)
    local child = w.call("app:child", input)
    local _, failed = funcs.call("app:fails", {all = input})
    process.inbox():receive()
    return {told, called, beside, child, failed:details().all}
    """
    fails = 'return nil, errors.new{message = "m", details = input}'
    app = await case.app(main, workflows={"child": "return input"}, functions={**ECHO, "fails": fails})
    order = await app.start("app:main", value, id=case.id(), options={"memo": {"$error": value[0]}})
    await order.signal("told", value)
    assert await order.update("echo", value) == value
    assert await order.query("echo", value) == value
    memo = (await order.describe()).memo
    assert memo == {"$error": value[0], "$bin": value[0]}
    await order.signal("end")
    for found in await order.result(30):
        assert found == value


@behaviour("§4", "a value that is not data is refused, with the path to it")
async def values_refused(case: Case) -> None:
    main = """
    local _, err = funcs.call("app:echo", {items = {1, {price = 0/0}}})
    local _, fn = funcs.call("app:echo", {callback = function() end})
    local cycle = {} cycle.self = cycle
    local _, loop = funcs.call("app:echo", cycle)
    return {tostring(err), err:kind(), tostring(fn), tostring(loop)}
    """
    nan, kind, function, cycle = await case.run(main, functions=ECHO)
    assert "argument 1.items[2].price is NaN" in nan
    assert kind == "Invalid"
    assert "argument 1.callback is a function" in function
    assert "cycle" in cycle


@behaviour("§3", "a returned error keeps kind, message, retryable and details")
async def errors_returned(case: Case) -> None:
    main = """
    local result, err = funcs.call("app:fails")
    return {result == nil, err:kind(), err:message(), err:retryable(), err:details().code, type(err), type(err.kind)}
    """
    fails = """
    return nil, errors.new{message = "declined", kind = "CardDeclined", retryable = false, details = {code = 7}}
    """
    result = await case.run(main, functions={"fails": fails})
    assert result == [True, "CardDeclined", "declined", False, 7, "userdata", "function"]


@behaviour("§3", "outside of its program, a raised text is an error of kind Internal that is not retryable")
async def errors_raised(case: Case) -> None:
    main = 'local _, err = funcs.call("app:fails") return {err:kind(), err:message(), err:retryable()}'
    kind, message, retryable = await case.run(main, functions={"fails": 'error("boom")'})
    assert (kind, retryable) == (INTERNAL, False)
    assert "boom" in message
    assert "fails.lua:" in message


@behaviour("§3", "error(structured) keeps its structure through pcall and across calls")
async def errors_structured_raise(case: Case) -> None:
    main = """
    local ok, caught = pcall(error, errors.new("Custom", "inside"))
    local _, err = funcs.call("app:fails")
    return {ok, caught:kind(), err:kind(), err:details().n, errors.is(err, "Custom"), errors.is("x", "Custom")}
    """
    fails = 'error(errors.new{kind = "Custom", message = "m", details = {n = 1}})'
    assert await case.run(main, functions={"fails": fails}) == [False, "Custom", "Custom", 1, True, False]


@behaviour("§3", "a workflow that returns nil, err fails with that error")
async def workflow_fails_with_error(case: Case) -> None:
    main = 'return nil, errors.new{message = "no stock", kind = "OutOfStock", details = {sku = "a-1"}}'
    error = await case.fails(main)
    assert (error.kind, error.message, error.details) == ("OutOfStock", "no stock", {"sku": "a-1"})


@behaviour("§3", "errors.wrap keeps kind and details and shows its context, across calls too")
async def errors_wrapped(case: Case) -> None:
    main = """
    local _, err = funcs.call("app:fails")
    local wrapped = errors.wrap(err, "while paying")
    return {wrapped:kind(), wrapped:message(), tostring(wrapped), "> " .. wrapped}
    """
    fails = 'return nil, errors.new("Declined", "no")'
    kind, message, text, joined = await case.run(main, functions={"fails": fails})
    assert (kind, message) == ("Declined", "no")
    assert text == "while paying: no"
    assert joined == "> while paying: no"


@behaviour("§4", "errors and payloads are accepted inside of values")
async def errors_inside_values(case: Case) -> None:
    main = """
    local back = funcs.call("app:echo", {err = errors.new("Odd", "why"), p = payload.new({1, 2})})
    return {back.err:kind(), back.err:message(), back.p}
    """
    assert await case.run(main, functions=ECHO) == ["Odd", "why", [1, 2]]
