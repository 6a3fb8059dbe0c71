"""Histories as lines of a timeline: when, what, how long."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from saros.model.text import one_line

from . import output

if TYPE_CHECKING:
    from rich.text import Text

    from saros.model.presentation import Line

_STYLES: Final = (
    ("Failed", "red"),
    ("TimedOut", "red"),
    ("Terminated", "red"),
    ("ExecutionCompleted", "bold green"),
    ("Completed", "green"),
    ("Answered", "green"),
    ("Fired", "cyan"),
    ("Timer", "cyan"),
    ("Signal", "yellow"),
    ("Cancel", "yellow"),
    ("Scheduled", "blue"),
    ("Child", "magenta"),
)

CLOSING: Final = ("complete", "fail", "continue", "terminate", "time_out")
"""Operations of the records that end a run."""


class Row(NamedTuple):
    """One event: time since the start, name, gist, and the duration of the operation that it ends."""

    offset: str
    name: str
    gist: str
    took: str = ""

    def plain(self) -> str:
        gist = one_line(self.gist)
        took = f"  [{self.took}]" if self.took else ""
        return f"{self.offset:>9}  {self.name:<20}  {gist}{took}".rstrip()

    def rich(self) -> Text:
        from rich.text import Text

        style = next((style for part, style in _STYLES if part in self.name), "")
        text = Text.assemble(
            (f"{self.offset:>9}", "dim"), "  ", (f"{self.name:<20}", style), "  ", one_line(self.gist)
        )
        if self.took:
            text.append(f"  [{self.took}]", "dim")
        return text


class Open(NamedTuple):
    """An operation in progress: its name, its gist, and when it began (in ns since 1970)."""

    op: str
    gist: str
    since: int


class Timeline:
    """Turns a history's lines into rows, and tracks which operations are in progress."""

    WAITED_FOR: Final = ("call", "timer", "spawn")

    def __init__(self) -> None:
        self.open: dict[int, Open] = {}
        self.closed = False  # whether the last line ended a run
        self._start: int | None = None

    def row(self, line: Line) -> Row:
        record = line.record
        if self._start is None:
            self._start = line.time
        if record.op == "start":
            self.open.clear()  # a continued run numbers its commands from the start
        took = ""
        self.closed = record.op in CLOSING
        if record.op in self.WAITED_FOR:
            self.open[record.ref] = Open(record.op, line.summary, line.time)
        elif record.op == "done" and (begun := self.open.pop(record.ref, None)) is not None:
            took = "" if begun.op == "timer" else output.span(line.time - begun.since)
        elif record.op == "rescind" and isinstance(line.body, dict):
            self.open.pop(line.body.get("ref", 0), None)
        return Row(f"+{output.span(max(0, line.time - self._start))}", line.name, line.summary, took)

    def waiting(self, now: int) -> str:
        """Return what the execution waits for, for a status line."""
        if not self.open:
            return "ending" if self.closed else "waiting for a message"
        parts = []
        for op, gist, since in list(self.open.values())[:4]:
            noun = {"timer": "timer ", "spawn": "child "}.get(op, "")
            parts.append(f"{noun}{one_line(gist)} ({output.span(max(0, now - since))})")
        more = len(self.open) - len(parts)
        return ", ".join(parts) + (f" and {more} more" if more > 0 else "")


class Printer:
    """Prints a history on stdout."""

    def __init__(self) -> None:
        self._timeline = Timeline()

    def show(self, line: Line) -> None:
        row = self._timeline.row(line)
        if sys.stdout.isatty():
            output.console().print(row.rich())
        else:
            output.line(row.plain())
