"""Histories as JSON documents, for `saros history --json`, `saros replay` and test fixtures."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from .errors import INVALID, Error
from .execution import HistoryPage, Record, Run
from .presentation import lines

FORMAT: Final = "saros.history/1"


def export_history(page: HistoryPage) -> dict[str, Any]:
    """A document that `replay` reads; each record also has a readable name and summary."""
    return {
        "format": FORMAT,
        "status": page.status,
        "run": json.loads(msgspec.json.encode(page.run)),
        "events": [
            {
                "id": line.number,
                "time": line.time,
                "type": line.name,
                "summary": line.summary,
                "op": line.record.op,
                "ref": line.record.ref,
                "body": line.body,
            }
            for line in lines(page.records)
        ],
    }


def import_history(document: Any) -> tuple[Run, list[Record]]:
    """The run and the records of a document.

    :raises Error: INVALID when it is none.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise Error(f"this is no history of format {FORMAT}", INVALID, retryable=False)
    try:
        run = msgspec.json.decode(msgspec.json.encode(document["run"]), type=Run)
        records = [
            Record(item["op"], item["ref"], msgspec.json.encode(item["body"]), item["time"])
            for item in document["events"]
        ]
    except (KeyError, TypeError, msgspec.ValidationError) as exc:
        raise Error(f"the history is damaged: {exc!r}", INVALID, retryable=False) from exc
    return run, records
