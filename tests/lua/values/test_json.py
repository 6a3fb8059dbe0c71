"""The json module: plain JSON, and JSON Schema."""

from __future__ import annotations

import json as reference
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SETUP = """
  local json = rt.library("json")
  local function fault(value, err)
    assert(not value and err:retryable() == false)
    return err:kind(), err:message()
  end
"""


@pytest.fixture
def run(lua: Any) -> Any:
    def call(source: str, *args: Any) -> Any:
        got = lua(SETUP + source, *args)
        if isinstance(got, tuple):
            return tuple(part.decode() if isinstance(part, bytes) else part for part in got)
        return got.decode() if isinstance(got, bytes) else got

    return call


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{}", "[]"),
        ("{1, 'a', true}", '[1,"a",true]'),
        ("{b = 1, a = {}}", '{"a":[],"b":1}'),
        ("nil", "null"),
        ("{0/0, 1/0, -1/0}", "[null,null,null]"),
        ("2.0", "2"),
        ("10 / 2", "5"),
        ("-0.0", "-0"),
        ("2.0 ^ 53", "9007199254740992"),
        ("1e15", "1e+15"),
        ("{1.0, 1.5, {a = 3.0}}", '[1,1.5,{"a":3}]'),
        (r"'\u{E9}\n'", r'"é\n"'),
        ("{['$bin'] = 'x'}", '{"$bin":"x"}'),  # no reserved keys here
        ('json.decode(\'{"a":{},"b":[]}\')', '{"a":{},"b":[]}'),
        ("json.decode('[1,null]')", "[1,null]"),
        (
            "rt.error{message = 'm', kind = 'Invalid', retryable = false, details = {a = 1}, context = 'c'}",
            '{"details":{"a":1},"kind":"Invalid","message":"c: m","retryable":false}',
        ),
        ("rt.payload_new({1})", "[1]"),
    ],
)
def test_encodes(run: Any, source: str, text: str) -> None:
    assert run(f"local text, err = json.encode({source}) return text, err") == (text, None)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("{1, nil, 3}", " is a sparse array (item 2 is missing)"),
        ("{1, a = 1}", ' is a mix of list items and the key "a"; make it one or the other'),
        ("{a = {[1.5] = 1}}", ".a is a map with the key 1.5; keys are text"),
        ("print", " is a function"),
        (r"{'\255'}", "[1] is a string whose bytes are not UTF-8 text"),
        ("rt.duration.new(1)", " is a duration"),
        ("(function() local t = {} t[1] = t return t end)()", " is a cycle (a table that contains itself)"),
    ],
)
def test_what_json_cannot_hold_is_internal(run: Any, source: str, what: str) -> None:
    assert run(f"return fault(json.encode({source}))") == ("Internal", f"value{what}, which JSON cannot hold")


def test_depth_is_limited(run: Any) -> None:
    nest = "local t = {} for _ = 2, %d do t = {t} end "
    assert run(nest % 128 + "return #json.encode(t)") == 256
    assert run(nest % 129 + "return fault(json.encode(t))")[0] == "Internal"
    assert run("return #json.encode(json.decode(('['):rep(128) .. (']'):rep(128)))") == 256
    kind, message = run("return fault(json.decode(('['):rep(129) .. (']'):rep(129)))")
    assert (kind, "nested deeper than 128 levels" in message) == ("Internal", True)


@QUICK
@given(st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner | st.none()) | st.dictionaries(st.text(), inner),
    max_leaves=10,
))  # fmt: skip
def test_reads_and_writes_what_other_tools_do(run: Any, value: Any) -> None:
    try:
        text = reference.dumps(value, ensure_ascii=False, indent=1).encode()
    except UnicodeEncodeError:
        return  # a lone surrogate is no text
    again = run("local _, text = ... return (json.encode((json.decode(text))))", text)
    assert reference.loads(again) == sorted_keys(value)


def sorted_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sorted_keys(value[key]) for key in sorted(value)}
    return [sorted_keys(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("''", "Invalid", "json.decode expects a non-empty string"),
        ("5", "Invalid", "json.decode expects a string, not a number"),
        ("nil", "Invalid", "json.decode expects a string, not a nil"),
        ("'{\"a\" 1}'", "Internal", "not valid JSON: expected ':' at line 1, column 6"),
        (r"'[1,\n  x]'", "Internal", "not valid JSON: an unexpected character at line 2, column 3"),
        ("' '", "Internal", "not valid JSON: the text ends too early at line 1, column 2"),
        (r"'\"a\255\"'", "Internal", "not valid JSON: byte 3 is not UTF-8 text"),
    ],
)
def test_texts_that_are_refused(run: Any, source: str, kind: str, message: str) -> None:
    assert run(f"return fault(json.decode({source}))") == (kind, message)


ORDER = """{
  type = "object", required = {"id"},
  properties = {id = {type = "string"}, items = {type = "array", items = {type = "integer"}}, extra = {}},
}"""
ORDER_TEXT = '{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}'


@pytest.mark.parametrize(
    "source",
    [
        f"json.validate({ORDER}, {{id = 'a', items = {{1, 2.0}}, extra = 5}})",
        f"json.validate({ORDER}, {{id = 'a', items = {{}}}})",
        f"json.validate('{ORDER_TEXT}', {{id = 'a'}})",
        f'json.validate_string({ORDER}, \'{{"id":"a"}}\')',
        f"json.validate_string('{ORDER_TEXT}', '{{\"id\":\"a\"}}')",
        "json.validate({}, 5)",
        "json.validate(true, 5)",
        "json.validate({type = 'object', properties = {}}, {})",  # an empty table is either
        "json.validate({type = 'array'}, {})",
        "json.validate({properties = {a = {type = 'object'}, b = {type = 'array'}}}, {a = {}, b = {}})",
        "json.validate({type = 'string', format = 'date-time'}, '2024-01-01T00:00:00Z')",
        "json.validate({['$ref'] = '#/$defs/n', ['$defs'] = {n = {type = 'integer'}}}, 1)",
    ],
)
def test_data_that_matches(run: Any, source: str) -> None:
    assert run(f"return {source}") == (True, None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            f"json.validate({ORDER}, {{}})",
            'data does not match the schema: data: "id" is a required property',
        ),
        (
            f"json.validate({ORDER}, {{id = 'a', items = {{1, 'x'}}}})",
            'data does not match the schema: data.items[2]: "x" is not of type "integer"',
        ),
        (
            "json.validate({items = {type = 'string'}}, {1, 2, 3, 4, 5})",
            'data does not match the schema: data[1]: 1 is not of type "string"; data[2]: 2 is not of type '
            '"string"; data[3]: 3 is not of type "string"; and 2 more',
        ),
        ("json.validate({minItems = 1, type = 'array'}, {})", "[] has less than 1 item"),
        ("json.validate(false, 1)", "data does not match the schema"),
        (f"json.validate({ORDER}, nil)", "data is required"),
        (f"json.validate_string({ORDER}, nil)", "data is required"),
        (f"json.validate_string({ORDER}, 5)", "json.validate_string expects a JSON string, not a number"),
        (f"json.validate_string({ORDER}, '{{')", "data is not valid JSON"),
        (f"json.validate_string({ORDER}, '')", "data is not valid JSON"),
        ("json.validate_string({type = 'object'}, '[]')", '[] is not of type "object"'),
        ("json.validate({type = 'no such'}, 1)", "the schema is not valid: "),
        ("json.validate('{', 1)", "the schema is not valid JSON"),
        ("json.validate(nil, 1)", "the schema must be a table or a JSON text, not a nil"),
        ("json.validate({f = print}, 1)", "the schema: value.f is a function, which JSON cannot hold"),
        ("json.validate({}, {f = print})", "data.f is a function, which JSON cannot hold"),
        ("json.validate({pattern = '('}, 'x')", "the schema is not valid: "),
        ("json.validate({['$ref'] = '#/nowhere'}, 1)", "the schema is not valid: "),
        (
            "json.validate({['$ref'] = 'http://127.0.0.1:9/x'}, 1)",
            "a schema of another document is not loaded",
        ),
    ],
)
def test_what_does_not_match_is_invalid(run: Any, source: str, message: str) -> None:
    kind, text = run(f"return fault({source})")
    assert kind == "Invalid"
    assert message in text


def test_a_schema_may_use_empty_tables_for_empty_maps(run: Any) -> None:
    schema = """{
      type = "object", properties = {a = {}, l = {items = {}}}, patternProperties = {},
      additionalProperties = {}, allOf = {{}, {type = "object"}}, ["not"] = {required = {"z"}},
      required = {}, default = {},
    }"""
    assert run(f"return json.validate({schema}, {{a = 1, l = {{1}}}})") == (True, None)
    assert run(f"return fault(json.validate({schema}, {{z = 1}}))")[0] == "Invalid"


def test_hostile_patterns_end(run: Any) -> None:
    got = run("return json.validate({pattern = '^(a|a)*(?=b)c'}, ('a'):rep(40))")
    assert got[0] is False
