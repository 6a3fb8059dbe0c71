"""Durations as users write them: ``"1h30m"``, ``"500ms"``, or a number of milliseconds."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

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


def parse_duration(value: str | int | float) -> int:
    """The duration in nanoseconds.

    :param value: a text as in Go (``"1h30m"``, ``"1.5s"``, ``"-2m"``, ``"0"``), or a number of milliseconds.
    :raises Error: of kind ``Invalid``, when it is no duration or longer than 292 years.
    """
    if isinstance(value, str):
        return _bounded(_parse(value), value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _invalid(value, 'it must be a text such as "30s" or a number of milliseconds')
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
            raise _invalid(text, f'"{unit}" is no unit; use ns, us, ms, s, m or h')
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
