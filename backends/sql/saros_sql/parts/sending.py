"""Adding entries to the outbox."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from saros.interfaces.signals import Outgoing
from saros.model.records import pack

from ..database.transaction import OUTBOX, Transaction

_SEND_OUT: Final = (
    "INSERT INTO outbox (id, run_id, pid, ref, op, body, mail_key, watcher, lane, waits)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?,"
    " (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE lane <> '' AND lane = ? LIMIT 1) AS others))"
)
"""A new entry waits while its lane has other entries."""


def send_out(tx: Transaction, entries: Iterable[Outgoing]) -> None:
    rows = [
        (*entry[:7], None if entry.to is None else pack(entry.to), entry.lane, entry.lane)
        for entry in entries
    ]
    tx.many(_SEND_OUT, rows)
    tx.touched.topics |= OUTBOX
