"""Any JSON that a user can send comes back unchanged: no key has a special meaning.

The conformance suite holds every backend to the same (`values_hold_no_markers`).
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload

from saros.model import values
from saros.model.errors import Error
from saros.model.execution import RUNNING, HistoryPage, Record, Run
from saros.model.presentation import export_history, import_history
from saros_cli import inputs, output
from saros_temporal.wire.payloads import to_json, to_payload
from saros_testing import lua_app
from saros_testing.cases import TestApp
from saros_testing.conformance.values import MARKERS

MANY = settings(max_examples=150, deadline=None)
texts = st.text(st.characters(codec="utf-8"), max_size=8)
names = st.sampled_from(MARKERS) | st.from_regex(r"\A\$*(bin|error|http)\$?\Z") | texts
scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from(["aGk=", "", "whole"])
)
tricks = st.sampled_from(
    [{"message": "m"}, {"message": "m", "details": {"$bin": "aGk="}}, {"message": 5}, {"$bin": "aGk="}]
)


def json_of(leaves: st.SearchStrategy[Any], absent: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves | tricks,
        lambda inner: (
            st.lists(inner | absent, max_size=4)
            | st.dictionaries(names, inner, max_size=3)
            | st.dictionaries(names, inner | st.sampled_from(["aGk="]), min_size=1, max_size=1)
        ),
        max_leaves=12,
    )


plain = json_of(scalars, st.none())  # Lua has no key without a value, so that no map has one
data = json_of(scalars | st.binary(max_size=4) | st.builds(Error, texts, texts), st.none())


def told(value: Any) -> str:
    """Return JSON in which 3 and 3.0 differ."""
    return json.dumps(value, sort_keys=True)


def spelled(value: Any) -> bytes:
    """What some other writer would make of it: spaces, escapes."""
    return json.dumps(value, indent=1).replace("$", "\\u0024").encode()


@MANY
@given(plain)
def test_on_the_wire(value: Any) -> None:
    for text in (json.dumps(value).encode(), spelled(value)):
        wire = values.from_plain(text)
        assert told(values.decode(wire)) == told(value)
        back, is_plain = values.to_plain(wire)
        assert is_plain
        assert told(json.loads(back)) == told(value)
        assert told(values.shown(wire)) == told(value)
    assert values.same_json(values.encode(value), values.from_plain(json.dumps(value).encode()))


@MANY
@given(data)
def test_wire_and_plain_json_are_each_others_inverse(value: Any) -> None:
    wire = values.encode(value)
    text, is_plain = values.to_plain(wire)
    assert (values.from_plain(text) if is_plain else text) == wire


@MANY
@given(plain)
def test_in_the_command_line(value: Any) -> None:
    given = inputs.value(json.dumps(value), "argument 1")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        output.data(given, compact=True)
    assert told(json.loads(printed.getvalue())) == told(value)


@MANY
@given(data, plain)
def test_in_exported_histories(value: Any, other: Any) -> None:
    wire = values.encode(value)
    run = Run("i", "r", "app:m", "m", "w", "q", 1, msgspec.Raw(values.encode_args([value, other])))
    records = [Record("start", 0, b'{"args":[' + wire + b"]}", 1), Record("complete", 1, wire, 2)]
    records.append(Record("complete", 1, values.encode(other), 3))
    document = export_history(HistoryPage(run, 0, records, RUNNING))
    again, read = import_history(json.loads(json.dumps(document)))
    assert values.same_json(bytes(again.args), bytes(run.args))
    for record, found in zip(records, read, strict=True):
        assert values.same_json(record.body, found.body)
    assert told(document["events"][2]["body"]) == told(other), "a reader sees what was sent"


@MANY
@given(data)
def test_in_payloads_of_temporal(value: Any) -> None:
    wire = values.encode(value)
    assert values.same_json(to_json(to_payload(wire)), wire)


@MANY
@given(plain)
def test_in_payloads_of_other_sdks(value: Any) -> None:
    foreign = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode())
    assert told(values.decode(to_json(foreign))) == told(value)
    ours = to_payload(values.encode(value))
    if value is not None:
        assert ours.metadata == {"encoding": b"json/plain"}, "other SDKs read what Python was given"
        assert told(json.loads(ours.data)) == told(value)


def test_in_programs(tmp_path: Path) -> None:
    echo = "local back, err = funcs.call('app:echo', input) if err then return nil, err end return back"
    lua_app(tmp_path, workflows={"main": echo}, functions={"echo": "return input"})

    async def body() -> None:
        async with TestApp(tmp_path) as app:
            for number, value in enumerate(collected):
                assert told(await app.call("app:echo", value)) == told(value)
                assert told(await app.run("app:main", value, id=f"order-{number}")) == told(value)

    collected: list[Any] = []

    @settings(max_examples=60, deadline=None, database=None)
    @given(plain)
    def collect(value: Any) -> None:
        collected.append(value)

    collect()
    asyncio.run(body())
