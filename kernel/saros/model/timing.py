"""Durations and cron expressions, with the same meaning on every backend.

A duration is ``"1h30m"``, ``"500ms"``, or a number of milliseconds.

A cron expression has the five fields of Vixie cron: minute, hour, day of month, month and day of week. When both day
fields are restricted, a day that matches either of them counts; a day field that starts with ``*`` does not
restrict (crontab(5)).

When the clock of a time zone changes, every backend does what Temporal's scheduler does: a time that does not exist
is skipped; a time that occurs twice fires once in zones east of Greenwich (the second time, if it is a fixed
time) and twice in zones west of it. `Cron.after` follows the algorithm of Temporal's server
(``compiledCalendar.next``) step by step, because the two must agree on each moment.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
import re
from decimal import Decimal
from typing import Final

from cronsim import CronSim, CronSimError

from .errors import INVALID, Error

MS: Final = 1_000_000
"""Nanoseconds in a millisecond."""
SECOND: Final = 1_000_000_000
"""Nanoseconds in a second."""

_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, micro sign
    "μs": 1_000,  # U+03BC, Greek mu
    "ms": MS,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3_600 * SECOND,
}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([^0-9.]*)")
_LONGEST: Final = 2**63 - 1  # nanoseconds, about 292 years
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def datetime_of(ns: int) -> dt.datetime:
    """Return nanoseconds since 1970 as a time in UTC, exact to the microsecond.

    :raises OverflowError: for a year that datetimes do not have.
    """
    return _EPOCH + ns // 1_000 * _MICROSECOND


def micros_of(time: dt.datetime) -> int:
    """Return a time as microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def parse_duration(value: str | int | float) -> int:
    """Parse a duration; return nanoseconds.

    :param value: a text as in Go (``"1h30m"``, ``"1.5s"``, ``"-2m"``, ``"0"``), or a number of milliseconds.
    :raises Error: of kind ``Invalid``, when it is not a duration or longer than 292 years.
    """
    if isinstance(value, str):
        return _bounded(_parse(value), value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _invalid(value, 'it must be a string such as "30s" or a number of milliseconds')
    return _bounded(round(value * _UNITS["ms"]), value)


def _parse(text: str) -> int:
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if body == "0":
        return 0
    total, at = Decimal(0), 0
    while part := _PART.match(body, at):
        number, unit = part.groups()
        if not unit:
            raise _invalid(text, f'the unit is missing after "{number}"; write for instance "{number}s"')
        if unit not in _UNITS:
            raise _invalid(text, f'"{unit}" is not a unit; use ns, us, ms, s, m or h')
        total += Decimal(number) * _UNITS[unit]
        at = part.end()
    if at == 0 or at < len(body):
        raise _invalid(text, 'write it as "1h30m", "45s" or "500ms"')
    return sign * int(total)


def _bounded(nanoseconds: int, value: object) -> int:
    if abs(nanoseconds) > _LONGEST:
        raise _invalid(value, "it is longer than 292 years")
    return nanoseconds


def _invalid(value: object, reason: str) -> Error:
    shown = f'"{value}"' if isinstance(value, str) else repr(value)
    return Error(f"{shown} is not a duration: {reason}", INVALID, retryable=False)


LAST_YEAR = 2100
"""The last year: Temporal's scheduler stops there, too."""

_HOUR = dt.timedelta(hours=1)
_ZERO = dt.timedelta()
_FIELD = re.compile(r"[0-9A-Za-z*,/-]{1,200}")
_NAMES = ("minute", "hour", "day of month", "month", "day of week")


class Cron:
    """A parsed expression. Its fields are sets of numbers; Sunday is 0."""

    def __init__(self, expression: str) -> None:
        """:raises Error: INVALID when this is not a five-field expression, or names no time at all."""
        self.expression = expression
        fields = expression.split()
        if len(fields) != len(_NAMES):
            raise self._invalid("it does not have five fields")
        for name, field in zip(_NAMES, fields, strict=True):
            if not _FIELD.fullmatch(field):
                raise self._invalid(f"the field {name} may hold numbers, names, `*`, `-`, `,` and `/` only")
        try:
            parsed = CronSim(expression, dt.datetime(2000, 1, 1))
        except CronSimError:
            raise self._invalid(self._reason(fields)) from None
        self.minutes, self.hours = parsed.minutes, parsed.hours
        self.days, self.months = parsed.days, parsed.months
        self.weekdays = {day % 7 for day in parsed.weekdays if isinstance(day, int)}
        if min(self.days) < 1 or not all(isinstance(day, int) for day in parsed.weekdays):
            raise self._invalid("`L`, `W` and `#` are not part of standard cron")
        self.day_and = parsed.day_and
        """Whether both day fields must match, since one of them is not restricted."""
        self._matches_day = parsed.match_day
        if self.after(0) is None:
            raise self._invalid("no date matches it")

    def _reason(self, fields: list[str]) -> str:
        """Which field is wrong; if each is valid alone, their combination matches no date."""
        for index, (name, field) in enumerate(zip(_NAMES, fields, strict=True)):
            alone = " ".join(field if at == index else "*" for at in range(len(fields)))
            try:
                CronSim(alone, dt.datetime(2000, 1, 1))
            except CronSimError:
                return f"the field {name} cannot be `{field}`"
        return "no date matches it"

    def _invalid(self, why: str) -> Error:
        shown = self.expression if len(self.expression) <= 100 else f"{self.expression[:100]}…"
        return Error(
            f'"{shown}" is not a cron expression that can be used: {why}',
            INVALID,
            retryable=False,
            hint='give minute, hour, day of month, month and day of week, as in "0 9 * * 1-5"',
        )

    def after(self, now: int, zone: dt.tzinfo = dt.UTC) -> int | None:
        """The first time after `now`, both in nanoseconds since 1970; None if there is none before 2101."""
        instant = dt.datetime.fromtimestamp(now // SECOND, dt.UTC)
        local = instant.astimezone(zone)
        hour, minute = local.replace(tzinfo=None, minute=0, second=0), local.minute + 1
        again = (instant - _HOUR).astimezone(zone).hour == local.hour  # the second pass of a repeated hour
        while hour.year <= LAST_YEAR:
            if hour.month not in self.months:
                hour, minute, again = _next_month(hour), 0, False
            elif not self._matches_day(hour.date()):
                hour, minute, again = hour.replace(hour=0) + dt.timedelta(days=1), 0, False
            elif hour.hour not in self.hours:
                hour, minute, again = hour + _HOUR, 0, False
            elif (found := self._minute(minute)) is None:
                following = hour + _HOUR
                again = not again and _instant(following, zone) - _instant(hour, zone) > _HOUR
                hour, minute = hour if again else following, 0
            else:
                at = _instant(hour.replace(minute=found), zone)
                if at.astimezone(zone).hour != hour.hour:  # the clock jumps over it
                    hour, minute = hour + _HOUR, 0
                    continue
                time = int((at + (_HOUR if again else _ZERO)).timestamp()) * SECOND
                if time > now:
                    return time
                minute = found + 1
        return None

    def _minute(self, least: int) -> int | None:
        return min((minute for minute in self.minutes if minute >= least), default=None)

    def in_numbers(self) -> str:
        """The expression as lists of numbers, which every implementation of cron reads in the same way.

        :raises Error: INVALID when that is impossible: implementations disagree on whether a restricted weekday
            narrows days such as ``*/2`` or adds to them.
        """
        day, weekday = self.expression.split()[2], self.expression.split()[4]
        free = (day == "*" or len(self.days) == 31, weekday == "*" or len(self.weekdays) == 7)
        if self.day_and and not any(free):
            raise self._invalid(
                "a cron workflow cannot combine a day of month and a day of week when one of them starts with `*`"
            )
        fields = [_numbers(self.minutes, 60), _numbers(self.hours, 24)]
        fields += [_numbers(self.days, 31 if self.day_and else 0), _numbers(self.months, 12)]
        fields += [_numbers(self.weekdays, 7 if self.day_and else 0)]
        return " ".join(fields)


def _numbers(values: set[int], full: int) -> str:
    return "*" if len(values) == full else ",".join(map(str, sorted(values)))


def _next_month(day: dt.datetime) -> dt.datetime:
    return (day.replace(day=1, hour=0) + dt.timedelta(days=32)).replace(day=1)


def _instant(wall: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """The instant at which a zone's clock shows `wall`; if there are two, the one that Go's ``time.Date`` picks."""
    as_utc = wall.replace(tzinfo=dt.UTC)
    offset = as_utc.astimezone(zone).utcoffset()
    if offset:
        offset = (as_utc - offset).astimezone(zone).utcoffset()
    return as_utc - (offset or _ZERO)


def next_cron(expression: str, now: int) -> int:
    """The next time after `now`, in nanoseconds since 1970, that matches a cron expression in UTC.

    :raises Error: INVALID when it is not a cron expression.
    """
    time = cron_of(expression).after(now)
    if time is None:
        raise Error(f'"{expression}" matches no future time', INVALID, retryable=False)
    return time


@functools.lru_cache(maxsize=128)
def cron_of(expression: str) -> Cron:
    """The cron schedule of start options.

    :raises Error: INVALID when it is not a cron expression, or when backends read it differently.
    """
    cron = Cron(expression)
    cron.in_numbers()  # raises if Temporal would read it differently
    return cron
