"""Retention: deletes closed runs and old keys."""

from __future__ import annotations

from typing import Final

from ..database.transaction import Transaction

MOST: Final = 50
"""The most runs that one transaction deletes."""
KEYS_NS: Final = 86_400 * 1_000_000_000
"""Keys of mail are kept for a day; no sender repeats mail after that. Nobody asks for an older commit, either."""


def trim(tx: Transaction, retention: int) -> int:
    """Delete runs that closed more than `retention` nanoseconds ago; return their number."""
    rows = tx.all(
        "SELECT run, id FROM runs WHERE closed IS NOT NULL AND closed < ? ORDER BY closed LIMIT ?",
        tx.steady - retention,
        MOST,
    )
    free = tx.claim([id for _, id in rows])
    done = [row for row in rows if row[1] in free]
    for run, id in done:
        for table in ("records", "attributes", "requests", "runs"):
            tx.later(f"DELETE FROM {table} WHERE run = ?", run)
        if tx.one("SELECT 1 FROM runs WHERE id = ? LIMIT 1", id) is None:
            tx.later("DELETE FROM mail_keys WHERE id = ?", id)
            tx.later("DELETE FROM withdrawn WHERE id = ?", id)
    return len(done)


def trim_keys(tx: Transaction) -> None:
    for table in ("mail_keys", "withdrawn", "commits"):
        tx.later(f"DELETE FROM {table} WHERE at < ?", tx.steady - KEYS_NS)
