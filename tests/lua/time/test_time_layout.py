"""Go's reference layouts: the results are those of Go's documentation and of its own tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]

PST = "local t = time.unix(0, 1233810057012345600):in_location(time.fixed_zone('PST', -8 * 3600)) "


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("Mon Jan _2 15:04:05 2006", "Wed Feb  4 21:00:57 2009"),
        ("Mon Jan _2 15:04:05 MST 2006", "Wed Feb  4 21:00:57 PST 2009"),
        ("Mon Jan 02 15:04:05 -0700 2006", "Wed Feb 04 21:00:57 -0800 2009"),
        ("02 Jan 06 15:04 MST", "04 Feb 09 21:00 PST"),
        ("Monday, 02-Jan-06 15:04:05 MST", "Wednesday, 04-Feb-09 21:00:57 PST"),
        ("Mon, 02 Jan 2006 15:04:05 -0700", "Wed, 04 Feb 2009 21:00:57 -0800"),
        ("2006-01-02T15:04:05Z07:00", "2009-02-04T21:00:57-08:00"),
        ("2006-01-02T15:04:05.999999999Z07:00", "2009-02-04T21:00:57.0123456-08:00"),
        ("3:04PM", "9:00PM"),
        ("3pm", "9pm"),
        ("3PM", "9PM"),
        ("03 3 15 4 04 5 05", "09 9 21 0 00 57 57"),
        ("06 01 02", "09 02 04"),
        ("1/2/2006 _2", "2/4/2009  4"),
        ("Hi Janet, the Month is January", "Hi Janet, the Month is February"),
        ("Monty Mon MonDay Marvin", "Monty Wed WedDay Marvin"),
        ("Jan _2 15:04:05.000", "Feb  4 21:00:57.012"),
        ("Jan _2 15:04:05.000000", "Feb  4 21:00:57.012345"),
        ("Jan _2 15:04:05.000000000", "Feb  4 21:00:57.012345600"),
        ("15:04:05,000 05,999999", "21:00:57,012 57,012345"),
        ("05.00 05.9 05.99 05.9999", "57.01 57 57.01 57.0123"),
        ("05.0001 05.9x", "57.0002 57x"),
        ("05.000000000000", "57.012345600000"),
        ("Jan  2 002 __2 2", "Feb  4 035  35 4"),
        ("_2006 __2006", "_2009  35009"),
        ("Z07 Z0700 Z07:00 Z070000 Z07:00:00", "-08 -0800 -08:00 -080000 -08:00:00"),
        ("-07 -0700 -07:00 -070000 -07:00:00", "-08 -0800 -08:00 -080000 -08:00:00"),
        ("plain text", "plain text"),
        ("", ""),
        ("é PM ü", "é PM ü"),
        ("MS PX pM -7 J 0 _ . , 00 007", "MS PX pM -7 J 0 _ . , 00 007"),
    ],
)
def test_format(evaluate: Run, layout: str, expected: str) -> None:
    assert evaluate(PST + f"return t:format({layout!r})") == expected


def test_format_of_noon_midnight_and_utc(evaluate: Run) -> None:
    assert evaluate(
        "local function at(h) return time.date(2024, 1, 1, h, 0, 0, 0, time.utc) end "
        "local out = {} for i, h in ipairs{0, 1, 11, 12, 13, 23} do out[i] = at(h):format('3PM 03pm') end "
        "out[7] = at(0):format('Z07 Z0700 Z07:00 Z070000 Z07:00:00 -07 -0700 -07:00:00 MST') return out"
    ) == [
        "12AM 12am",
        "1AM 01am",
        "11AM 11am",
        "12PM 12pm",
        "1PM 01pm",
        "11PM 11pm",
        "Z Z Z Z Z +00 +0000 +00:00:00 UTC",
    ]


def test_format_of_zones_without_a_name_and_with_seconds(evaluate: Run) -> None:
    assert evaluate(
        "local function at(name, s) return time.date(2024, 1, 1, 0, 0, 0, 0, time.fixed_zone(name, s)) end "
        "return {at('', 12600):format('MST'), at('', -5 * 3600):format('MST'),"
        "at('LMT', 3208):format('-07:00:00 -070000 Z07:00'), at('LMT', -3208):format('-07:00:00')}"
    ) == ["+0330", "-0500", "+00:53:28 +005328 +00:53", "-00:53:28"]


@pytest.mark.parametrize("year", [-100001, -9999, -999, -99, -1, 0, 1, 99, 999, 9999, 10000, 100001])
def test_years_of_any_size(evaluate: Run, year: int) -> None:
    expected = f"-{-year:04d}.01.01" if year < 0 else f"{year:04d}.01.01"
    assert evaluate(f"return time.date({year}, 1, 1, 0, 0, 0, 0, time.utc):format('2006.01.02')") == expected


ANSIC = "Mon Jan _2 15:04:05 2006"
UNIX = "Mon Jan _2 15:04:05 MST 2006"
RUBY = "Mon Jan 02 15:04:05 -0700 2006"
MILLI = "Mon Jan _2 15:04:05.000 2006"
RFC850 = "Monday, 02-Jan-06 15:04:05 MST"
RFC3339 = "2006-01-02T15:04:05Z07:00"
NAMED = "2006-01-02 15:04:05{} -0700 MST"


@pytest.mark.parametrize(
    ("layout", "text", "expected"),
    [
        (ANSIC, "Thu Feb  4 21:00:57 2010", "2010-02-04T21:00:57Z"),
        (ANSIC, "Thu      Feb     4     21:00:57     2010", "2010-02-04T21:00:57Z"),
        (ANSIC, "THU FEB 4 21:00:57 2010", "2010-02-04T21:00:57Z"),
        (ANSIC, "thu feb 4 21:00:57.0 2010", "2010-02-04T21:00:57Z"),
        (UNIX, "Thu Feb  4 21:00:57.01 PST 2010", "2010-02-04T21:00:57.01Z"),
        (UNIX, "Fri Feb  5 05:00:57 GMT-8 2010", "2010-02-04T21:00:57-08:00"),
        (RUBY, "Thu Feb 04 21:00:57.012 -0800 2010", "2010-02-04T21:00:57.012-08:00"),
        (RFC850, "Thursday, 04-Feb-10 21:00:57.0123 UTC", "2010-02-04T21:00:57.0123Z"),
        ("Mon, 02 Jan 2006 15:04:05 -0700", "Thu, 04 Feb 2010 21:00:57 +1130", "2010-02-04T21:00:57+11:30"),
        (RFC3339, "2010-02-04T21:00:57.012345678-08:00", "2010-02-04T21:00:57.012345678-08:00"),
        (RFC3339, "2010-02-04T21:00:57Z", "2010-02-04T21:00:57Z"),
        (RFC3339, "2010-02-04T21:00:57,5Z", "2010-02-04T21:00:57.5Z"),
        ("2006-01-02 15:04:05-07", "2010-02-04 21:00:57-08", "2010-02-04T21:00:57-08:00"),
        ("2006-01-02 15:04:05 -07:00:00", "2010-02-04 21:00:57 +01:02:00", "2010-02-04T21:00:57+01:02"),
        ("2006-01-02 15:04:05 Z070000", "2010-02-04 21:00:57 +010200", "2010-02-04T21:00:57+01:02"),
        ("2006-01-02 15:04:05", "2010-02-04 21:00:57.0", "2010-02-04T21:00:57Z"),
        ("2006-01-02 15:04:05.000", "2010-02-04 21:00:57,012", "2010-02-04T21:00:57.012Z"),
        (NAMED.format(".9999"), "2010-02-04 21:00:57 -0800 PST", "2010-02-04T21:00:57-08:00"),
        (NAMED.format(",9999"), "2010-02-04 21:00:57.0123456 -0800 PST", "2010-02-04T21:00:57.0123456-08:00"),
        (NAMED.format(".9"), "2010-02-04 21:00:57.1234567001 -0800 PST", "2010-02-04T21:00:57.1234567-08:00"),
        ("2006.01.02.15.04.05.00", "2010.02.04.21.00.57.01", "2010-02-04T21:00:57.01Z"),
        ("Jan _2 15:04:05.999", "Feb  4 21:00:57.012345678", "0000-02-04T21:00:57.012345678Z"),
        ("Hi Janet, the Month is January: Jan _2 2006", "Hi Janet, the Month is February: Feb  4 2010",
         "2010-02-04T00:00:00Z"),
        ("2006-01-02 002 15:04:05", "2010-02-04 035 21:00:57", "2010-02-04T21:00:57Z"),
        ("2006-002 15:04:05", "2010-035 21:00:57", "2010-02-04T21:00:57Z"),
        ("200600201 15:04:05", "201003502 21:00:57", "2010-02-04T21:00:57Z"),
        ("2006 __2", "2012  60", "2012-02-29T00:00:00Z"),
        ("2006 __2", "2012 366", "2012-12-31T00:00:00Z"),
        ("06-1-2", "69-2-28", "1969-02-28T00:00:00Z"),
        ("06-1-2", "68-12-1", "2068-12-01T00:00:00Z"),
        ("3:04PM", "12:30AM", "0000-01-01T00:30:00Z"),
        ("3:04PM", "12:30PM", "0000-01-01T12:30:00Z"),
        ("03:04pm", "09:30pm", "0000-01-01T21:30:00Z"),
        ("15:04", "9:30", "0000-01-01T09:30:00Z"),
        ("2006-01-02 MST", "2010-02-04 ChST", "2010-02-04T00:00:00Z"),
        ("2006-01-02 MST", "2010-02-04 GMT", "2010-02-04T00:00:00Z"),
        ("2006-01-02 MST", "2010-02-04 +03", "2010-02-04T00:00:00Z"),
        ("", "", "0000-01-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_parse(evaluate: Run, layout: str, text: str, expected: str) -> None:
    code = f"local t, e = time.parse({layout!r}, {text!r}) return t and tostring(t) or e:message()"
    assert evaluate(code, workflow=True) == expected


@pytest.mark.parametrize(
    ("layout", "text", "message"),
    [
        (ANSIC, "Feb  4 21:00:60 2010", "cannot parse \"Feb  4 21:00:60 2010\" as \"Mon\""),
        (ANSIC, "Thu Feb  4 21:00:57 @2010", 'cannot parse "@2010" as "2006"'),
        (ANSIC, "Thu Feb  4 21:00:60 2010", "second out of range"),
        (ANSIC, "Thu Feb  4 21:61:57 2010", "minute out of range"),
        (ANSIC, "Thu Feb  4 24:00:60 2010", "hour out of range"),
        (ANSIC, "Thu Jan 32 21:00:57 2010", "day out of range"),
        (ANSIC, "Thu Dec 00 21:00:57 2010", "day out of range"),
        (ANSIC, "Thu Feb 29 21:00:57 2010", "day out of range"),
        (MILLI, "Thu Feb  4 23:00:59x01 2010", 'cannot parse "x01 2010" as ".000"'),
        (MILLI, "Thu Feb  4 23:00:59.xxx 2010", 'cannot parse ".xxx 2010" as ".000"'),
        (MILLI, "Thu Feb  4 23:00:59.-123 2010", 'cannot parse ".-123 2010" as ".000"'),
        (RFC3339, "2006-01-02T15:04_abc", 'cannot parse "_abc" as ":"'),
        (RFC3339, "2006-01-02T15:04:05_abc", 'cannot parse "_abc" as "Z07:00"'),
        (RFC3339, "2006-01-02T15:04:05Z_abc", 'extra text: "_abc"'),
        (RFC3339, "2010-02-04T21:00:67.012345678-08:00", "second out of range"),
        (RFC3339, "2010-02-04T21:00:57+25:00", "time zone offset hour out of range"),
        (RFC3339, "2010-02-04T21:00:57+24:61", "time zone offset minute out of range"),
        ("06-1-02", "69-13-01", "month out of range"),
        ("06-01-02", "69-1-01", 'cannot parse "1-01" as "01"'),
        ("2006-01 002", "2010-01 035", "day-of-year does not match month"),
        ("2006-01-02 002", "2010-02-05 035", "day-of-year does not match day"),
        ("2006 002", "2011 366", "day-of-year out of range"),
        ("3:04PM", "13:30PM", "hour out of range"),
        ("3:04PM", "1:30XM", 'cannot parse "XM" as "PM"'),
        ("January", "Foo", 'cannot parse "Foo" as "January"'),
        ("MST", "AB", 'cannot parse "AB" as "MST"'),
        ("MST", "ABCDEF", 'cannot parse "ABCDEF" as "MST"'),
        ("2006-01-02", "", 'cannot parse "" as "2006"'),
        ("at 2006", "in 2024", 'cannot parse "in 2024" as "at "'),
        ("2006!", "2024", 'cannot parse "" as "!"'),
        ("2006", '2024"\n', 'extra text: "\\"\\x0a"'),
    ],
)  # fmt: skip
def test_parse_errors_say_what_is_wrong(evaluate: Run, layout: str, text: str, message: str) -> None:
    code = f"local t, e = time.parse({layout!r}, {text!r}) return {{t == nil, e:kind(), e:message()}}"
    nothing, kind, found = evaluate(code)
    assert (nothing, kind) == (True, "Invalid")
    assert found.startswith("parsing time ")
    assert message in found


def test_parse_in_a_location(evaluate: Run) -> None:
    assert evaluate(
        "local berlin = time.load_location('Europe/Berlin')"
        "local function go(layout, text) local t = time.parse(layout, text, berlin) "
        "return tostring(t) .. ' ' .. tostring(t:location()) end "
        "local zoned, named = '2006-01-02 15:04 -0700', '2006-01-02 15:04 MST'"
        "return {go('2006-01-02', '2012-07-09'), go(named, '2012-07-09 05:02 CEST'),"
        "go(zoned, '2012-07-09 05:02 +0200'), go(zoned, '2012-07-09 05:02 +0100'),"
        "go(named, '2012-07-09 05:02 CET'), go(named, '2012-07-09 05:02 EST'),"
        "go(named, '2012-07-09 05:02 UTC')}"
    ) == [
        "2012-07-09T00:00:00+02:00 Europe/Berlin",
        "2012-07-09T05:02:00+02:00 Europe/Berlin",
        "2012-07-09T05:02:00+02:00 Europe/Berlin",
        "2012-07-09T05:02:00+01:00 ",
        "2012-07-09T06:02:00+02:00 Europe/Berlin",
        "2012-07-09T05:02:00Z EST",
        "2012-07-09T05:02:00Z UTC",
    ]


def test_what_is_formatted_parses_back(evaluate: Run) -> None:
    chance = random.Random(3)
    low, high = -62135596800, 253402300799
    rows = ",".join(f"{{{chance.randint(low, high)},{chance.randint(0, 10**9 - 1)}}}" for _ in range(50))
    failures = evaluate(
        "local zones = {time.utc, time.fixed_zone('X', 20700), time.load_location('Europe/Berlin')}"
        "local layouts = {time.RFC3339NANO, 'Monday, January _2 2006 03:04:05.000000000 PM -07:00:00',"
        "'2006 __2 15:4:5.999999999 Z070000', '20060102150405.000000000-070000',"
        "'2006-002 3:04:05,999999999pm -07:00:00'}"
        f"local out = {{}} for _, c in ipairs{{{rows}}} do for z, zone in ipairs(zones) do "
        "local t = time.unix(c[1], c[2]):in_location(zone) for l, layout in ipairs(layouts) do "
        "if not (l == 1 and z == 3 and c[1] < 0) then local text = t:format(layout)"  # LMT has seconds
        "local back, err = time.parse(layout, text) "
        "if back ~= t then out[#out + 1] = text .. ' by ' .. layout .. ': ' .. tostring(back or err) end end "
        "end end end return out"
    )
    assert failures == []


def test_many_layouts_do_not_pile_up(evaluate: Run) -> None:
    assert evaluate(
        "local t = time.date(2024, 1, 1, 0, 0, 0, 0, time.utc) local ok = true "
        "for i = 1, 200 do local x = ('x'):rep(i) ok = ok and t:format(x .. '2006') == x .. '2024' end "
        "return ok"
    )


def test_nothing_makes_format_or_parse_raise(evaluate: Run) -> None:
    chance = random.Random(5)
    pieces = [
        "2006",
        "06",
        "01",
        "1",
        "Jan",
        "January",
        "02",
        "_2",
        "2",
        "__2",
        "002",
        "15",
        "03",
        "3",
        "04",
        "4",
        "05",
        "5",
        ".000",
        ",999",
        "PM",
        "pm",
        "MST",
        "Z07:00",
        "-07",
        "Mon",
    ]
    pieces += [
        *list(" -:T.,_Z+09AM"),
        "GMT+99999999999999999999",
        "-070000",
        "Z07:00:00",
        "\\0",
        "\\xff",
        "%d",
    ]
    rows = ",".join(
        '{"' + '","'.join("".join(chance.choices(pieces, k=chance.randint(0, 8))) for _ in range(2)) + '"}'
        for _ in range(400)
    )
    raised = evaluate(
        f"local out, t = {{}}, time.unix(1e9) for _, c in ipairs{{{rows}}} do for _, text in ipairs{{"
        "c[2], t:format(c[1])} do local ok, v, e = pcall(time.parse, c[1], text) "
        "if not ok or (v == nil and e:kind() ~= 'Invalid') then out[#out + 1] = tostring(v) end end end return out"
    )
    assert raised == []
