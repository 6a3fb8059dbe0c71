"""Values across boundaries (§4) and errors (§3)."""

from __future__ import annotations

from typing import Any

from ...errors import INTERNAL
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


@behaviour("§4", "what is no data is refused with the path to it")
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


@behaviour("§3", "a raised text is of kind Internal and not retryable outside of its program")
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
