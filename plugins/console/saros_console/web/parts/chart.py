"""The timeline of a run: bars of activities, timers and children, and points of signals, for an SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from saros.model.presentation import Line

WIDTH: Final = 960
LEFT: Final = 220
ROW: Final = 26
MOST_ROWS: Final = 60
MOST_TICKS: Final = 6
_STEPS_S: Final = (
    *(figure * 10**power / 1_000 for power in range(3) for figure in (1, 2, 5)),
    *(1, 2, 5, 10, 15, 30),
    *(minutes * 60 for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * 3_600 for hours in (1, 2, 3, 6, 12)),
    *(days * 86_400 for days in (1, 2, 7, 14, 30, 60, 90, 180, 360)),
)
"""Seconds between two ticks."""


class Bar(NamedTuple):
    """:param kind: its class in the style sheet.
    :param took: nanoseconds.
    :param note: a text about it.
    :param attempt: the current or next attempt of an activity that has failed; 0 for others, because histories keep
        only the last attempt.
    """

    y: int
    x: float
    width: float
    kind: str
    name: str
    took: int
    state: str
    note: str = ""
    attempt: int = 0


class Chart(NamedTuple):
    width: int
    height: int
    left: int
    bars: list[Bar]
    ticks: list[tuple[float, int]]
    hidden: int
    has_activities: bool


@dataclass
class _Row:
    """The contents of a bar; times in nanoseconds."""

    kind: str
    name: str
    since: int
    until: int | None = None
    state: str = "open"
    note: str = ""
    attempt: int = 0

    def end(self, at: int, state: str) -> None:
        self.until, self.state = at, state


def _ticks(ns: int) -> range:
    """Return round times from 0 to the end of a span."""
    steps = (int(step * 1e9) for step in _STEPS_S)
    step = next((step for step in steps if ns < step * MOST_TICKS), ns)
    return range(0, ns + 1, step)


_KINDS: Final = {"call": "activity", "timer": "timer", "spawn": "child"}


def chart(
    events: Sequence[Line], now: int, closed: int | None, retried: Mapping[int, tuple[int, str]] | None = None
) -> Chart | None:
    """Return the chart of a run; None if there is nothing to draw.

    :param retried: the attempt and a text for each activity that failed and is tried again, by ref.
    """
    if not events:
        return None
    first = events[0].time
    last = max(closed if closed is not None else now, events[-1].time, first + 1_000_000)
    scale = (WIDTH - LEFT - 16) / (last - first)
    begun: dict[int, _Row] = {}
    rows: list[_Row] = []
    notes = {} if retried is None else retried
    for line in events:
        record = line.record
        if record.op in _KINDS:
            row = begun[record.ref] = _Row(_KINDS[record.op], line.summary, line.time)
            if record.op == "call" and record.ref in notes:
                row.state = "retrying"
                row.attempt, row.note = notes[record.ref]
            rows.append(row)
        elif record.op == "done" and record.ref in begun:
            begun.pop(record.ref).end(line.time, "failed" if line.name.endswith("Failed") else "done")
        elif record.op == "rescind" and isinstance(line.body, dict) and line.body.get("ref") in begun:
            begun.pop(line.body["ref"]).end(line.time, "canceled")
        elif record.op in ("message", "cancel", "update"):
            rows.append(_Row("signal", line.summary or line.name, line.time, line.time, "done"))
    if not rows:
        return None
    bars = []
    for number, row in enumerate(rows[:MOST_ROWS]):
        until = last if row.until is None else row.until
        x = LEFT + (row.since - first) * scale
        width = max((until - row.since) * scale, 4.0)
        place = number * ROW + 30, round(x, 1), round(width, 1)
        bars.append(Bar(*place, row.kind, row.name, until - row.since, row.state, row.note, row.attempt))
    ticks = [(round(LEFT + at * scale, 1), at) for at in _ticks(last - first)]
    hidden = max(0, len(rows) - MOST_ROWS)
    return Chart(
        WIDTH, len(bars) * ROW + 40, LEFT, bars, ticks, hidden, any(row.kind == "activity" for row in rows)
    )
