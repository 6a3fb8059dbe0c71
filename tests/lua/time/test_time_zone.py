"""Locations of the time module, against zoneinfo."""

from __future__ import annotations

import random
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from saros.model.errors import Error
from saros_lua.modules.time import time_abbreviation, time_span, zone

Run = Callable[..., Any]

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "Europe/Dublin",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Etc/GMT+5",
    "Asia/Tehran",
    "Antarctica/Troll",
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", ZONES)
def test_offsets_agree_with_zoneinfo(name: str) -> None:
    info, chance = ZoneInfo(name), random.Random(name)
    for _ in range(500):
        at = chance.randint(-5_000_000_000, 20_000_000_000)
        then = (EPOCH + timedelta(seconds=at)).astimezone(info)
        offset = then.utcoffset()
        assert offset is not None
        span = time_span(name.encode(), at)
        assert (span.offset, span.abbreviation.decode()) == (int(offset.total_seconds()), then.tzname())
        assert span.first <= at < span.last


@pytest.mark.parametrize("name", ZONES)
def test_a_span_ends_where_the_clocks_change(name: str) -> None:
    at = -5_000_000_000
    while at < 8_000_000_000:
        span = time_span(name.encode(), at)
        again = time_span(name.encode(), span.last - 1)
        assert (again.offset, again.abbreviation) == (span.offset, span.abbreviation)
        after = time_span(name.encode(), span.last)
        assert after.first == span.last or span.last == 2**62
        at = span.last


def test_the_calendar_of_zones_goes_on_for_ever() -> None:
    era = 146097 * 86400
    for at in (13_600_000_000, 20_000_000_000, 26_000_000_000):
        near, far = time_span(b"Europe/Berlin", at), time_span(b"Europe/Berlin", at + 1000 * era)
        assert (far.offset, far.abbreviation) == (near.offset, near.abbreviation)
        assert (far.first, far.last) == (near.first + 1000 * era, near.last + 1000 * era)


def test_spans_do_not_depend_on_what_was_asked_before() -> None:
    asked = [chance * 86_400 * 50 for chance in range(-300, 900)]
    forward = [time_span(b"America/New_York", at) for at in asked]
    zone.cache_clear()
    assert [time_span(b"America/New_York", at) for at in reversed(asked)] == forward[::-1]


def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Broken").write_bytes(b"TZif2 and no more")
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path),))
    with pytest.raises(Error, match="the time zone file of 'Broken' is damaged") as caught:
        time_span(b"Broken", 0)
    assert caught.value.kind == "Internal"


def test_abbreviations() -> None:
    assert time_abbreviation(b"Europe/Berlin", b"CEST", 1_700_000_000) == 7200
    assert time_abbreviation(b"Europe/Berlin", b"PST", 1_700_000_000) is None


def test_times_are_shown_in_their_location(evaluate: Run) -> None:
    assert evaluate(
        "local berlin = time.load_location('Europe/Berlin')"
        "local t = time.unix(1700000000):in_location(berlin)"
        "return {tostring(t), t:hour(), tostring(t:location()), berlin:string(), tostring(t:utc()),"
        "t:location() == berlin, time.load_location('Europe/Berlin') == berlin}"
    ) == [
        "2023-11-14T23:13:20+01:00",
        23,
        "Europe/Berlin",
        "Europe/Berlin",
        "2023-11-14T22:13:20Z",
        True,
        True,
    ]


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])
def test_dates_in_a_location_agree_with_zoneinfo(evaluate: Run, name: str) -> None:
    info, chance = ZoneInfo(name), random.Random(name)
    days = [
        datetime(1950, 1, 1) + timedelta(minutes=chance.randint(0, 60 * 24 * 365 * 120)) for _ in range(200)
    ]
    rows = ",".join(f"{{{d.year},{d.month},{d.day},{d.hour},{d.minute}}}" for d in days)
    got = evaluate(
        f"local out, loc = {{}}, time.load_location('{name}') for i, d in ipairs{{{rows}}} do "
        "out[i] = time.date(d[1], d[2], d[3], d[4], d[5], 0, 0, loc):unix() end return out"
    )
    for day, at in zip(days, got, strict=True):
        either = {int(day.replace(tzinfo=info, fold=fold).timestamp()) for fold in (0, 1)}
        assert at in either, day


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # Skipped by the clocks: 2:30 in daylight saving time is 1:30 in standard time, as in Go.
        ("2011, 3, 13, 2, 30", 1300008600),
        ("2011, 3, 13, 1, 59, 59", 1300010399),
        ("2011, 3, 13, 3, 0", 1300010400),
        # Shown twice: the first one counts.
        ("2011, 11, 6, 1, 0", 1320566400),
        ("2011, 11, 6, 1, 59, 59", 1320569999),
        ("2011, 11, 6, 2, 0", 1320573600),
    ],
)
def test_when_the_clocks_change_in_los_angeles(evaluate: Run, fields: str, expected: int) -> None:
    code = f"local y, mo, d, h, mi, s = {fields} "
    code += "return time.date(y, mo, d, h, mi, s, 0, time.load_location('America/Los_Angeles')):unix()"
    assert evaluate(code) == expected


def test_add_keeps_the_instant_and_add_date_the_clock(evaluate: Run) -> None:
    assert evaluate(
        "local t = time.date(2024, 3, 30, 12, 0, 0, 0, time.load_location('Europe/Berlin'))"
        "return {tostring(t:add('24h')), tostring(t:add_date(0, 0, 1))}"
    ) == ["2024-03-31T13:00:00+02:00", "2024-03-31T12:00:00+02:00"]


def test_in_workflow_code_the_local_zone_is_utc(evaluate: Run) -> None:
    code = (
        "return {time.localtz == time.utc, tostring(time.now():location()), tostring(time.now():in_local()),"
        "time.load_location('Local') == time.utc}"
    )
    assert evaluate(code, workflow=True) == [True, "UTC", "2023-11-14T22:13:20.123456789Z", True]


@pytest.mark.parametrize(
    ("tz", "expected"),
    [("Asia/Kolkata", "2023-11-15T03:43:20+05:30"), (":Asia/Kolkata", "2023-11-15T03:43:20+05:30")]
    + [(tz, "2023-11-14T22:13:20Z") for tz in ("", "Nowhere/Town", "/etc/passwd")],
)
def test_elsewhere_it_is_that_of_the_host(
    evaluate: Run, monkeypatch: pytest.MonkeyPatch, tz: str, expected: str
) -> None:
    monkeypatch.setenv("TZ", tz)
    zone.cache_clear()
    try:
        got = evaluate("return {tostring(time.unix(1700000000)), tostring(time.localtz)}")
    finally:
        zone.cache_clear()
    assert got == [expected, "Local"]


def test_fixed_zones(evaluate: Run) -> None:
    assert evaluate(
        "local east = time.fixed_zone('EAST', 19800) local t = time.date(2024, 1, 1, 0, 0, 0, 0, east)"
        "return {tostring(t), t:format(time.RFC822), tostring(east), t:unix(),"
        "tostring(time.load_location('UTC'))}"
    ) == ["2024-01-01T00:00:00+05:30", "01 Jan 24 00:00 EAST", "EAST", 1704047400, "UTC"]
