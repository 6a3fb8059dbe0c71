"""Rows that this version did not write: one of them must not hold up the others."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from saros.interfaces.signals import Mail, Outgoing
from saros.model.execution import Watcher

BROKEN: Final = (msgspec.MsgspecError, TypeError, ValueError)
"""The exceptions that reading such a row raises."""

_watcher = msgspec.json.Decoder(Watcher).decode


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
