"""The outbox: entries to deliver, and the replies to them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from saros.interfaces.signals import Mail, Outgoing
from saros.model.execution import Watcher

from ..database.transaction import OUTBOX, Transaction
from . import lifecycle

_watcher = msgspec.json.Decoder(Watcher).decode


def take(tx: Transaction, limit: int) -> list[Outgoing]:
    """Lease entries of the outbox, only the first of each lane."""
    rows = tx.all(
        "SELECT seq, id, run_id, pid, ref, op, body, mail_key, watcher, lane FROM outbox"
        f" WHERE owner IS NULL AND waits = 0 ORDER BY seq LIMIT ?{tx.skip_locked}",
        limit,
    )
    tx.many("UPDATE outbox SET owner = ? WHERE seq = ?", [(tx.owner, row[0]) for row in rows])
    return [
        Outgoing._make((*entry, None if watcher is None else _watcher(watcher), lane))
        for _seq, *entry, watcher, lane in rows
    ]


def give_back(tx: Transaction, entries: Iterable[Outgoing]) -> None:
    for entry in entries:
        tx.later(
            "UPDATE outbox SET owner = NULL WHERE mail_key = ? AND op = ? AND owner = ?",
            entry.key,
            entry.op,
            tx.owner,
        )
    tx.touched.topics |= OUTBOX


def delivered(tx: Transaction, entry: Outgoing, reply: Mail | None) -> None:
    """See `Store.delivered`. If another worker has already delivered the entry, its sender has the reply."""
    tx.lock(entry.id)
    if not tx.run("DELETE FROM outbox WHERE mail_key = ? AND op = ?", entry.key, entry.op):
        return
    if entry.lane and tx.run(
        "UPDATE outbox SET waits = 0 WHERE seq = (SELECT min(seq) FROM outbox WHERE lane <> '' AND lane = ?)",
        entry.lane,
    ):
        tx.touched.topics |= OUTBOX
    if reply is not None:
        found = lifecycle.find_running(tx, entry.id, reply.run_id)
        if found is not None:
            lifecycle.post(tx, found.run, reply)
