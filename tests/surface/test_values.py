"""Values that cross boundaries, and payloads (§4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]
ECHO = {"echo": "return input"}


def test_times_cross_as_rfc_3339(everywhere: Run) -> None:
    code = """
    local t = time.unix(1700000000, 123456789):utc()
    local back = funcs.call("app:echo", {at = t, d = "1s"})
    return {back.at, type(back.at)}
    """
    assert everywhere(code, functions=ECHO) == ["2023-11-14T22:13:20.123456789Z", "string"]


def test_errors_and_payloads_cross_inside_values(everywhere: Run) -> None:
    code = """
    local back = funcs.call("app:echo", {err = errors.new("K", "m"), p = payload.new({n = 1})})
    return {back.err:kind(), back.err:message(), back.p.n}
    """
    assert everywhere(code, functions=ECHO) == ["K", "m", 1]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("{a = {1, print}}", "argument 1.a[2] is a function"),
        ("{a = coroutine.create(print)}", "argument 1.a is a coroutine"),
        ("{[1] = 1, [3] = 3}", "argument 1"),
        ("{x = 0/0}", "argument 1.x is NaN"),
        ("{x = 1/0}", "argument 1.x is"),
        ("channel.new(0)", "argument 1 is a channel"),
        ("{1, x = 2}", "argument 1"),
    ],
)
def test_what_is_no_data_is_refused_with_its_path(everywhere: Run, value: str, path: str) -> None:
    code = f"""
    local v, err = funcs.call("app:echo", {value})
    return {{v == nil, err:kind(), err:retryable(), err:message()}}
    """
    absent, kind, retryable, text = everywhere(code, functions=ECHO)
    assert (absent, kind, retryable) == (True, "Invalid", False)
    assert path in text


@pytest.mark.parametrize(
    "value",
    [2**63 - 1, -(2**63), 0, 1.5, 3.0, 1e300, "", "\x00", "ü", b"\xff", True, [], {}, [None, 1], [[[]]]],
)
def test_values_keep_their_type(everywhere: Run, value: Any) -> None:
    back = everywhere("return (funcs.call('app:echo', ...))", value, functions=ECHO)
    assert back == value
    assert type(back) is type(value)


def test_a_value_that_was_sent_is_a_copy(everywhere: Run) -> None:
    code = """
    local sent = {n = 1}
    process.send(process.pid(), "t", sent)
    sent.n = 2
    return process.inbox():receive():payload():data().n
    """
    assert everywhere(code) == 1


def test_payload_constants(everywhere: Run) -> None:
    assert everywhere("return payload.format") == {
        "JSON": "json/plain", "YAML": "yaml/plain", "STRING": "text/plain", "BYTES": "application/octet-stream",
        "MSGPACK": "application/msgpack", "LUA": "lua/any", "GOLANG": "golang/any", "ERROR": "golang/error",
    }  # fmt: skip


def test_a_payload_tells_its_data_and_format(everywhere: Run) -> None:
    code = """
    local p, e = payload.new({n = 1}), payload.new(errors.new("K", "m"))
    return {p:data().n, p:unmarshal().n, p:get_format(), tostring(p),
      e:get_format(), e:data():kind(), payload.new(p) == p}
    """
    assert everywhere(code) == [1, 1, "lua/any", "payload: lua/any", "golang/error", "K", True]


@pytest.mark.parametrize("name", ["JSON", "YAML", "MSGPACK"])
def test_payloads_are_transcoded_and_back(everywhere: Run, name: str) -> None:
    code = f"""
    local p, err = payload.new({{n = 1, list = {{"a", "b"}}}}):transcode(payload.format.{name})
    return {{type(p:data()), p:get_format() == payload.format.{name}, (p:unmarshal())}}
    """
    assert everywhere(code) == ["string", True, {"n": 1, "list": ["a", "b"]}]


@pytest.mark.parametrize("target", ["payload.format.STRING", "'no/such'", "payload.format.ERROR", "5"])
def test_transcoding_that_fails_is_internal(everywhere: Run, target: str) -> None:
    code = f"local p, err = payload.new({{}}):transcode({target}) return {{p == nil, err:kind(), err:retryable()}}"
    assert everywhere(code) == [True, "Internal", False]
