"""The payload global: values, formats, transcoding."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saros.model import values
from saros.model.errors import INTERNAL, Error
from saros_lua.modules import payload as host

QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SETUP = """
  local payload, F = rt.library("payload"), rt.library("payload").format
  local function fault(value, err)
    assert(value == nil and err:kind() == "Internal" and err:retryable() == false)
    return err:message()
  end
"""


@pytest.fixture
def run(lua: Any) -> Any:
    return lambda source, *args: lua(SETUP + source, *args)


def test_the_global_is_the_module(run: Any) -> None:
    assert run("return rt.env.payload == payload and payload.new == rt.payload_new")


def test_format_constants(run: Any) -> None:
    source = "return F.JSON, F.YAML, F.STRING, F.BYTES, F.MSGPACK, F.LUA, F.GOLANG, F.ERROR"
    assert run(source) == (
        b"json/plain",
        b"yaml/plain",
        b"text/plain",
        b"application/octet-stream",
        b"application/msgpack",
        b"lua/any",
        b"golang/any",
        b"golang/error",
    )


def test_a_payload_keeps_its_value(run: Any) -> None:
    source = """
      local t = {a = 1}
      local p = payload.new(t)
      return p:data() == t, p:get_format(), tostring(p), payload.new(p) == p, payload.new(nil):data() == nil
    """
    assert run(source) == (True, b"lua/any", b"payload: lua/any", True, True)


def test_unmarshal_gives_a_copy(run: Any) -> None:
    source = """
      local t = {a = {1, 2}}
      local p = payload.new(t)
      local copy, err = p:unmarshal()
      t.a[1] = 9
      return err == nil and copy ~= t, copy.a[1], p:unmarshal().a[1]
    """
    assert run(source) == (True, 1, 9)


def test_an_error_has_its_own_format(run: Any) -> None:
    source = """
      local e = rt.error{message = "no", kind = "NotFound", retryable = false}
      local p = payload.new(e)
      local copy = p:unmarshal()
      return p:get_format(), p:data() == e, copy:kind(), copy:message(),
        p:transcode(F.JSON):data(), p:transcode(F.STRING):data(), p:transcode(F.LUA):data() == e
    """
    json = b'{"kind":"NotFound","message":"no","retryable":false}'
    assert run(source) == (b"golang/error", True, b"NotFound", b"no", json, b"no", True)


@pytest.mark.parametrize(
    ("source", "name", "data"),
    [
        ('{b = {1, 2.0}, a = "x"}', "JSON", '{"a":"x","b":[1,2.0]}'),
        ('{b = {1, 2.0}, a = "x"}', "YAML", "a: x\nb:\n- 1\n- 2.0\n"),
        ('"text"', "JSON", '"text"'),
        ('"text"', "STRING", "text"),
        ("5", "STRING", "5"),
        ("2.0", "BYTES", "2.0"),
        ("true", "STRING", "true"),
        ("nil", "JSON", "null"),
        ("{payload.new({1})}", "JSON", "[[1]]"),
        ("{rt.error{message = 'm', details = {a = 1}}}", "YAML", "- message: m\n  details:\n    a: 1\n"),
    ],
)
def test_transcodes(run: Any, source: str, name: str, data: str) -> None:
    got = run(
        f"local p = payload.new({source}):transcode(F.{name}) return p:data(), p:get_format() == F.{name}"
    )
    assert got == (data.encode(), True)


def test_messagepack(run: Any) -> None:
    data = run(r"return payload.new({a = {1, 2.5, '\255'}}):transcode(F.MSGPACK):data()")
    assert msgspec.msgpack.decode(data) == {"a": [1, 2.5, b"\xff"]}


def test_bytes_pass_as_they_are(run: Any) -> None:
    assert run(r"return payload.new('\0\255'):transcode(F.BYTES):data()") == b"\0\xff"


@pytest.mark.parametrize("name", ["JSON", "YAML", "MSGPACK"])
@QUICK
@given(value=st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=9),
    lambda inner: st.lists(inner | st.none(), max_size=4)
    | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=9), inner, max_size=4),
    max_leaves=10,
))  # fmt: skip
def test_there_and_back(run: Any, name: str, value: Any) -> None:
    source = f"""
      local _, wire = ...
      local p = payload.new(rt.decode(wire)):transcode(F.{name})
      return rt.encode(p:transcode(F.LUA):data(), "v"), rt.encode(p:unmarshal(), "v"), rt.encode(p, "v")
    """
    there, copy, crossed = run(source, values.encode(value))
    assert there == copy == crossed
    by_any = msgspec.json.encode(values.decode(there), order="deterministic")
    assert by_any == msgspec.json.encode(value, order="deterministic")


def test_the_same_format_is_the_same_payload(run: Any) -> None:
    assert run("local p = payload.new(1) return p:transcode(F.LUA) == p")


def test_between_two_texts(run: Any) -> None:
    assert run("return payload.new({1}):transcode(F.JSON):transcode(F.YAML):data()") == b"- 1\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("payload.new(1):transcode('x/y')", "there is no payload format x/y"),
        ("payload.new(1):transcode()", "there is no payload format nil"),
        ("payload.new({}):transcode(F.STRING)", "a table cannot become text/plain; use payload.format.JSON"),
        (
            r"payload.new('\255'):transcode(F.STRING)",
            "the bytes are not UTF-8 text; use payload.format.BYTES",
        ),
        ("payload.new(1):transcode(F.ERROR)", "a number is not an error"),
        ("payload.new({f = print}):transcode(F.JSON)", "value.f is a function, which JSON cannot hold"),
        (
            "payload.new({f = print}):transcode(F.YAML)",
            "payload.f is a function, which cannot cross a boundary",
        ),
        ("payload.new({f = print}):unmarshal()", "payload.f is a function, which cannot cross a boundary"),
    ],
)
def test_failures_are_internal(run: Any, source: str, message: str) -> None:
    assert run(f"return fault({source})").decode() == message


def test_payloads_are_accepted_inside_values(run: Any) -> None:
    source = """
      local v = {payload.new({a = 1}), b = nil}
      v[2] = payload.new({1}):transcode(F.JSON)
      return rt.encode(v, "v")
    """
    assert run(source) == b'[{"a":1},[1]]'


def test_methods_want_a_payload(run: Any) -> None:
    fault = run("return select(2, pcall(payload.new(1).data))")
    assert fault.endswith(b"expected a payload; call it as payload:data()")


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (host.from_yaml, b"a: [1"),
        (host.from_yaml, b"1: a"),  # keys are text
        (host.from_yaml, b".nan"),
        (host.from_yaml, b"!!python/object:os.system {}"),
        (host.from_yaml, b"\xff"),
        (host.from_yaml, b"[" * 5000),
        (host.from_msgpack, b"\xc1"),
        (host.from_msgpack, b"\x92\x01"),
        (host.from_msgpack, msgspec.msgpack.encode(2**64 - 1)),
        (host.from_msgpack, msgspec.msgpack.encode(msgspec.msgpack.Ext(5, b"x"))),
    ],
)
def test_texts_that_are_no_data(read: Any, text: bytes) -> None:
    with pytest.raises(Error) as raised:
        read(text)
    assert raised.value.kind == INTERNAL
    assert raised.value.retryable is False


def test_yaml_is_readable_by_others() -> None:
    text = host.to_yaml(values.encode({"when": "2024-01-01", "yes": "no", "n": "1"}))
    assert yaml.safe_load(text) == {"when": "2024-01-01", "yes": "no", "n": "1"}
