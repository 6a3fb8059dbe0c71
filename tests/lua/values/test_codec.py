"""The wire codec of the Lua side, compared with the kernel's (`saros.model.values`)."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saros.model import values
from saros.model.errors import Error

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ENCODE = "return rt.encode(({source}), 'argument 1')"
FAULT = "local ok, text = rt.raw.pcall(rt.encode, ({source}), 'argument 1') return not ok and text"
AGAIN = "local _, text = ... return rt.encode(rt.decode(text), 'value')"

integers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
keys = texts | st.sampled_from(["$bin", "$error", "$$bin", "$", "a", "b"])
blobs = st.binary(max_size=12)
scalars = st.booleans() | integers | floats | texts | blobs
errors = st.builds(
    Error,
    texts,
    texts,
    retryable=st.none() | st.booleans(),
    details=st.none() | st.dictionaries(keys, scalars, min_size=1, max_size=3),
    context=texts,
)
# None is left out of maps: Lua has no key without a value.
data = st.recursive(
    scalars | errors,
    lambda inner: st.lists(inner | st.none(), max_size=5) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)


def comparable(value: Any) -> Any:
    """Return a form in which 3, 3.0, True and -0.0 differ, and text bytes equal the text."""
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, Error):
        fields = (value.message, value.kind, value.retryable, value.context)
        return ("error", fields, comparable(value.details))
    if isinstance(value, bytes):
        try:  # Lua has one kind of string
            value = value.decode()
        except UnicodeDecodeError:
            return ("bytes", value)
    return (type(value).__name__, str(value) if isinstance(value, float) else value)


@QUICK
@given(data)
def test_values_survive_the_way_through_lua(lua: Any, value: Any) -> None:
    text = lua(AGAIN, values.encode(value))
    assert comparable(values.decode(text)) == comparable(value)
    assert lua(AGAIN, text) == text


@QUICK
@given(st.dictionaries(texts, integers | texts | st.booleans(), max_size=40))
def test_encoding_equals_that_of_other_writers_with_sorted_keys(lua: Any, value: dict[str, Any]) -> None:
    value["~"] = 0  # a map with one reserved key would be escaped
    assert lua(AGAIN, msgspec.json.encode(value)) == msgspec.json.encode(value, order="deterministic")


@QUICK
@given(floats)
def test_floats_round_trip_and_stay_floats(lua: Any, value: float) -> None:
    text = lua("return rt.encode((select(2, ...)), 'v')", value)
    back = msgspec.json.decode(text)
    assert type(back) is float
    assert (back, math.copysign(1, back)) == (value, math.copysign(1, value))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("nil", "null"),
        ("true", "true"),
        ("3", "3"),
        ("3.0", "3.0"),
        ("-0.0", "-0.0"),
        ("0.1", "0.1"),
        ("1/3", "0.3333333333333333"),
        ("2^53", "9007199254740992.0"),
        ("1e300", "1e+300"),
        ("math.mininteger", "-9223372036854775808"),
        ("''", '""'),
        (r"'\0\31\127\"\\/\n\r\t\b\f'", r'"\u0000\u001f' + "\x7f" + r'\"\\/\n\r\t\b\f"'),
        (r"'h\u{E9}\u{1F600}'", '"hé😀"'),
        (r"'\255'", '{"$bin":"/w=="}'),
        (r"'\xED\xA0\x80'", '{"$bin":"7aCA"}'),  # an encoded surrogate is no text
        ("{}", "[]"),
        ("{{}, {a = {}}}", '[[],{"a":[]}]'),
        ("{b = 1, a = 2, ['a.b'] = 3, B = 4}", '{"B":4,"a":2,"a.b":3,"b":1}'),
        ("{[2] = 'b', [1] = 'a'}", '["a","b"]'),
        ("{['$bin'] = 1}", '{"$$bin":1}'),
        ("{['$$error'] = 1}", '{"$$$error":1}'),
        ("{['$bin'] = 1, a = 2}", '{"$bin":1,"a":2}'),
        ("{['$other'] = 1}", '{"$other":1}'),
        ("setmetatable({1}, {__index = error, __len = error, __pairs = error})", "[1]"),
    ],
)
def test_encodes(lua: Any, source: str, text: str) -> None:
    assert lua(ENCODE.format(source=source)).decode() == text


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("{items = {1, 2, {price = 0/0}}}", ".items[3].price is NaN"),
        ("{1/0}", "[1] is an infinite number"),
        ("print", " is a function"),
        ("{a = coroutine.create(print)}", ".a is a coroutine"),
        ("{1, nil, 3}", " is a sparse array (item 2 is missing)"),
        ("{[10] = 1}", " is a sparse array (item 1 is missing)"),
        ("{1, 2, z = 1, a = 2}", ' is a mix of list items and the key "a"; make it one or the other'),
        ("{1, nil, 3, x = 1}", ' is a mix of list items and the key "x"; make it one or the other'),
        ("{[0.5] = 1, a = 1}", " is a map with the key 0.5; keys are text"),
        ("{[0] = 1}", " is a map with the key 0; keys are text"),
        ("{[true] = 1}", " is a map with a boolean as a key; keys are text"),
        (r"{['\255'] = 1}", " is a map with a key whose bytes are not UTF-8 text"),
        ("{p = rt.duration.new(5)}", ".p is a duration"),
        ("{rt.error{message = 'm', details = {f = print}}}", "[1].details.f is a function"),
    ],
)
def test_refuses_what_is_not_data(lua: Any, source: str, what: str) -> None:
    fault = lua(FAULT.format(source=source)).decode()
    assert fault == f"argument 1{what}, which cannot cross a boundary"


def test_refuses_cycles_and_names_their_outermost_table(lua: Any) -> None:
    fault = lua("local t = {} t.a = {t} " + FAULT.format(source="{z = t}")).decode()
    assert "cycle" in fault
    assert fault.startswith(("argument 1.z is ", "argument 1.z.a is "))


def test_depth_is_limited_as_in_the_kernel(lua: Any) -> None:
    nest = "local t = {} for _ = 2, %d do t = {t} end "
    assert lua((nest % 128) + ENCODE.format(source="t")) == b"[" * 128 + b"]" * 128
    fault = lua((nest % 129) + FAULT.format(source="t")).decode()
    assert "is nested deeper than 128 levels, which" in fault


def test_shared_tables_are_no_cycle(lua: Any) -> None:
    assert lua("local t = {1} return rt.encode({t, t}, 'v')") == b"[[1],[1]]"


@pytest.mark.parametrize(
    "text",
    ["{}", "[{},[]]", "[null]", "[1,null]", "[null,null,3,null]", '[[null],{"a":[1,null,{}]}]', '{"a":{}}'],
)
def test_empty_tables_and_nulls_stay_what_they_were(lua: Any, text: str) -> None:
    assert lua(AGAIN, text.encode()).decode() == text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("t[1] = 'x'", '["x",null,3,null]'),  # the same holes
        ("t[2] = 2", "[1,2,3]"),
        ("t[1], t[3] = nil, nil", "[]"),
        ("t[3] = nil", "[1]"),
        ("t[2], t[4], t[5] = 2, 4, 5", "[1,2,3,4,5]"),
    ],
)
def test_a_changed_array_is_an_ordinary_table(lua: Any, change: str, text: str) -> None:
    source = f"local t = rt.decode('[1,null,3,null]') {change} return rt.encode(t, 'v')"
    assert lua(source).decode() == text


def test_a_changed_array_with_a_hole_is_refused(lua: Any) -> None:
    fault = lua("local t = rt.decode('[1,null,3,null]') t[5] = 5 " + FAULT.format(source="t"))
    assert b"is a sparse array (item 2 is missing)" in fault
    assert lua("local t = rt.decode('{}') t[1] = 1 return rt.encode(t, 'v')") == b"[1]"


def test_length_counts_nulls(lua: Any) -> None:
    source = "return rt.length(rt.decode('%s'))"
    for text, length in [("[]", 0), ("[null]", 1), ("[1,null,null]", 3), ("[1,2]", 2), ("{}", 0)]:
        assert lua(source % text) == length
    assert lua("local t = rt.decode('[1,null]') t[2] = 2 t[3] = 3 return rt.length(t)") == 3


def test_null_drops_a_key(lua: Any) -> None:
    assert lua(AGAIN, b'{"a":null,"b":1}') == b'{"b":1}'
    assert lua(AGAIN, b'{"a":null}') == b"{}"
    assert lua("return rt.decode('null') == nil")


@pytest.mark.parametrize(
    ("text", "again"),
    [
        (b' { "a" : [ 1 , 2 ] ,\n"b":\t{ } } ', b'{"a":[1,2],"b":{}}'),
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b'{"a":1,"a":null}', b"{}"),
        (rb'"\u0041\ud83d\uDE00\/\u00e9"', '"A😀/é"'.encode()),
        (rb'{"a\n":1}', rb'{"a\n":1}'),
        (b"9223372036854775807", b"9223372036854775807"),
        (b"9223372036854775808", b"9.223372036854776e+18"),
        (b"-9223372036854775808", b"-9223372036854775808"),
        (b"1E2", b"100.0"),
        (b"-0", b"0"),
        (b'{"$bin":"AAEC/w=="}', b'{"$bin":"AAEC/w=="}'),
        (b'{"$bin":"!"}', b'{"$$bin":"!"}'),  # no base64: an object like others
        (b'{"$bin":7}', b'{"$$bin":7}'),
        (b'{"$bin":"AA==","a":1}', b'{"$bin":"AA==","a":1}'),
        (b'{"$$bin":{"$bin":"/w=="}}', b'{"$$bin":{"$bin":"/w=="}}'),
        (b'{"$$bin":null}', b"{}"),
        (b'{"$error":{"message":"m"}}', b'{"$error":{"message":"m"}}'),
        (b'{"$error":5}', b'{"$$error":5}'),
        (b'{"$error":{"message":"m","kind":5}}', b'{"$$error":{"kind":5,"message":"m"}}'),
    ],
)
def test_decodes(lua: Any, text: bytes, again: bytes) -> None:
    assert lua(AGAIN, text) == again


MALFORMED = [
    "",
    " ",
    "[1,]",
    "[1 2]",
    "[",
    "[1",
    '{"a" 1}',
    '{"a":1,}',
    "{a:1}",
    '{"a":1 "b":2}',
    '{"a"',
    "{,}",
]
MALFORMED += [
    "01",
    "-01",
    "-",
    "1.",
    ".5",
    "+1",
    "1e",
    "1.e5",
    "0x10",
    "1-2",
    "1e400",
    "1 x",
    "[1]]",
    "[1,,2]",
]
MALFORMED += ["tru", "nul", "True", "NaN", "Infinity", "'a'", '"a', '"\x01"', r'"\x"', r'"\u12"', "\ufeff1"]
MALFORMED += [r'"\ud800"', r'"\udc00"', r'"\ud800\u0041"', r'"\ud800x"']


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_text_is_refused_as_in_the_kernel(lua: Any, text: str) -> None:
    with pytest.raises(Error):
        values.decode(text.encode())
    fault = lua(
        "local _, text = ... local ok, why = pcall(rt.decode, text) return not ok and why", text.encode()
    )
    assert fault.startswith(b"not valid JSON: ")


@QUICK
@given(st.text(st.sampled_from('[]{}:,"\\ \n0123456789.eE+-tfnrualse$bin'), max_size=14))
def test_accepts_exactly_what_the_kernel_accepts(lua: Any, text: str) -> None:
    try:
        expected: Any = msgspec.json.decode(text)
    except msgspec.DecodeError:
        expected = Error
    ok = lua("local _, text = ... return (pcall(rt.decode, text))", text.encode())
    assert ok is (expected is not Error)


def test_the_place_of_a_mistake_is_named(lua: Any) -> None:
    source = "local _, text = ... return select(2, pcall(rt.decode, text))"
    fault = lua(source, b'{"a": 1,\n "b": }').decode()
    assert fault == "not valid JSON: an unexpected character at line 2, column 7"
    assert "the text ends too early" in lua(source, b'{"a": 1').decode()


def test_nesting_beyond_reason_does_not_exhaust_the_stack(lua: Any) -> None:
    text = b"[" * 100_000
    fault = lua("local _, text = ... return select(2, pcall(rt.decode, text))", text)
    assert b"nested deeper than 1000 levels" in fault


def test_errors_cross_with_all_their_fields(lua: Any) -> None:
    error = Error("no", "NotFound", retryable=False, details={"id": 7}, stack="s", context="while")
    text = lua(AGAIN, values.encode([error]))
    back = values.decode(text)[0]
    assert isinstance(back, Error)
    assert (back.message, back.kind, back.retryable) == ("no", "NotFound", False)
    assert (back.details, back.stack, back.context) == ({"id": 7}, "s", "while")


def test_an_error_whose_message_is_no_text_crosses_all_the_same(lua: Any) -> None:
    text = lua(r"return rt.encode(rt.error{message = 'a\255b\xC3'}, 'v')")
    assert values.decode(text).message == "a\ufffdb\ufffd"


def test_a_class_can_say_what_crosses_for_it(lua: Any) -> None:
    source = """
      local new = rt.class("moment", {})
      rt.wire.moment = function(state) return "at " .. state.at end
      return rt.encode({t = new({at = "noon"})}, "v")
    """
    assert lua(source) == b'{"t":"at noon"}'


def test_times_cross_as_text(lua: Any) -> None:
    source = """
      local time = rt.library("time")
      return rt.encode({at = time.unix(0, 5), p = rt.payload_new(time.unix(1, 0))}, "v")
    """
    assert values.decode(lua(source)) == {
        "at": "1970-01-01T00:00:00.000000005Z",
        "p": "1970-01-01T00:00:01Z",
    }


def test_an_encoder_may_be_called_while_it_works(lua: Any) -> None:
    source = """
      local new = rt.class("nested", {})
      rt.wire.nested = function() return rt.encode({b = {1, 2}, a = "x"}, "inner") end
      return rt.encode({x = 1, y = new({}), z = {new({})}}, "v")
    """
    inner = msgspec.json.encode('{"a":"x","b":[1,2]}').decode()
    assert lua(source).decode() == f'{{"x":1,"y":{inner},"z":[{inner}]}}'


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 255, 1000])
def test_bytes_of_every_length(lua: Any, size: int) -> None:
    blob = bytes(255 - i % 256 for i in range(size))
    assert values.decode(lua("local _, b = ... return rt.encode(b, 'v')", blob)) == (blob or "")
    assert lua("local _, t, b = ... return rt.decode(t) == b", values.encode(blob), blob)


def test_maps_of_many_keys_are_sorted(lua: Any) -> None:
    value = {f"k{i * 7919 % 1009}": i for i in range(1009)}  # more than the encoder keeps
    assert lua(AGAIN, values.encode(value)) == msgspec.json.encode(value, order="deterministic")
