"""Host side of the time module: time zones.

The results depend only on the arguments and the installed time zone database (the system's, else
the package ``tzdata``), so workers with the same database agree. A change to the database reaches
a process only when it restarts.
"""

from __future__ import annotations

import functools
import importlib.resources
import io
import os
import re
import struct
import zoneinfo
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from saros.interfaces.module import HostFunction
from saros.model.errors import INTERNAL, NOT_FOUND, Error
from saros.model.text import shown

_NAME: Final = re.compile(r"(?=.{1,200}$)[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -(2**62), 2**62  # the first and last instant, in seconds since 1970
_WEEK, _YEAR = 7 * 86400, 400 * 86400  # a stride between two changes of the clocks; more than any year
_ERA: Final = 146097 * 86400  # the calendar, days of the week included, repeats every 400 years
_ERA_START: Final = 13569465600  # the year 2400: later instants are moved back into this era


class Span(NamedTuple):
    """A stretch of time, [first, last) in seconds since 1970, with one offset (seconds east of UTC)."""

    offset: int
    abbreviation: bytes
    first: int
    last: int


class _Kind(NamedTuple):
    offset: int
    summer: bool
    abbreviation: bytes


class Zone:
    """One zone of the database.

    :param data: the contents of its TZif file (RFC 8536).
    :raises ValueError: when it is not one; also `LookupError` and `struct.error`.
    """

    def __init__(self, data: bytes) -> None:
        self._info = zoneinfo.ZoneInfo.from_file(io.BytesIO(data))
        self._at, self._index, self._kinds, footer = _read_tzif(data)
        self._rules = b"," in footer  # else the offset never changes after the last transition
        self._recent: Span | None = None

    def span(self, at: int) -> Span:
        """Return the span around an instant."""
        recent = self._recent
        if recent is None or not recent.first <= at < recent.last:
            recent = self._recent = self._find(at)
        return recent

    def offset_of(self, abbreviation: bytes, local: int) -> int | None:
        """Return the offset of an abbreviation.

        :param local: seconds since 1970 as the zone's own clock shows them; the meaning in force then is
            preferred to one of another time.
        """
        meanings = [kind.offset for kind in self._kinds if kind.abbreviation == abbreviation]
        for offset in meanings:
            if self.span(local - offset).abbreviation == abbreviation:
                return offset
        return meanings[0] if meanings else None

    def _find(self, at: int) -> Span:
        count = bisect_right(self._at, at)
        if count == 0:
            kind = self._first_kind()
            return Span(kind.offset, kind.abbreviation, _FIRST, self._at[0] if self._at else _LAST)
        if count < len(self._at):
            kind = self._kinds[self._index[count - 1]]
            return Span(kind.offset, kind.abbreviation, self._at[count - 1], self._at[count])
        if not self._rules:
            kind = self._kinds[self._index[-1]]
            return Span(kind.offset, kind.abbreviation, self._at[-1], _LAST)
        moved = max(0, (at - _ERA_START) // _ERA) * _ERA
        offset, abbreviation, first, last = self._find_by_rules(at - moved)
        return Span(offset, abbreviation, first + moved, last if last == _LAST else last + moved)

    def _first_kind(self) -> _Kind:
        if 0 in self._index and self._kinds[0].summer:
            return next((kind for kind in self._kinds if not kind.summer), self._kinds[0])
        return self._kinds[0]

    def _find_by_rules(self, at: int) -> Span:
        # zoneinfo applies the yearly rules but does not say when they change the clocks: walk and bisect.
        here, oldest = self._sign(at), self._at[-1]
        first, last = oldest, _LAST
        for near in range(at, max(oldest, at - _YEAR), -_WEEK):
            if self._sign(max(oldest, near - _WEEK)) != here:
                first = self._boundary(max(oldest, near - _WEEK), near)
                break
        for near in range(at, at + _YEAR, _WEEK):
            if self._sign(near + _WEEK) != here:
                last = self._boundary(near, near + _WEEK)
                break
        return Span(*here, first, last)

    def _boundary(self, before: int, after: int) -> int:
        old = self._sign(before)
        while after - before > 1:
            middle = (before + after) // 2
            if self._sign(middle) == old:
                before = middle
            else:
                after = middle
        return after

    def _sign(self, at: int) -> tuple[int, bytes]:
        here = (_EPOCH + timedelta(seconds=at)).astimezone(self._info)
        offset = here.utcoffset()
        assert offset is not None
        return int(offset.total_seconds()), (here.tzname() or "").encode()


def _read_tzif(data: bytes) -> tuple[tuple[int, ...], bytes, list[_Kind], bytes]:
    """Return the transitions, the index of the kind that each begins, the kinds, and the footer's rules."""
    size, start = 4, 0
    version, isut, isstd, leap, times, types, chars = struct.unpack_from(">4xc15x6I", data)
    if version >= b"2":  # the second block has 64-bit times
        start = 44 + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
        size = 8
        isut, isstd, leap, times, types, chars = struct.unpack_from(">20x6I", data, start)
    at = start + 44
    transitions = struct.unpack_from(f">{times}{'q' if size == 8 else 'i'}", data, at)
    at += times * size
    index = data[at : at + times]
    at += times
    names = data[at + types * 6 : at + types * 6 + chars]
    kinds = []
    for i in range(types):
        offset, summer, name = struct.unpack_from(">i?B", data, at + i * 6)
        kinds.append(_Kind(offset, summer, names[name : names.index(b"\0", name)]))
    at += types * 6 + chars + leap * (size + 4) + isstd + isut
    return transitions, index, kinds, data[at:].strip(b"\n") if size == 8 else b""


def _read(name: str) -> bytes | None:
    for root in zoneinfo.TZPATH:
        path = Path(root, name)
        if path.is_file():
            return path.read_bytes()
    try:
        found = importlib.resources.files("tzdata.zoneinfo").joinpath(name)
    except ModuleNotFoundError:
        return None
    return found.read_bytes() if found.is_file() else None


def _local() -> Zone:
    """Return the host's zone, found like in Go: TZ, /etc/localtime, else UTC."""
    name = os.environ.get("TZ")
    if name is None:
        path = Path("/etc/localtime")
        data = path.read_bytes() if path.is_file() else None
    else:
        name = name.removeprefix(":")
        data = _read(name) if _NAME.fullmatch(name) else None
        if name.startswith("/") and Path(name).is_file():
            data = Path(name).read_bytes()
    return Zone(data if data and data.startswith(b"TZif") else _UTC_FILE)


_UTC_FILE: Final = b"TZif" + bytes(16) + struct.pack(">6I", 0, 0, 0, 0, 1, 4) + bytes(6) + b"UTC\0"


@functools.lru_cache(maxsize=1024)
def zone(name: bytes) -> Zone:
    """Return the zone of that name; ``Local`` is the host's own.

    :raises Error: NOT_FOUND, or INTERNAL when its file is damaged; not retryable.
    """
    if name == b"Local":
        return _local()
    text = name.decode("ascii", "replace")
    data = _read(text) if _NAME.fullmatch(text) else None
    if data is None or not data.startswith(b"TZif"):
        hint = "names look like Europe/Berlin"
        if _read("Europe/Berlin") is None:
            hint = "this machine has no time zone database: install tzdata (the system's or Python's package)"
        raise Error(f"unknown time zone {shown(text)}; {hint}", NOT_FOUND, retryable=False)
    try:
        return Zone(data)
    except (ValueError, LookupError, struct.error) as exc:
        raise Error(
            f"the time zone file of {shown(text)} is damaged: {exc}", INTERNAL, retryable=False
        ) from exc


def time_span(name: bytes, at: int) -> Span:
    """Return the span of constant offset of a zone around an instant (seconds since 1970).

    :raises Error: NOT_FOUND, not retryable.
    """
    return zone(name).span(at)


def time_abbreviation(name: bytes, abbreviation: bytes, local: int) -> int | None:
    """Return the offset of an abbreviation such as ``CEST`` in a zone; see `Zone.offset_of`.

    :raises Error: NOT_FOUND, not retryable.
    """
    return zone(name).offset_of(abbreviation, local)


HOST: Final[dict[str, HostFunction]] = {"time_span": time_span, "time_abbreviation": time_abbreviation}
