"""The outbox: entries to deliver, and the replies to them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from saros.interfaces.signals import Mail, Outgoing

from ..database.rows import BROKEN, read_outgoing
from ..database.transaction import OUTBOX, Transaction
from . import lifecycle

log = logging.getLogger("saros.sql")
_NEXT: Final = (
    "UPDATE outbox SET waits = 0 WHERE seq = (SELECT min(seq) FROM outbox WHERE lane <> '' AND lane = ?)"
)


def take(tx: Transaction, limit: int) -> list[Outgoing]:
    """Lease entries of the outbox, only the first of each lane."""
    rows = tx.all(
        "SELECT seq, id, run_id, pid, ref, op, body, mail_key, watcher, lane FROM outbox"
        f" WHERE owner IS NULL AND waits = 0 ORDER BY seq LIMIT ?{tx.skip_locked}",
        limit,
    )
    tx.many("UPDATE outbox SET owner = ? WHERE seq = ?", [(tx.owner, row[0]) for row in rows])
    entries: list[Outgoing] = []
    for seq, *columns in rows:
        try:
            entries.append(read_outgoing(tuple(columns)))
        except BROKEN as exc:
            log.warning("entry %s of the outbox cannot be read and is set aside: %s", seq, exc)
            tx.later("UPDATE outbox SET owner = NULL, waits = -1, lane = '' WHERE seq = ?", seq)
            if columns[-1]:
                tx.later(_NEXT, columns[-1])
    return entries


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
    if entry.lane and tx.run(_NEXT, entry.lane):
        tx.touched.topics |= OUTBOX
    if reply is not None:
        found = lifecycle.find_running(tx, entry.id, reply.run_id)
        if found is not None:
            lifecycle.post(tx, found.run, reply)
