"""Histories as JSON documents, for `saros history --json`, `saros replay` and test fixtures."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from .errors import INVALID, Error
from .execution import HistoryPage, Record, Run
from .presentation import lines
from .values import Json, from_plain, to_plain

FORMAT: Final = "saros.history/1"


def export_history(page: HistoryPage) -> dict[str, Any]:
    """A document that `replay` reads; each record also has a readable name and summary."""
    return {
        "format": FORMAT,
        "status": page.status,
        **_told("run", msgspec.json.encode(page.run)),
        "events": [
            {
                "id": line.number,
                "time": line.time,
                "type": line.name,
                "summary": line.summary,
                "op": line.record.op,
                "ref": line.record.ref,
                **_told("body", line.record.body),
            }
            for line in lines(page.records)
        ],
    }


def _told(name: str, wire: Json) -> dict[str, Any]:
    """JSON as its writer wrote it, or, when it holds bytes or errors, as it is on the wire and marked so."""
    text, plain = to_plain(wire) if wire else (b"null", True)
    told = {name: json.loads(text)}
    return told if plain else {**told, "wire": [name]}


def _read(told: dict[str, Any], name: str) -> Json:
    text = msgspec.json.encode(told[name])
    return text if name in told.get("wire", ()) else from_plain(text)


def import_history(document: Any) -> tuple[Run, list[Record]]:
    """The run and the records of a document.

    :raises Error: INVALID when it is none.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise Error(f"this is no history of format {FORMAT}", INVALID, retryable=False)
    try:
        run = msgspec.json.decode(_read(document, "run"), type=Run)
        records = [
            Record(item["op"], item["ref"], _read(item, "body"), item["time"]) for item in document["events"]
        ]
    except (KeyError, TypeError, msgspec.ValidationError) as exc:
        raise Error(f"the history is damaged: {exc!r}", INVALID, retryable=False) from exc
    return run, records
