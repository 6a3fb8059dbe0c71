"""Sessions: one for each open store. A session owns the leases of its store.

A lease lasts as long as its session, which a thread renews even while the event loop of its process is busy. When a
process is killed, its session ends at once if other processes can detect that; otherwise it expires.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from saros.insight.presence import identity

from ..database.transaction import ACTIVITIES, NODES, OUTBOX, SESSIONS, TASKS, Transaction, marks
from .lifecycle import FREE, NOTE_PARKED, PARKED

LOST_RUN: Final = "workers in a row were lost while they ran its workflow task; it waits to be released"
LOST_ACTIVITY: Final = "workers in a row were lost while they ran activity {ref}; it waits to be released"


def renew(tx: Transaction, lease: int, boot: str) -> bool:
    """Renew the session of this store for `lease` nanoseconds; return False if it is new or had expired."""
    until = tx.steady + lease
    if tx.run("UPDATE sessions SET until = ? WHERE owner = ?", until, tx.owner):
        return True
    tx.later(
        "INSERT INTO sessions (owner, until, boot, worker) VALUES (?, ?, ?, ?)",
        tx.owner,
        until,
        boot,
        identity(),
    )
    return False


def silent(tx: Transaction, boot: str) -> tuple[dict[str, int], list[str], list[str]]:
    """Sessions whose time is up, with the ends of that; those of a machine that was restarted since; those that are
    not connected to the database any more."""
    rows = tx.all("SELECT owner, until, boot FROM sessions WHERE owner <> ?", tx.owner)
    over = {owner: until for owner, until, _ in rows if until < tx.steady}
    foreign = [owner for owner, _, other in rows if boot and other and other != boot]
    return over, foreign, tx.absent([owner for owner, _, _ in rows])


def end(tx: Transaction, owners: Sequence[str], attempts: int, *, orderly: bool = False) -> int:
    """End sessions and release their leases to others; return the number of leases.

    :param attempts: the number of workers lost in a row after which a task is set aside.
    :param orderly: the sessions end by themselves, so their workers do not count as lost.
    """
    if not owners:
        return 0
    tx.lock(*owners)
    ids = {
        id for table in ("runs", "activities") for (id,) in tx.all(_leased(table, "runs.id", owners), *owners)
    }
    tx.lock(*ids)
    count = _runs(tx, owners, attempts, orderly, ids) + _activities(tx, owners, attempts, orderly, ids)
    some = f"({marks(owners)})"
    if sent := tx.run(f"UPDATE outbox SET owner = NULL WHERE owner IN {some}", *owners):
        tx.touched.topics |= OUTBOX
        count += sent
    for table in ("names", "workers"):
        tx.later(f"DELETE FROM {table} WHERE owner IN {some}", *owners)
    if orderly:
        for table in ("node_mail", "node_watches"):
            tx.later(
                f"DELETE FROM {table} WHERE node IN (SELECT node FROM nodes WHERE owner IN {some})", *owners
            )
        tx.later(f"DELETE FROM nodes WHERE owner IN {some}", *owners)
    tx.later(f"DELETE FROM sessions WHERE owner IN {some}", *owners)
    tx.touched.topics |= SESSIONS
    return count


def _leased(table: str, columns: str, owners: Sequence[str]) -> str:
    joined = "" if table == "runs" else f" JOIN runs ON runs.run = {table}.run"
    return f"SELECT {columns} FROM {table}{joined} WHERE {table}.owner IN ({marks(owners)})"


def _runs(tx: Transaction, owners: Sequence[str], attempts: int, orderly: bool, ids: set[str]) -> int:
    found = tx.all(_leased("runs", "runs.id, run, losses", owners), *owners)
    rows = [row[1:] for row in found if row[0] in ids]
    for run, losses in rows:
        losses += not orderly
        if not orderly and losses >= attempts:
            tx.later(
                f"UPDATE runs SET {NOTE_PARKED}, fence = NULL, owner = NULL, losses = ?, held = ?, problem = ?"
                " WHERE run = ?",
                tx.now,
                None,
                losses,
                PARKED,
                f"{losses} {LOST_RUN}",
                run,
            )
        else:
            tx.later(
                "UPDATE runs SET fence = NULL, owner = NULL, losses = ?, held = ?, ready = ? WHERE run = ?",
                losses,
                FREE,
                tx.steady,
                run,
            )
            tx.touched.topics |= TASKS
    return len(rows)


def _activities(tx: Transaction, owners: Sequence[str], attempts: int, orderly: bool, ids: set[str]) -> int:
    columns = "runs.id, activities.seq, activities.run, activities.losses"
    found = tx.all(_leased("activities", columns, owners), *owners)
    rows = [row[1:] for row in found if row[0] in ids]
    for seq, run, losses in rows:
        losses += not orderly
        aside = not orderly and losses >= attempts
        tx.later(
            "UPDATE activities SET token = NULL, owner = NULL, started = NULL, losses = ?,"
            " attempt = attempt + ?, aside = ?, ready = ? WHERE seq = ?",
            losses,
            int(not orderly),
            int(aside),
            None if aside else tx.steady,
            seq,
        )
        if aside:
            why = set_aside(tx, run)
            tx.later(f"UPDATE runs SET {NOTE_PARKED}, problem = ? WHERE run = ?", tx.now, None, why, run)
        tx.touched.topics |= ACTIVITIES
    return len(rows)


def set_aside(tx: Transaction, run: int) -> str | None:
    """Return the problem of a run with an activity that is set aside; None if there is no such activity."""
    row = tx.one("SELECT losses, ref FROM activities WHERE run = ? AND aside = 1 ORDER BY ref LIMIT 1", run)
    return None if row is None else f"{row[0]} {LOST_ACTIVITY.format(ref=row[1])}"


# --- nodes --------------------------------------------------------------------------------------

_LIVES: Final = "SELECT 1 FROM nodes JOIN sessions ON sessions.owner = nodes.owner WHERE nodes.node = ?"


def join_node(tx: Transaction, node: str) -> None:
    tx.later(
        "INSERT INTO nodes (node, owner) VALUES (?, ?) ON CONFLICT (node) DO UPDATE SET owner = excluded.owner",
        node,
        tx.owner,
    )


def send_node(tx: Transaction, node: str, mail: bytes) -> bool:
    if tx.one(_LIVES, node) is None:
        return False
    tx.later("INSERT INTO node_mail (node, mail) VALUES (?, ?)", node, mail)
    tx.touched.topics |= NODES
    return True


def node_mail(tx: Transaction, node: str, limit: int) -> list[bytes]:
    rows = tx.all("SELECT seq, mail FROM node_mail WHERE node = ? ORDER BY seq LIMIT ?", node, limit)
    if rows:
        tx.lasting = True
        numbers = [
            seq for seq, _ in rows
        ]  # not all before the last: another sender's may have been added just now
        tx.later(f"DELETE FROM node_mail WHERE seq IN ({marks(numbers)})", *numbers)
    return [mail for _seq, mail in rows]


def watch_node(tx: Transaction, node: str, pid: str, watcher: bytes) -> None:
    tx.later(
        "INSERT INTO node_watches (node, pid, watcher) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        node,
        pid,
        watcher,
    )


def unwatch_node(tx: Transaction, node: str, pid: str, watcher: bytes) -> None:
    tx.later("DELETE FROM node_watches WHERE node = ? AND pid = ? AND watcher = ?", node, pid, watcher)


def lost_nodes(tx: Transaction) -> list[str]:
    """Return nodes whose sessions have ended and whose watchers have not been notified yet."""
    sql = (
        "SELECT node FROM nodes WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.owner = nodes.owner)"
    )
    return [node for (node,) in tx.all(sql)]


def watches(tx: Transaction, node: str) -> list[tuple[str, bytes]]:
    return [(pid, blob) for pid, blob in tx.all("SELECT pid, watcher FROM node_watches WHERE node = ?", node)]


def forget_node(tx: Transaction, node: str) -> None:
    for table in ("node_mail", "node_watches", "nodes"):
        tx.later(f"DELETE FROM {table} WHERE node = ?", node)
