"""Rows that this version did not write: one of them must not hold up the others."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from saros.interfaces.signals import Mail, Outgoing
from saros.model.errors import INTERNAL, Error
from saros.model.execution import Record, Run, Watcher
from saros.model.text import one_line

log = logging.getLogger("saros.sql")

BROKEN: Final = (msgspec.MsgspecError, TypeError, ValueError)
"""The exceptions that reading such a row raises."""

_watcher = msgspec.json.Decoder(Watcher).decode
read_run = msgspec.json.Decoder(Run).decode
read_raws = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_mail(op: Any, ref: Any, body: Any, run_id: Any) -> Mail:
    """:raises TypeError: when a column has another type, which SQLite permits."""
    known = isinstance(op, str) and isinstance(ref, int) and isinstance(run_id, str)
    if not known or not isinstance(body, bytes):
        raise TypeError("a column of its mail has another type")
    return Mail(op, ref, body, run_id)


def read_outgoing(columns: tuple[Any, ...]) -> Outgoing:
    """:raises MsgspecError, TypeError: when a column has another type or content."""
    *entry, watcher, lane = columns
    found = Outgoing._make((*entry, None if watcher is None else _watcher(watcher), lane))
    texts = (found.id, found.run_id, found.pid, found.op, found.key, found.lane)
    if not all(isinstance(text, str) for text in texts) or not isinstance(found.body, bytes):
        raise TypeError("a column has another type")
    return found


def read_facts(
    facts: Any, id: str, run_id: str, pid: str, name: str = "", queue: str = "", start_time: int = 0
) -> Run:
    """Return a run's facts; if they cannot be read, what its other columns tell."""
    try:
        return read_run(facts)
    except BROKEN:
        return Run(id, run_id, "", name, pid.partition("|")[0], queue, start_time)


def read_record(op: Any, ref: Any, body: Any, time: Any) -> Record:
    """:raises TypeError: when a column has another type."""
    known = isinstance(op, str) and isinstance(ref, int) and isinstance(time, int)
    if not known or not isinstance(body, bytes):
        raise TypeError("a column of its history has another type")
    return Record(op, ref, body, time)


def read_watchers(blobs: Iterable[Any], whose: str) -> Iterator[tuple[int, Watcher]]:
    """Number the watchers of an execution or a node, and leave out those that cannot be read."""
    for number, blob in enumerate(blobs):
        try:
            yield number, _watcher(blob)
        except BROKEN as exc:
            log.warning("a watcher of %s cannot be read and is not told of its end: %s", one_line(whose), exc)


@contextmanager
def reading(id: str) -> Iterator[None]:
    """:raises Error: INTERNAL when the rows of an execution cannot be read."""
    try:
        yield
    except BROKEN as exc:
        what = f"what is stored about {id} cannot be read: {exc}"
        raise Error(what, INTERNAL, retryable=False) from exc
