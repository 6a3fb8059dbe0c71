"""The options of a ``sqlite://`` or ``postgresql://`` URL."""

from __future__ import annotations

import difflib
import re
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from saros.model.errors import INVALID, Error
from saros.model.text import without_secrets
from saros.model.timing import SECOND, parse_duration

HINT: Final = "for example sqlite:///shop.db, or sqlite:////var/lib/shop.db?retention=30d"
LONGEST: Final = 36_500 * 86_400 * SECOND
_DIGITS: Final = re.compile("[0-9]{1,18}")


class Options(NamedTuple):
    """The options of a URL. Durations are in nanoseconds, sizes in bytes."""

    url: str  # without secrets
    path: str  # of the file
    full: bool = True  # fsync each commit whose result is acknowledged
    retention: int = 7 * 86_400 * SECOND
    lease: int = 10 * SECOND
    busy: int = 10 * SECOND  # how long to wait for other processes that write
    payload: int = 20_000_000  # the largest value in a history
    attempts: int = 10  # workers in a row that one task may lose


def parse(url: str) -> Options:
    """The options of a URL. As with SQLAlchemy, three slashes begin a relative path and four an absolute one.

    :raises Error: INVALID, naming the option.
    """
    clean = without_secrets(url)
    rest, _, query = url.partition("://")[2].partition("?")
    host, slash, path = rest.partition("/")
    path = unquote(path)
    if host or not slash or not path or path.endswith("/") or "\0" in path:
        raise _bad(clean, "the path of the file is missing" if not path else "the path does not name a file")
    changes = {name: _value(clean, name, text) for name, text in parse_qsl(query, keep_blank_values=True)}
    full = changes.pop("synchronous", True)
    return Options(clean.partition("?")[0], path, full)._replace(**changes)


_DURATIONS: Final = {"retention": 1, "lease": SECOND // 2, "busy": SECOND // 100}
"""The options that are durations, each with its minimum."""
_NUMBERS: Final = {"payload": (1_000, 500_000_000), "attempts": (1, 1_000_000)}
_MODES: Final = {"full": True, "normal": False}


def _value(url: str, name: str, text: str) -> Any:
    if name in _DURATIONS:
        ns = _duration(url, name, text)
        if ns < _DURATIONS[name]:
            raise _bad(url, f"{name} is too short")
        return ns
    if name in _NUMBERS:
        least, most = _NUMBERS[name]
        if not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
            raise _bad(url, f"{name} must be a number from {least} to {most}")
        return int(text)
    if name == "synchronous":
        if text not in _MODES:
            raise _bad(url, "synchronous must be full or normal")
        return _MODES[text]
    known = sorted({*_DURATIONS, *_NUMBERS, "synchronous"})
    near = difflib.get_close_matches(name, known, 1, 0.75)
    raise _bad(
        url,
        f"an unknown option; {f'did you mean {near[0]}?' if near else 'the options are ' + ', '.join(known)}",
    )


def _duration(url: str, name: str, text: str) -> int:
    try:
        days = text[:-1] if text.endswith("d") and _DIGITS.fullmatch(text[:-1]) else ""
        ns = int(days) * 86_400 * SECOND if days else parse_duration(text)
    except Error:
        raise _bad(url, f"{name} is not a duration such as 500ms, 10s or 7d") from None
    if not 0 < ns <= LONGEST:
        raise _bad(url, f"{name} must be more than 0, and at most 36500d")
    return ns


def _bad(url: str, why: str) -> Error:
    return Error(f"{url}: {why}", INVALID, retryable=False, hint=HINT)
