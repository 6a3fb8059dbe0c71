"""The errors module (§3)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from saros.model.errors import Error

Run = Callable[..., Any]


def test_constants(everywhere: Run) -> None:
    names = {
        "NOT_FOUND": "NotFound", "ALREADY_EXISTS": "AlreadyExists", "INVALID": "Invalid",
        "PERMISSION_DENIED": "PermissionDenied", "UNAVAILABLE": "Unavailable", "INTERNAL": "Internal",
        "CANCELED": "Canceled", "CONFLICT": "Conflict", "TIMEOUT": "Timeout", "RATE_LIMITED": "RateLimited",
        "UNKNOWN": "",
    }  # fmt: skip
    assert (
        everywhere("local t = {} for _, n in ipairs(input) do t[n] = errors[n] end return t", list(names))
        == names
    )


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("errors.new('text')", ["", "text", "nil", "nil"]),
        ("errors.new('Kind', 'text')", ["Kind", "text", "nil", "nil"]),
        ("errors.new{message = 'm'}", ["", "m", "nil", "nil"]),
        (
            "errors.new{message = 'm', kind = errors.TIMEOUT, retryable = true}",
            ["Timeout", "m", "true", "nil"],
        ),
        ("errors.new{message = 'm', retryable = false}", ["", "m", "false", "nil"]),
        ("errors.new{message = 'm', details = {}}", ["", "m", "nil", "nil"]),
        ("errors.new{}", ["", "", "nil", "nil"]),
    ],
)
def test_forms_of_new(everywhere: Run, made: str, told: list[str]) -> None:
    code = (
        f"local e = {made} return {{e:kind(), e:message(), tostring(e:retryable()), tostring(e:details())}}"
    )
    assert everywhere(code) == told


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("errors.new()", "errors.new expects a string or a table, not a nil"),
        ("errors.new(5)", "errors.new expects a string or a table, not a number"),
        ("errors.new('k', 5)", "errors.new: message must be a string, not a number"),
        ("errors.new{message = 5}", "errors.new: message must be a string"),
        ("errors.new{kind = true}", "errors.new: kind must be a string"),
        ("errors.new{retryable = 'yes'}", "errors.new: retryable must be a boolean"),
        ("errors.new{details = 'x'}", "errors.new: details must be a table"),
        ("errors.new{details = {f = print}}", "details.f is a function"),
        ("errors.wrap('x')", "errors.wrap expects a context string"),
        ("errors.wrap(5, 'x')", "errors.wrap expects an error or a string"),
        ("errors.new('x').message()", "expected an error; call it as err:message()"),
    ],
)
def test_wrong_arguments_are_raised_with_the_line(raised: Run, made: str, words: str) -> None:
    text = raised(made)
    assert words in text
    assert "main.lua:" in text


def test_an_error_as_text(everywhere: Run) -> None:
    code = """
    local e = errors.new("gone")
    return {tostring(e), "is " .. e, e .. "!", e .. e, type(e), #e:stack() > 0, string.format("%s", e)}
    """
    assert everywhere(code) == ["gone", "is gone", "gone!", "gonegone", "userdata", True, "gone"]


def test_details_are_nested_and_copies(everywhere: Run) -> None:
    code = """
    local given = {list = {1, 2}, map = {a = {b = 3.5}}}
    local e = errors.new{message = "m", details = given}
    given.list[1] = 99
    e:details().map.a.b = 99
    return {e:details(), e:details() ~= e:details()}
    """
    assert everywhere(code) == [{"list": [1, 2], "map": {"a": {"b": 3.5}}}, True]


def test_wrap_keeps_all_and_shows_its_context(everywhere: Run) -> None:
    code = """
    local e = errors.new{message = "m", kind = "K", retryable = true, details = {n = 1}}
    local w = errors.wrap(errors.wrap(e, "inner"), "outer")
    local s = errors.wrap("plain", "while")
    return {w:kind(), w:message(), w:retryable(), w:details().n, tostring(w), tostring(e),
      s:message(), tostring(s), s:kind()}
    """
    assert everywhere(code) == ["K", "m", True, 1, "outer: inner: m", "m", "plain", "while: plain", ""]


def test_is_compares_kinds_and_is_false_for_all_else(everywhere: Run) -> None:
    code = """
    local e = errors.new("Kind", "x")
    return {errors.is(e, "Kind"), errors.is(e, "Other"), errors.is("Kind", "Kind"), errors.is(nil, ""),
      errors.is({}, ""),
      errors.is(errors.new("y"), errors.UNKNOWN), errors.is(e)}
    """
    assert everywhere(code) == [True, False, False, False, False, True, False]


def test_call_stack_tells_frames(everywhere: Run) -> None:
    code = """
    local function deeper() return errors.new("x") end
    local e = deeper()
    local stack = errors.call_stack(e)
    local frame = stack.frames[1]
    local none, err = errors.call_stack("x")
    return {stack.thread, frame.source, frame.line, type(frame.name), none == nil, err:kind(), err:retryable()}
    """
    thread, source, line, name, absent, kind, retryable = everywhere(code)
    assert (thread, name) == ("main", "string")
    assert source.endswith("main.lua")
    assert line > 1
    assert (absent, kind, retryable) == (True, "Invalid", False)


def test_a_structured_error_keeps_its_structure_through_pcall(everywhere: Run) -> None:
    code = """
    local e = errors.new("K", "m")
    local _, caught = pcall(error, e)
    local _, again = pcall(function() error(caught, 0) end)
    local _, text = pcall(error, "plain", 0)
    return {caught == e, again == e, text, type(text)}
    """
    assert everywhere(code) == [True, True, "plain", "string"]


def test_a_raised_text_is_internal_outside_of_its_program(everywhere: Run) -> None:
    code = """
    local _, err = funcs.call("app:raises")
    return {err:kind(), err:retryable(), err:message():match("oops$") ~= nil}
    """
    assert everywhere(code, functions={"raises": "error('oops')"}) == ["Internal", False, True]


@pytest.mark.parametrize("retryable", ["true", "false", "nil"])
def test_retryable_survives_a_call(function: Run, retryable: str) -> None:
    fails = f"return nil, errors.new{{message = 'm', retryable = {retryable}}}"
    code = "local _, err = funcs.call('app:fails') return tostring(err:retryable())"
    assert function(code, functions={"fails": fails}) == retryable


MISUSED = [
    "ipairs(nil)", "return ipairs(nil)", "for _ in ipairs(5) do end", "os.difftime()", "return os.difftime('x')",
    "string.rep()", "return ('x'):rep({})", "return setmetatable(1, 2)", "next({1}, {})", "return next({1}, {})",
    "return select(0)", "return table.concat({{}})", "return error('mine')", "assert()",
    "return require(5)", "return math.floor('x')", "return os.date('%Ez')", "return pairs(nil)",
    "return utf8.char(-1)", "return coroutine.resume(5)", "return table.sort({1, 'x'})", "return channel.new({})",
]  # fmt: skip


@pytest.mark.parametrize("code", MISUSED)
def test_errors_of_built_in_functions_have_a_place(everywhere: Run, code: str) -> None:
    """Wherever they are caught: by nobody, by `pcall`, in a coroutine; and whether a tail call took the frame."""
    caught = f"""
    local function run() {code} end
    local out = {{}}
    for i, fn in ipairs{{
      function() return select(2, pcall(run)) end,
      function() return select(2, xpcall(run, function(err) return err end)) end,
      function() return select(2, coroutine.resume(coroutine.create(run))) end,
    }} do out[i] = tostring(fn()) end
    return out
    """
    for text in everywhere(caught):
        assert re.match(r"\S+/main\.lua:\d+: [^:]*[^/]*$", text), text
    with pytest.raises(Error, match=r"^\S+/main\.lua:\d+: "):
        everywhere(code)


@pytest.mark.parametrize(
    "name", ["ipairs", "select", "assert", "os.difftime", "string.rep", "rawequal", "setmetatable"]
)
def test_a_built_in_function_that_pcall_runs_fails_at_the_place_of_pcall(everywhere: Run, name: str) -> None:
    assert re.match(r"\S+/main\.lua:\d+: bad argument", everywhere(f"return select(2, pcall({name}))"))


def test_what_is_raised_without_a_place_stays_as_it_is(everywhere: Run) -> None:
    code = """
    local texts = {}
    for i, fn in ipairs{
      function() error("plain", 0) end, function() assert(false, "plain") end, function() assert(nil) end,
      function() error() end, function() error({}) end,
    } do texts[i] = type(select(2, pcall(fn))) == "string" and select(2, pcall(fn)) or type(select(2, pcall(fn))) end
    return texts
    """
    assert everywhere(code) == ["plain", "plain", "assertion failed!", "nil", "table"]
