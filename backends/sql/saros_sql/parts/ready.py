"""What is ready to be taken from the queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..database.transaction import Transaction, marks


def oldest(
    tx: Transaction, columns: str, table: str, key: str, queues: Sequence[str], limit: int, end: str = ""
) -> list[tuple[Any, ...]]:
    """Rows of a table with queues; the longest ready first."""
    return tx.all(
        f"SELECT {columns} FROM {table} WHERE ready IS NOT NULL AND task_queue IN ({marks(queues)})"
        f" ORDER BY ready, {key} LIMIT ?{end}",
        *queues,
        limit,
    )
