"""The module uuid."""

from __future__ import annotations

import uuid

import pytest

NOW = 1_700_000_000_123_456_700
SAMPLE = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


@pytest.mark.parametrize("version", [1, 4, 7])
def test_made_uuids_have_their_version_and_are_distinct(run, version):
    made = run(
        f'local u, all = require("uuid"), {{}} for i = 1, 50 do all[i] = u.v{version}() end return all'
    )
    assert len(set(made)) == 50
    for text in made:
        assert str(uuid.UUID(text)) == text
        assert uuid.UUID(text).version == version
        assert uuid.UUID(text).variant == uuid.RFC_4122


def test_version_7_is_in_order_within_a_millisecond(run):
    made = run(
        'local u, all = require("uuid"), {} for i = 1, 4200 do all[i] = u.v7() end return all', now=NOW
    )
    assert made == sorted(made)
    assert len(set(made)) == 4200


def test_the_same_secret_and_time_give_the_same_uuids(run):
    code = 'local u = require("uuid") return {u.v1(), u.v4(), u.v7()}'
    first, again, other = (run(code, workflow=True, secret=secret, now=NOW) for secret in ("a", "a", "b"))
    assert first == again
    assert not set(first) & set(other)


@pytest.mark.parametrize(("version", "made"), [(3, uuid.uuid3), (5, uuid.uuid5)])
def test_named_uuids_agree_with_the_standard(run, version, made):
    for name in ("", "python.org", "größe"):
        assert run(f'return require("uuid").v{version}("{SAMPLE}", "{name}")') == str(
            made(uuid.UUID(SAMPLE), name)
        )


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (SAMPLE, True),
        (SAMPLE.upper(), True),
        (SAMPLE.replace("-", ""), True),
        ("urn:uuid:" + SAMPLE, True),
        ("{" + SAMPLE + "}", True),
        ("00000000-0000-0000-0000-000000000000", True),
        ("", False),
        (SAMPLE[:-1], False),
        (SAMPLE[:-1] + "g", False),
        ("6ba7b8109-dad-11d1-80b4-00c04fd430c8", False),
        ("(" + SAMPLE + ")", False),
        ("urn:uuix:" + SAMPLE, False),
        ("-" * 36, False),
    ],
)
def test_validate(run, text, valid):
    assert run("return require('uuid').validate(...)", text) is valid


def test_validate_takes_anything(run):
    code = "local v = require('uuid').validate return {v(), v(7), v({}), v(print), v(true)}"
    assert run(code) == [False] * 5


@pytest.mark.parametrize(
    ("digit", "variant"),
    [("0", "NCS"), ("7", "NCS"), ("8", "RFC4122"), ("b", "RFC4122"), ("c", "Microsoft"), ("f", "Future")],
)
def test_variant(run, digit, variant):
    text = f"6ba7b810-9dad-41d1-{digit}0b4-00c04fd430c8"
    assert run("return require('uuid').variant(...)", text) == variant


def test_version(run):
    assert run(
        "local v = require('uuid').version return {v(...), v('00000000-0000-0000-0000-000000000000')}", SAMPLE
    ) == [1, 0]


def test_parse_tells_the_time_and_the_node(run):
    parsed = run('local u = require("uuid") local id = u.v1() return {id, u.parse(id)}', now=NOW)
    made = uuid.UUID(parsed[0])
    assert parsed[1] == {
        "version": 1,
        "variant": "RFC4122",
        "timestamp": 1_700_000_000,
        "node": f"{made.node:012x}",
    }
    assert made.time == NOW // 100 + 0x01B21DD213814000
    assert made.node >> 40 & 1  # a made-up node is a multicast address
    seventh = run('local u = require("uuid") return u.parse(u.v7())', now=NOW)
    assert seventh == {"version": 7, "variant": "RFC4122", "timestamp": 1_700_000_000}
    assert run('local u = require("uuid") return u.parse(u.v4())') == {"version": 4, "variant": "RFC4122"}


def test_format(run):
    code = """
      local format, id = require("uuid").format, ...
      return {(format(id)), (format(id, "standard")), (format(id, "simple")), (format(id, "urn"))}
    """
    assert run(code, SAMPLE.upper()) == [SAMPLE, SAMPLE, SAMPLE.replace("-", ""), "urn:uuid:" + SAMPLE]


@pytest.mark.parametrize(
    "call",
    [
        "version('x')", "variant(7)", "parse()", "format('x')", "v3('x', 'n')", "v5(nil, 'n')",
        f"v5('{SAMPLE}')", f"v3('{SAMPLE}', {{}})", f"format('{SAMPLE}', 'braces')", f"format('{SAMPLE}', 7)",
    ],
)  # fmt: skip
def test_bad_input_is_invalid(failure, call):
    assert failure(f"require('uuid').{call}")[:2] == ("Invalid", False)
