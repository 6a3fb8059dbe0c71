"""When a ``schedule`` entry is due."""

from __future__ import annotations

import datetime as dt
import zoneinfo

from ..entries import Entry, parse_duration
from ..model.cron import Cron
from ..model.durations import SECOND


class Occurrences:
    """The times of a schedule, which are the same on every worker.

    Those of ``every`` are the multiples of the duration since 1970, UTC; `saros.model.cron` tells those of ``cron``.
    """

    def __init__(self, entry: Entry) -> None:
        every = entry.get("every")
        self._every = 0 if every is None else parse_duration(every)
        self._cron = None if self._every else Cron(entry.get("cron"))
        self._zone = zoneinfo.ZoneInfo(entry.get("timezone") or "UTC")

    def after(self, now: int) -> int | None:
        """The first time after `now`, both in nanoseconds since 1970; None when there is none left."""
        if self._cron is not None:
            return self._cron.after(now, self._zone)
        return (now // self._every + 1) * self._every


def name_of(time: int) -> str:
    """A time as part of a workflow id: ``2026-01-31T09:00:00Z``, with as many decimals as it has."""
    text = dt.datetime.fromtimestamp(time // SECOND, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    rest = f"{time % SECOND:09d}".rstrip("0")
    return f"{text}.{rest}Z" if rest else f"{text}Z"
