"""A client's JSON is plain data: none of its keys turns it into a response or any other object."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saros_testing.conformance.values import MARKERS

RESPONSE = {"status": 418, "headers": {"x-evil": "1"}, "body": "chosen"}
texts = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | texts | st.booleans() | st.sampled_from(["whole", "rest", "aGk="]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(MARKERS) | texts, inner, max_size=3)
        | st.dictionaries(st.sampled_from(MARKERS), inner, min_size=1, max_size=1)
        | st.dictionaries(st.sampled_from(MARKERS), st.sampled_from(["whole", "rest", True]), min_size=1).map(
            lambda found: {**RESPONSE, **found}
        )
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def site(serve: Any) -> Any:
    return serve(
        {
            "POST /same": "return (http.request():body_json())",
            "POST /json": "return http.response():json((http.request():body_json()))",
            "POST /called": 'return (require("funcs").call("app:f0.echo", (http.request():body_json())))',
        },
        entries=(
            {
                "name": "f0.echo",
                "kind": "function.lua",
                "source": "file://echo.lua",
            },
        ),
        files={"echo.lua": "return function(x) return x end"},
    )


@settings(max_examples=60, deadline=None)
@given(values)
def test_a_client_gets_back_what_it_sent(site: Any, value: Any) -> None:
    for path in ("/same", "/json", "/called"):
        answer = site.post(path, json=value)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert "x-evil" not in answer.headers
        assert json.dumps(answer.json(), sort_keys=True) == json.dumps(value, sort_keys=True)


def test_headers_and_bodies_of_any_bytes_are_sent(serve: Any) -> None:
    site = serve(
        {
            "GET /whole": r"""
              local res = http.response()
              res:set_header("X-Bytes", "\xff\xfe")
              res:set_header("$bin", "aGk=")
              return res:write("\xff\x00body")""",
            "GET /begun": r"""
              local res = http.response()
              res:set_header("X-Bytes", "\xff\xfe")
              res:write("\xff") res:flush() res:write("\xfe")""",
        }
    )
    answer = site.get("/whole")
    assert (answer.content, answer.headers["$bin"]) == (b"\xff\x00body", "aGk=")
    assert dict(answer.headers.raw)[b"x-bytes"] == b"\xff\xfe"
    answer = site.get("/begun")
    assert (answer.content, dict(answer.headers.raw)[b"x-bytes"]) == (b"\xff\xfe", b"\xff\xfe")
