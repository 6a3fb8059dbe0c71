"""The time module: times, their arithmetic, the calendar."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from time_harness import evaluate

NOW = 1_700_000_000_123_456_789  # 2023-11-14T22:13:20.123456789Z


def test_now_is_the_time_of_the_execution_to_the_nanosecond() -> None:
    assert evaluate("return {time.now():unix(), time.now():nanosecond(), time.now():unix_nano()}") == [
        1_700_000_000,
        123_456_789,
        NOW,
    ]


def test_constants() -> None:
    assert evaluate(
        "return {time.NANOSECOND, time.MICROSECOND, time.MILLISECOND, time.SECOND, time.MINUTE, time.HOUR,"
        "time.JANUARY, time.DECEMBER, time.SUNDAY, time.SATURDAY, math.type(5 * time.SECOND)}"
    ) == [1, 10**3, 10**6, 10**9, 60 * 10**9, 3600 * 10**9, 1, 12, 0, 6, "integer"]


def test_parts_of_a_time() -> None:
    assert evaluate(
        "local t = time.now():utc() local y, mo, d = t:date() local h, mi, s = t:clock()"
        "return {y, mo, d, h, mi, s, t:year(), t:month(), t:day(), t:hour(), t:minute(), t:second(),"
        "t:weekday(), t:year_day(), tostring(t:location())}"
    ) == [2023, 11, 14, 22, 13, 20, 2023, 11, 14, 22, 13, 20, 2, 318, "UTC"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("2011, 11, 6, 8, 0, 0, 0", "2011-11-06T08:00:00Z"),
        ("2011, 11, 6, 8, 0, -1, 0", "2011-11-06T07:59:59Z"),
        ("2011, 11, 6, 7, -1, 60 * 60, 0", "2011-11-06T07:59:00Z"),
        ("2011, 11, 6, -1, 0, 0, 0", "2011-11-05T23:00:00Z"),
        ("2011, 10, 32, 0, 0, 0, 0", "2011-11-01T00:00:00Z"),
        ("2010, 23, 6, 8, 0, 0, 0", "2011-11-06T08:00:00Z"),
        ("2012, -1, 6, 8, 0, 0, 0", "2011-11-06T08:00:00Z"),
        ("2012, 3, 0, 0, 0, 0, 0", "2012-02-29T00:00:00Z"),
        ("2011, 1, 310, 8, 0, 0, 0", "2011-11-06T08:00:00Z"),
        ("2012, 1, 1, 0, 0, 0, -1", "2011-12-31T23:59:59.999999999Z"),
        ("2012, 1, 1, 0, 0, 0, 1500000000", "2012-01-01T00:00:01.5Z"),
        ("0, 1, 1, 0, 0, 0, 0", "0000-01-01T00:00:00Z"),
        ("-1, 1, 1, 0, 0, 0, 0", "-0001-01-01T00:00:00Z"),
        ("1, 1, 1, 0, 0, 0, 0", "0001-01-01T00:00:00Z"),
        ("9999, 12, 31, 23, 59, 59, 999999999", "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_date_normalises(fields: str, expected: str) -> None:
    assert evaluate(f"return tostring(time.date({fields}, time.utc))") == expected


def test_the_clock_may_be_left_out_of_a_date() -> None:
    assert (
        evaluate("return tostring(time.date(2024, 2, 29, nil, nil, nil, nil, time.utc))")
        == "2024-02-29T00:00:00Z"
    )


def test_the_calendar_agrees_with_python() -> None:
    chance = random.Random(7)
    low, high = -62135596800, 253402300799
    seconds = [low, high, -1, 0, 951782400] + [chance.randint(low, high) for _ in range(400)]
    numbers = ",".join(map(str, seconds))
    got = evaluate(
        f"local out = {{}} for i, s in ipairs{{{numbers}}} do local t = time.unix(s):utc()"
        "local y, mo, d = t:date() local h, mi, sec = t:clock()"
        "local back = time.date(y, mo, d, h, mi, sec, 0, time.utc):unix()"
        "out[i] = tostring(t) .. ' ' .. t:weekday() .. ' ' .. t:year_day() .. ' ' .. back end return out"
    )
    for at, line in zip(seconds, got, strict=True):
        then = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)
        text = then.replace(tzinfo=None).isoformat() + "Z"
        assert line == f"{text} {then.isoweekday() % 7} {then.timetuple().tm_yday} {at}"


@pytest.mark.parametrize(
    ("start", "change", "expected"),
    [
        ("2011-11-18", "0, 0, 0", "2011-11-18"),
        ("2011-10-31", "0, 1, 0", "2011-12-01"),
        ("2020-02-29", "1, 0, 0", "2021-03-01"),
        ("2011-11-18", "-1, 14, 3", "2012-01-21"),
        ("2000-03-01", "0, 0, -1", "2000-02-29"),
        ("2023-01-31", "0, 1, 0", "2023-03-03"),
        ("2023-01-31", "0, -11, 0", "2022-03-03"),
    ],
)
def test_add_date_normalises(start: str, change: str, expected: str) -> None:
    code = f'return time.parse(time.DATE_ONLY, "{start}"):add_date({change}):format(time.DATE_ONLY)'
    assert evaluate(code) == expected


def test_add_and_sub() -> None:
    assert evaluate(
        "local t = time.unix(10, 5)"
        "return {t:add(time.SECOND):unix_nano(), t:add('-1.5s'):unix_nano(),"
        "t:add(time.parse_duration('1h')):unix(), t:sub(time.unix(9, 6)):nanoseconds(),"
        "(t + '1s'):unix(), (t - time.SECOND):unix(), (t - time.unix(9)):nanoseconds()}"
    ) == [11_000_000_005, 8_500_000_005, 3610, 999_999_999, 11, 9, 1_000_000_005]


def test_a_difference_stops_at_the_ends_of_64_bits() -> None:
    assert evaluate(
        "local a, b = time.date(1, 1, 1), time.date(9999, 1, 1)"
        "return {b:sub(a):nanoseconds(), a:sub(b):nanoseconds(),"
        "time.unix(9223372036, 854775807):sub(time.unix(0)):nanoseconds(),"
        "time.unix(9223372036, 854775808):sub(time.unix(0)):nanoseconds(),"
        "time.unix(-9223372037, 145224192):sub(time.unix(0)):nanoseconds(),"
        "time.unix(-9223372037, 145224191):sub(time.unix(0)):nanoseconds()}"
    ) == [2**63 - 1, -(2**63), 2**63 - 1, 2**63 - 1, -(2**63), -(2**63)]


def test_comparisons_are_of_instants() -> None:
    assert evaluate(
        "local a, b = time.unix(5, 1), time.unix(5, 2) local c = a:in_location(time.fixed_zone('X', 3600))"
        "return {a:before(b), b:before(a), b:after(a), a:equal(c), a == c, a ~= b, a < b, a <= c, a > b}"
    ) == [True, False, True, True, True, True, True, True, False]


@pytest.mark.parametrize(
    "code",
    [
        "time.now():before(5)",
        "time.now():after('x')",
        "time.now():equal(nil)",
        "return time.now() < 5",
        "return time.now() + {}",
        "local x = time.now().format(1)",
        "time.utc.string(5)",
    ],
)
def test_comparing_with_something_else_raises_where_it_happens(code: str) -> None:
    ok, message = evaluate(f"local ok, e = pcall(function()\n\n{code}\nend)\nreturn {{ok, tostring(e)}}")
    assert not ok
    assert ":5: " in message, message


ROUNDING = [  # (unit, rounded, truncated) of 2012-12-07T12:15:30.918273645Z
    ("1ns", "12:15:30.918273645", "12:15:30.918273645"),
    ("1us", "12:15:30.918274", "12:15:30.918273"),
    ("1ms", "12:15:30.918", "12:15:30.918"),
    ("1s", "12:15:31", "12:15:30"),
    ("2s", "12:15:30", "12:15:30"),
    ("1m", "12:16:00", "12:15:00"),
    ("10m", "12:20:00", "12:10:00"),
    ("1h", "12:00:00", "12:00:00"),
]


@pytest.mark.parametrize(("unit", "rounded", "truncated"), ROUNDING)
def test_round_and_truncate(unit: str, rounded: str, truncated: str) -> None:
    code = (
        "local t = time.date(2012, 12, 7, 12, 15, 30, 918273645, time.utc)"
        f"return {{tostring(t:round('{unit}')), tostring(t:truncate('{unit}'))}}"
    )
    assert evaluate(code) == [f"2012-12-07T{rounded}Z", f"2012-12-07T{truncated}Z"]


def test_round_and_truncate_count_from_the_zero_time() -> None:
    chance = random.Random(11)
    cases = []
    for _ in range(300):
        at = (chance.randint(-62135596800, 253402300799), chance.randint(0, 999_999_999))
        cases.append(
            (*at, chance.choice([chance.randint(1, 2**62), 7 * 10**9, 3, chance.randint(1, 10**12)]))
        )
    cases.append((0, 0, 2**63 - 1))
    rows = ",".join(f"{{{s},{n},{d}}}" for s, n, d in cases)
    got = evaluate(
        f"local out = {{}} for i, c in ipairs{{{rows}}} do local t = time.unix(c[1], c[2])"
        "local a, b = t:truncate(c[3]), t:round(c[3])"
        "out[i] = a:unix() .. ' ' .. a:nanosecond() .. ' ' .. b:unix() .. ' ' .. b:nanosecond() end "
        "return out"
    )
    for (s, n, d), line in zip(cases, got, strict=True):
        total = (s + 62135596800) * 10**9 + n
        over = total % d
        down = total - over - 62135596800 * 10**9
        near = down + d if 2 * over >= d else down
        assert line == f"{down // 10**9} {down % 10**9} {near // 10**9} {near % 10**9}", (s, n, d)


def test_a_unit_of_zero_or_less_leaves_the_time_alone() -> None:
    assert evaluate("local t = time.now() return t:round(0) == t and t:truncate(-5) == t")


def test_the_zero_time() -> None:
    assert evaluate(
        "return {time.date(1, 1, 1, 0, 0, 0, 0, time.utc):is_zero(), time.now():is_zero(),"
        "time.date(1, 1, 1, 0, 0, 0, 0, time.utc):unix()}"
    ) == [True, False, -62135596800]


@pytest.mark.parametrize(
    "call",
    [
        "time.unix('x')",
        "time.unix(1.5)",
        "time.unix()",
        "time.unix(1 << 62)",
        "time.unix(0, {})",
        "time.date()",
        "time.date(2024, 'x', 1)",
        "time.date(2024, 1, 0.5)",
        "time.date(math.maxinteger, 1, 1)",
        "time.date(0, math.mininteger, 1)",
        "time.date(0, 1, 1, 0, 0, math.maxinteger, math.maxinteger)",
        "time.date(2024, 1, 1, 0, 0, 0, 0, 'UTC')",
        "time.parse()",
        "time.parse(time.RFC3339, 5)",
        "time.parse(time.RFC3339, 'yesterday')",
        "time.parse(time.RFC3339, '2024-01-01T00:00:00Z', 'Europe/Berlin')",
        "time.parse_duration('soon')",
        "time.parse_duration({})",
        "time.parse_duration(nil)",
        "time.load_location('')",
        "time.load_location(nil)",
        "time.fixed_zone(nil, 5)",
        "time.fixed_zone('X', 'Y')",
        "time.fixed_zone('X', 0.5)",
        "time.fixed_zone('X', 1e9)",
        "time.sleep('soon')",
        "time.sleep(nil)",
        "time.after({})",
        "time.timer(0)",
        "time.timer('-1s')",
        "time.timer('soon')",
        "time.ticker(0)",
        "time.ticker(-1)",
        "time.ticker(nil)",
        "time.now():add('soon')",
        "time.now():sub(5)",
        "time.now():add_date('x')",
        "time.now():add_date(math.maxinteger)",
        "time.now():add_date(0, 0, math.mininteger)",
        "time.now():format(nil)",
        "time.now():in_location('UTC')",
        "time.now():round('soon')",
        "time.now():truncate({})",
        "time.timer(5):reset(0)",
    ],
)
def test_bad_input_is_given_back_as_invalid(call: str) -> None:
    code = f"local v, e = {call} return {{v == nil, e and e:kind(), e and e:retryable(), e and e:message()}}"
    nothing, kind, retryable, message = evaluate(code)
    assert (nothing, kind, retryable) == (True, "Invalid", False)
    assert message


def test_an_unknown_location_is_not_found() -> None:
    for name in ("Nowhere/Town", "../etc/passwd", "/etc/localtime", "Europe", "zone.tab", "Europe/Berlin\\0"):
        got = evaluate(
            f'local v, e = time.load_location("{name}") return {{v == nil, e:kind(), e:retryable()}}'
        )
        assert got == [True, "NotFound", False], name


def test_times_are_userdata_with_plain_methods() -> None:
    got: Any = evaluate(
        "return {type(time.now()), type(time.now().format), type(time.utc), time.utc:string()}"
    )
    assert got == ["userdata", "function", "userdata", "UTC"]
