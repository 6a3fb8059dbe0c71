"""Histories for people: standard names of events, and one-line summaries."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

import msgspec

from . import values
from .errors import INVALID, Error
from .execution import TERMINATE, TIME_OUT, HistoryPage, Record, Run
from .records import Command
from .timing import SECOND
from .values import Json, from_plain, to_plain

NAMES: Final = {
    "start": "ExecutionStarted",
    "message": "SignalReceived",
    "exit": "ProcessExited",
    "link_down": "LinkDown",
    "cancel": "CancelRequested",
    "update": "UpdateAccepted",
    "call": "ActivityScheduled",
    "timer": "TimerStarted",
    "rescind": "CommandCanceled",
    "spawn": "ChildStarted",
    "send": "SignalSent",
    "tell": "SignalSent",
    "ask": "RequestSent",
    "attrs": "AttributesUpserted",
    "version": "VersionMarked",
    "side_effect": "SideEffectRecorded",
    "answer": "UpdateAnswered",
    "continue": "ContinuedAsNew",
    "complete": "ExecutionCompleted",
    "fail": "ExecutionFailed",
    TERMINATE: "ExecutionTerminated",
    TIME_OUT: "ExecutionTimedOut",
}
DONE_NAMES: Final = {
    "call": ("ActivityCompleted", "ActivityFailed"),
    "timer": ("TimerFired", "TimerFailed"),
    "spawn": ("ChildAnswered", "ChildFailed"),
    "send": ("SignalDelivered", "SignalFailed"),
    "ask": ("RequestAnswered", "RequestFailed"),
}


class Line(NamedTuple):
    """One event of a history, readable.

    :param number: of the event, counted from 1.
    :param time: nanoseconds since 1970.
    :param name: what happened, such as ``ActivityCompleted``.
    :param summary: a few words about it.
    :param record: the event as it is recorded.
    :param body: the JSON data of that.
    """

    number: int
    time: int
    name: str
    summary: str
    record: Record
    body: Any


def lines(records: list[Record], start: int = 0, opened: dict[int, Record] | None = None) -> list[Line]:
    """Describe records after the first `start`. `opened` carries unsettled commands from page to page."""
    opened = {} if opened is None else opened
    described = []
    for number, record in enumerate(records, start + 1):
        body = _decode(record.body)
        name, summary = _describe(record, body, opened)
        described.append(Line(number, record.time, name, summary, record, body))
    return described


def _describe(record: Record, body: Any, opened: dict[int, Record]) -> tuple[str, str]:
    if record.op in DONE_NAMES:
        opened[record.ref] = record
    if record.op != "done":
        return NAMES.get(record.op, record.op), summary_of(record.op, body)
    cause = opened.pop(record.ref, None)
    error = body.get("err") if isinstance(body, dict) else None
    if cause is None:
        return "Settled", f"#{record.ref}"
    names = DONE_NAMES[cause.op]
    what = summary_of(cause.op, _decode(cause.body))
    if error:
        return names[1], f"{what}: {_error(error)}"
    value = body.get("ok")
    return names[0], what if cause.op == "timer" or value is None else f"{what} → {_short(value)}"


def describe_command(command: Command) -> str:
    """A short description of a command, such as ``ActivityScheduled app:charge #3``."""
    text = summary_of(command.op, _decode(command.body))
    return f"{NAMES.get(command.op, command.op)} {text} #{command.ref}".replace("  ", " ")


def summary_of(op: str, body: Any) -> str:
    """The gist of an event or command."""
    if not isinstance(body, dict):
        return _short(body)
    if op == "call":
        return str(body.get("target", ""))
    if op == "timer":
        return duration(int(body.get("ns", 0)))
    if op in ("spawn", "start"):
        return str(body.get("entry", ""))
    if op in ("message", "send", "tell"):
        where = f" → {body['to']}" if "to" in body else ""
        payloads = body.get("payloads", [])
        return f"{body.get('topic', '')}{where} {_short(payloads[0]) if payloads else ''}".strip()
    if op == "ask":
        return f"{body.get('verb', '')} {body.get('to', '') or body.get('name', '')}".strip()
    if op in ("exit", "link_down"):
        return f"{body.get('sender', '')} {_error(body['err']) if body.get('err') else ''}".strip()
    if op == "version":
        return f"{body.get('id')} = {body.get('version')}"
    if op == "fail":
        return _error(body)
    if op in ("cancel", TERMINATE, TIME_OUT):
        return str(body.get("reason", "") or _error(body.get("err") or {}))
    if op == "rescind":
        return f"#{body.get('ref')}"
    if op == "attrs":
        return ", ".join(
            f"{k}={_short(v)}" for part in ("search", "memo") for k, v in body.get(part, {}).items()
        )
    return _short(body)


def duration(ns: int) -> str:
    """A duration in Go's notation, without parts that are zero."""
    if ns < SECOND:
        return f"{ns / 1e6:g}ms"
    text = ""
    seconds, rest = divmod(ns, SECOND)
    for unit, size in (("h", 3600), ("m", 60)):
        count, seconds = divmod(seconds, size)
        if count:
            text += f"{count}{unit}"
    if seconds or rest or not text:
        text += f"{seconds + rest / 1e9:g}s"
    return text


def _error(error: dict[str, Any]) -> str:
    kind = error.get("kind", "")
    message = error.get("message", "")
    return f"{kind}: {message}" if kind else str(message)


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 72 else text[:69] + "..."


def _decode(body: Json) -> Any:
    return values.shown(body) if body else None


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
    """JSON as its writer wrote it, or, if it holds bytes or errors, wire JSON that is marked as such."""
    text, plain = to_plain(wire) if wire else (b"null", True)
    told = {name: json.loads(text)}
    return told if plain else {**told, "wire": [name]}


def _read(told: dict[str, Any], name: str) -> Json:
    text = msgspec.json.encode(told[name])
    return text if name in told.get("wire", ()) else from_plain(text)


def import_history(document: Any) -> tuple[Run, list[Record]]:
    """The run and the records of a document.

    :raises Error: INVALID when the document is not a history.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise Error(f"this is not a history of format {FORMAT}", INVALID, retryable=False)
    try:
        run = msgspec.json.decode(_read(document, "run"), type=Run)
        records = [
            Record(item["op"], item["ref"], _read(item, "body"), item["time"]) for item in document["events"]
        ]
    except (KeyError, TypeError, msgspec.ValidationError) as exc:
        raise Error(f"the history is damaged: {exc!r}", INVALID, retryable=False) from exc
    return run, records
