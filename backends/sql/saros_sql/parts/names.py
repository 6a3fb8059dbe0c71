"""Registered names. A name is valid while its workflow runs or the session of its actor is alive."""

from __future__ import annotations

from typing import Final

from saros.model.execution import RUNNING

from ..database.transaction import Transaction

_LIVE: Final = (
    "SELECT pid FROM names WHERE name = ? AND (CASE WHEN owner IS NULL"
    " THEN EXISTS (SELECT 1 FROM runs WHERE runs.pid = names.pid AND runs.status = ?)"
    " ELSE EXISTS (SELECT 1 FROM sessions WHERE sessions.owner = names.owner) END)"
)


def lookup(tx: Transaction, name: str) -> str | None:
    row = tx.one(_LIVE, name, RUNNING)
    return None if row is None else row[0]


def give(tx: Transaction, name: str, pid: str) -> None:
    """Give a name to a pid, even if another pid has it."""
    tx.later(
        "INSERT INTO names (name, pid, owner) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET pid = excluded.pid, owner = excluded.owner",
        name,
        pid,
        tx.owner if pid.startswith("@") else None,
    )


def register(tx: Transaction, name: str, pid: str) -> bool:
    """See `Store.register`."""
    tx.lock(name)
    known = lookup(tx, name)
    if known is None:
        give(tx, name, pid)
    return known in (None, pid)


def unregister(tx: Transaction, name: str, pid: str) -> bool:
    """See `Store.unregister`."""
    tx.lock(name)
    known = lookup(tx, name)
    if known is None or (pid and known != pid):
        return False
    tx.later("DELETE FROM names WHERE name = ?", name)
    return True
