"""Durations: Go's grammar and Go's text, whole nanoseconds."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

QUICK = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PARSE = "local _, x, unit = ... return rt.duration.parse_ns(x, unit)"

UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6}
UNITS |= {"s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
MAX = 2**63 - 1
SECOND, MINUTE, HOUR = 10**9, 60 * 10**9, 3600 * 10**9


def reference(text: str) -> int | None:
    """Return what Go's ``time.ParseDuration`` gives, None for an error; a transcription of its steps."""
    match = re.fullmatch(r"([-+]?)((?:[0-9]*(?:\.[0-9]*)?[^.0-9]+)+|0)", text, re.DOTALL)
    if not match:
        return None
    sign, body = match.groups()
    total = 0
    for whole, fraction, unit in re.findall(r"([0-9]*)(\.[0-9]*)?([^.0-9]+)", body):
        if (not whole and len(fraction) < 2) or unit not in UNITS:
            return None
        value = int(whole or "0")
        if value > 2**63 // UNITS[unit]:
            return None
        value *= UNITS[unit]
        digits, scale = leading_fraction(fraction[1:])
        value += int(float(digits) * (UNITS[unit] / scale))
        total += value
        if value > 2**63 or total > 2**63:
            return None
    total = -total if sign == "-" else total
    return total if total <= MAX else None


def leading_fraction(digits: str) -> tuple[int, float]:
    value, scale = 0, 1.0
    for digit in digits:
        following = value * 10 + int(digit)
        if value > MAX // 10 or following > 2**63:
            break
        value, scale = following, scale * 10
    return value, scale


def go_text(ns: int) -> str:
    """Return what Go's ``Duration.String`` gives."""
    sign, ns = "-" if ns < 0 else "", abs(ns)
    if ns == 0:
        return "0s"
    for limit, unit, name in ((1000, 1, "ns"), (10**6, 1000, "µs"), (SECOND, 10**6, "ms")):
        if ns < limit:
            return sign + shortest(ns, unit) + name
    hours, minutes = ns // HOUR, ns // MINUTE
    text = f"{hours}h" if hours else ""
    text += f"{minutes % 60}m" if minutes else ""
    return sign + text + shortest(ns % MINUTE, SECOND) + "s"


def shortest(ns: int, unit: int) -> str:
    if unit == 1:
        return str(ns)
    places = len(str(unit)) - 1
    return f"{ns // unit}.{ns % unit:0{places}d}".rstrip("0").rstrip(".")


numbers = st.integers(0, 99).map(str) | st.integers(0, 2**64).map(str) | st.text("0123456789", max_size=25)
fractions = st.just("") | st.text("0123456789", max_size=25).map(lambda digits: "." + digits)
parts = st.tuples(numbers, fractions, st.sampled_from([*UNITS, "", "x", "S"])).map("".join)
likely = st.tuples(st.sampled_from(["", "-", "+", " "]), st.lists(parts, max_size=4).map("".join)).map(
    "".join
)
unlikely = st.text(st.sampled_from("0123456789.+-hmsnuµ x"), max_size=8)


@QUICK
@given(likely | unlikely)
def test_parses_what_go_parses(lua: Any, text: str) -> None:
    got = lua(PARSE, text.encode())
    if reference(text) is None:
        nothing, reason = got
        assert nothing is None
        assert b"is not a duration: " in reason
    else:
        assert got == reference(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("-0", 0),
        ("0s", 0),
        ("1h30m", 90 * MINUTE),
        ("-1.5h", -90 * MINUTE),
        ("+5s", 5 * SECOND),
        (".5s", SECOND // 2),
        ("5.s", 5 * SECOND),
        ("1us1µs1μs", 3000),
        ("1m1m", 2 * MINUTE),
        ("0.9999999999s", 999_999_999),
        ("0.3333333333333333333h", 1_200_000_000_000),
        ("0.9223372036854775807h", 3_320_413_933_267),
        ("0.100000000000000000000h", 6 * MINUTE),
        ("9223372036854775807ns", MAX),
        ("-9223372036854775808ns", -MAX - 1),
        ("-2562047h47m16.854775808s", -MAX - 1),
    ],
)
def test_parses(lua: Any, text: str, ns: int) -> None:
    assert lua(PARSE, text.encode()) == ns == reference(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("5", "a unit is missing, such as s or ms"),
        ("5x", "unknown unit x"),
        ("5 s", "unknown unit  s"),
        ("-", "the number is missing"),
        ("s", 'a number must come before "s"'),
        (".s", 'a number must come before ".s"'),
        ("1h 5m", "unknown unit h "),
        ("9223372036854775808ns", "it is out of range"),
        ("3000000h", "it is out of range"),
        ("99999999999999999999s", "it is out of range"),
    ],
)
def test_refuses(lua: Any, text: str, reason: str) -> None:
    assert reference(text) is None
    assert lua(PARSE, text.encode()) == (None, f'"{text}" is not a duration: {reason}'.encode())


@pytest.mark.parametrize(
    ("value", "unit", "ns"),
    [
        (5, None, 5),
        (5, 10**6, 5 * 10**6),
        (-5, 10**6, -5 * 10**6),
        (1.5, 10**6, 1_500_000),
        (2.5, 1, 3),
        (-2.5, 1, -3),
        (0.49999999999999994, 1, 0),
        (1e18, 1, 10**18),
        (MAX, 1, MAX),
    ],
)
def test_numbers_are_of_the_unit(lua: Any, value: float, unit: int | None, ns: int) -> None:
    assert lua(PARSE, value, unit) == ns


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("0/0", "NaN is not a duration"),
        ("1/0", "inf is not a duration: it is out of range"),
        ("2^63", "9.2233720368548e+18 is not a duration: it is out of range"),
        ("nil", "nil is not a duration"),
        ("{}", "a table is not a duration"),
        ("true", "a boolean is not a duration"),
        ("rt.payload_new(1)", "a userdata is not a duration"),
    ],
)
def test_other_values_are_refused(lua: Any, source: str, reason: str) -> None:
    assert lua(f"return rt.duration.parse_ns(({source}))") == (None, reason.encode())


def test_an_integer_that_overflows_is_refused(lua: Any) -> None:
    nothing, reason = lua(PARSE, MAX // 10**6 + 1, 10**6)
    assert nothing is None
    assert reason.endswith(b"is out of range")


@QUICK
@given(st.integers(-(2**63), MAX) | st.integers(-2 * SECOND, 2 * SECOND))
def test_text_is_gos_and_reads_back(lua: Any, ns: int) -> None:
    text = lua("local _, ns = ... return rt.raw.tostring(rt.duration.new(ns))", ns).decode()
    assert text == go_text(ns)
    assert lua(PARSE, text.encode()) == ns


@QUICK
@given(st.integers(-(2**63), MAX))
def test_parts_are_cut_towards_zero(lua: Any, ns: int) -> None:
    source = "local _, ns = ... local d = rt.duration.new(ns) return "
    whole = lua(source + "d:milliseconds(), d:microseconds(), d:nanoseconds()", ns)
    sign = -1 if ns < 0 else 1
    assert whole == (abs(ns) // 10**6 * sign, abs(ns) // 10**3 * sign, ns)
    parts = lua(source + "d:hours(), d:minutes(), d:seconds()", ns)
    assert parts == tuple(sign * (abs(ns) // u + (abs(ns) % u) / u) for u in (HOUR, MINUTE, SECOND))


def test_units_in_a_duration_are_as_documented(lua: Any) -> None:
    source = "local d = rt.duration.new(5400000000000) return d:hours(), d:minutes(), d:seconds()"
    assert lua(source) == (1.5, 90.0, 5400.0)
    assert lua("return rt.raw.math.type(rt.duration.new(1):hours())") == b"float"


def test_arithmetic_and_comparison(lua: Any) -> None:
    source = """
      local d = rt.duration.new
      local a, b = d(1000), d(2000)
      return rt.duration.get(a + b), rt.duration.get(a - b), rt.duration.get(a * 3), rt.duration.get(0.5 * b),
        rt.duration.get(-a), a == d(1000), a == b, a < b, a <= a, b < a, a == 1000
    """
    assert lua(source) == (3000, -1000, 3000, 1000, -1000, True, False, True, True, False, False)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("d(1) + 5", "a duration can only be added to a duration, not a number"),
        ("5 - d(1)", "a duration can only be subtracted from a duration, not a number"),
        ("d(1) < 5", "a duration can only be compared with a duration, not a number"),
        ("d(1) * d(2)", "a duration can only be multiplied by a number, not a userdata"),
        ("d(math.maxinteger) + d(1)", "the duration is out of range"),
        ("d(math.mininteger) - d(1)", "the duration is out of range"),
        ("d(0) - d(math.mininteger)", "the duration is out of range"),
        ("-d(math.mininteger)", "the duration is out of range"),
        ("d(math.maxinteger) * 2", "the duration is out of range"),
        ("d(1 << 62) * 2", "the duration is out of range"),
        ("d(1) * (0/0)", "the duration is out of range"),
        ("d(1).hours()", "expected a duration; call it as duration:hours()"),
    ],
)
def test_misuse_is_named(lua: Any, source: str, message: str) -> None:
    fault = lua(f"local d = rt.duration.new return select(2, pcall(function() return {source} end))")
    assert fault.decode().endswith(message)


def test_extremes_subtract(lua: Any) -> None:
    source = "local d = rt.duration.new return rt.duration.get(d(-1) - d(math.mininteger))"
    assert lua(source) == MAX
