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
    """Lease entries; those of one execution go to one process at a time, which keeps their order."""
    rows = tx.all(
        "SELECT seq, id, run_id, pid, ref, op, body, mail_key, watcher FROM outbox WHERE owner IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM outbox AS other WHERE other.id = outbox.id"
        " AND other.owner IS NOT NULL AND other.owner <> ?)"
        f" ORDER BY seq LIMIT ?{tx.skip_locked}",
        tx.owner,
        limit,
    )
    tx.many("UPDATE outbox SET owner = ? WHERE seq = ?", [(tx.owner, row[0]) for row in rows])
    return [
        Outgoing._make((*entry, None if watcher is None else _watcher(watcher)))
        for _seq, *entry, watcher in rows
    ]


def give_back(tx: Transaction, entries: Iterable[Outgoing]) -> None:
    for entry in entries:
        tx.run(
            "UPDATE outbox SET owner = NULL WHERE mail_key = ? AND op = ? AND owner = ?",
            entry.key,
            entry.op,
            tx.owner,
        )
    tx.touched.topics |= OUTBOX


def delivered(tx: Transaction, entry: Outgoing, reply: Mail | None) -> None:
    """See `Store.delivered`. What somebody else has delivered meanwhile has its reply already."""
    if tx.run("DELETE FROM outbox WHERE mail_key = ? AND op = ?", entry.key, entry.op):
        tx.touched.topics |= OUTBOX if _waits(tx, entry.id) else 0
        if reply is not None:
            found = lifecycle.find_running(tx, entry.id, reply.run_id)
            if found is not None:
                lifecycle.post(tx, found.run, reply)


def _waits(tx: Transaction, id: str) -> bool:
    """Whether other processes may have waited for this delivery."""
    return tx.one("SELECT 1 FROM outbox WHERE id = ? AND owner IS NULL LIMIT 1", id) is not None
