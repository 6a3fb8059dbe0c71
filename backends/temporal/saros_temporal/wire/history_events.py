"""Temporal's events as Saros's records, so that histories look the same on every backend.

Workflow tasks and other bookkeeping of Temporal have no record; `ref` is the number of the event that
scheduled something.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from saros.model import values
from saros.model.errors import CANCELED, TIMEOUT, Error, ErrorData
from saros.model.execution import TERMINATE, TIME_OUT, Record
from saros.model.raw import Raw
from saros.model.records import CancelRequest, Outcome, Rescind, outcome_ok, pack
from saros.model.values import Json

from .ends import CLOSED
from .failures import error_in, failed
from .operations import EVENTS, SIDE_EFFECT
from .payloads import CANCELED_MEMO, SENDER, TRACE, carried_cancels, read_reason, to_json, user_name

Found = list[tuple[str, int, Json]]


def has_run(event: HistoryEvent) -> bool:
    """Return whether a run has had its first task, or has ended, by the time of this event."""
    return event.event_type in CLOSED or event.event_type == _E.EVENT_TYPE_WORKFLOW_TASK_COMPLETED


def records(events: Sequence[HistoryEvent]) -> list[Record]:
    """Return the records of a history whose payloads are decoded; none of a run that has not run yet."""
    return Records().of(events) if any(map(has_run, events)) else []


class Records:
    """Reads the records of a history, in order and perhaps in pages."""

    def of(self, events: Iterable[HistoryEvent]) -> list[Record]:
        """The records of the next events."""
        found: list[Record] = []
        for event in events:
            if (read := _READERS.get(event.event_type)) is not None:
                time = event.event_time.ToNanoseconds()
                found += [Record(op, ref, body, time) for op, ref, body in read(self, event)]
        return found

    def started(self, event: HistoryEvent) -> Found:
        started = event.workflow_execution_started_event_attributes
        body = {
            "args": array(started.input.payloads),
            "entry": started.workflow_type.name,
            "pid": started.workflow_id,
        }
        cancels = _cancels(started.header.fields)
        return [("start", 0, pack(body)), *(("cancel", 0, pack(cancel)) for cancel in cancels)]

    def scheduled(self, event: HistoryEvent) -> Found:
        call = event.activity_task_scheduled_event_attributes
        body: dict[str, Any] = {
            "target": call.activity_type.name,
            "args": array(call.input.payloads),
            "options": {"task_queue": call.task_queue.name, "id": call.activity_id},
        }
        return [("call", event.event_id, pack(body))]

    def timer(self, event: HistoryEvent) -> Found:
        ns = event.timer_started_event_attributes.start_to_fire_timeout.ToNanoseconds()
        return [("timer", event.event_id, pack({"ns": ns}))]

    def child(self, event: HistoryEvent) -> Found:
        child = event.start_child_workflow_execution_initiated_event_attributes
        body = {
            "entry": child.workflow_type.name,
            "host": child.task_queue.name,
            "args": array(child.input.payloads),
            "options": {"id": child.workflow_id},
        }
        return [("spawn", event.event_id, pack(body))]

    def child_started(self, event: HistoryEvent) -> Found:
        started = event.child_workflow_execution_started_event_attributes
        return [
            ("done", started.initiated_event_id, outcome_ok(pack(started.workflow_execution.workflow_id)))
        ]

    def signaled(self, event: HistoryEvent) -> Found:
        signal = event.workflow_execution_signaled_event_attributes
        op = EVENTS.get(signal.signal_name)
        if op is not None:
            return [(op, 0, _first(signal.input.payloads))]
        sender, trace = (json.loads(_json(signal.header.fields.get(key))) for key in (SENDER, TRACE))
        body = {
            "topic": signal.signal_name,
            "sender": sender or "",
            "payloads": array(signal.input.payloads),
        }
        return [("message", 0, pack({**body, "trace": trace} if trace else body))]

    def sent(self, event: HistoryEvent) -> Found:
        signal = event.signal_external_workflow_execution_initiated_event_attributes
        body = {
            "to": signal.workflow_execution.workflow_id,
            "topic": signal.signal_name,
            "payloads": array(signal.input.payloads),
        }
        return [("send", event.event_id, pack(body))]

    def marker(self, event: HistoryEvent) -> Found:
        marker = event.marker_recorded_event_attributes
        if marker.marker_name == "core_patch":
            data = _loads(marker.details["patch-data"].payloads)
            change, _, number = str(data.get("id", "")).rpartition("#")
            if change and number.lstrip("-").isdigit():
                return [("version", 0, pack({"id": change, "version": int(number)}))]
        if marker.marker_name == "core_local_activity":
            data = _loads(marker.details["data"].payloads)
            name = str(data.get("activity_type", ""))
            if name == SIDE_EFFECT:
                return [("side_effect", event.event_id, _first(marker.details["result"].payloads))]
            body = pack({"target": name, "options": {"local": True, "id": data.get("activity_id", "")}})
            if marker.HasField("failure"):
                outcome = failed(marker.failure)
            else:
                outcome = outcome_ok(_first(marker.details["result"].payloads))
            return [("call", event.event_id, body), ("done", event.event_id, outcome)]
        return []

    def cancel_requested(self, event: HistoryEvent) -> Found:
        sender, reason = read_reason(event.workflow_execution_cancel_requested_event_attributes.cause)
        return [("cancel", 0, pack({"sender": sender, "reason": reason}))]

    def upserted(self, event: HistoryEvent) -> Found:
        fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
        search = {key: Raw(item.data) for key, item in fields.items() if not key.startswith("Temporal")}
        return [("attrs", 0, pack({"search": search}))] if search else []

    def memo(self, event: HistoryEvent) -> Found:
        fields = event.workflow_properties_modified_event_attributes.upserted_memo.fields
        if CANCELED_MEMO in fields:
            return []
        memo = {user_name(key): Raw(_json(item)) for key, item in fields.items()}
        return [("attrs", 0, pack({"memo": memo}))]

    def update(self, event: HistoryEvent) -> Found:
        request = event.workflow_execution_update_accepted_event_attributes.accepted_request
        args = array(request.input.args.payloads)
        body = {"id": request.meta.update_id, "name": request.input.name, "args": args}
        trace = json.loads(_json(request.input.header.fields.get(TRACE)))
        return [("update", 0, pack({**body, "trace": trace} if trace else body))]

    def updated(self, event: HistoryEvent) -> Found:
        done = event.workflow_execution_update_completed_event_attributes
        body: dict[str, Any] = {"id": done.meta.update_id}
        if done.outcome.HasField("failure"):
            body["err"] = error_in(done.outcome.failure)
        else:
            body["ok"] = Raw(_first(done.outcome.success.payloads))
        return [("answer", 0, pack(body))]

    def completed(self, event: HistoryEvent) -> Found:
        return [("complete", 0, _first(event.workflow_execution_completed_event_attributes.result.payloads))]

    def failed(self, event: HistoryEvent) -> Found:
        return [("fail", 0, pack(error_in(event.workflow_execution_failed_event_attributes.failure)))]

    def canceled(self, event: HistoryEvent) -> Found:
        return [("fail", 0, pack(ErrorData("canceled", CANCELED, False)))]

    def terminated(self, event: HistoryEvent) -> Found:
        reason = event.workflow_execution_terminated_event_attributes.reason
        return [(TERMINATE, 0, pack(Outcome(err=ErrorData(reason or "terminated", CANCELED, False))))]

    def timed_out(self, event: HistoryEvent) -> Found:
        return [(TIME_OUT, 0, pack(Outcome(err=ErrorData("the workflow timed out", TIMEOUT, False))))]

    def continued(self, event: HistoryEvent) -> Found:
        args = event.workflow_execution_continued_as_new_event_attributes.input.payloads
        return [("continue", 0, pack({"args": array(args)}))]


def _attributes(event: HistoryEvent) -> Any:
    """Return the attributes that are specific to the event's type."""
    return getattr(event, event.WhichOneof("attributes") or "")


def _done(ref: str, result: str) -> Callable[[Records, HistoryEvent], Found]:
    """Return a reader for an event that completes an earlier one.

    :param ref: the attribute with the number of that earlier event.
    :param result: ``payloads``, ``failure``, or the message of a fixed error.
    """

    def read(reader: Records, event: HistoryEvent) -> Found:
        found = _attributes(event)
        if result == "payloads":
            outcome = outcome_ok(_first(found.result.payloads))
        elif result == "failure":
            outcome = failed(found.failure)
        elif result:
            outcome = pack(Outcome(err=ErrorData(result, CANCELED if result == "canceled" else "", False)))
        else:
            outcome = b"{}"
        return [("done", getattr(found, ref), outcome)]

    return read


def _exit(result: str) -> Callable[[Records, HistoryEvent], Found]:
    """Read how a child has ended."""
    done = _done("initiated_event_id", result)

    def read(reader: Records, event: HistoryEvent) -> Found:
        ((_, _, outcome),) = done(reader, event)
        end = msgspec.json.decode(outcome, type=dict[str, Raw])
        sender = _attributes(event).workflow_execution.workflow_id
        return [("exit", 0, pack({"sender": sender, **end}))]

    return read


def _rescinded(ref: str, of: str) -> Callable[[Records, HistoryEvent], Found]:
    return lambda reader, event: [("rescind", 0, pack(Rescind(getattr(_attributes(event), ref), of)))]


_E: Final = EventType
_READERS: Final[dict[int, Callable[[Records, HistoryEvent], Found]]] = {
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: Records.started,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: Records.signaled,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED: Records.cancel_requested,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: Records.completed,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: Records.failed,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: Records.canceled,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: Records.terminated,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: Records.timed_out,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: Records.continued,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: Records.update,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: Records.updated,
    _E.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: Records.upserted,
    _E.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED: Records.memo,
    _E.EVENT_TYPE_MARKER_RECORDED: Records.marker,
    _E.EVENT_TYPE_TIMER_STARTED: Records.timer,
    _E.EVENT_TYPE_TIMER_FIRED: _done("started_event_id", ""),
    _E.EVENT_TYPE_TIMER_CANCELED: _rescinded("started_event_id", "timer"),
    _E.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: Records.scheduled,
    _E.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED: _rescinded("scheduled_event_id", "call"),
    _E.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: _done("scheduled_event_id", "payloads"),
    _E.EVENT_TYPE_ACTIVITY_TASK_FAILED: _done("scheduled_event_id", "failure"),
    _E.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: _done("scheduled_event_id", "failure"),
    _E.EVENT_TYPE_ACTIVITY_TASK_CANCELED: _done("scheduled_event_id", "canceled"),
    _E.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: Records.child,
    _E.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: _done("initiated_event_id", "runs already"),
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: Records.child_started,
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: _exit("payloads"),
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: _exit("failure"),
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: _exit("canceled"),
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: _exit("timed out"),
    _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: _exit("terminated"),
    _E.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: Records.sent,
    _E.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED: _done("initiated_event_id", ""),
    _E.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED: _done("initiated_event_id", "not found"),
}


def _json(payload: Payload | None) -> Json:
    if payload is None:
        return values.NULL
    try:
        return to_json(payload)
    except Error as error:
        return pack(f"({error.message})")


def _cancels(headers: Mapping[str, Payload]) -> list[CancelRequest]:
    try:
        return carried_cancels(headers)[0]
    except (Error, msgspec.MsgspecError):  # this worker lacks the codec
        return [CancelRequest()]


def array(payloads: Iterable[Payload]) -> Raw:
    """Return decoded payloads as the JSON of an array."""
    return Raw(b"[" + b",".join(_json(payload) for payload in payloads) + b"]")


def _first(payloads: Any) -> Json:
    return _json(payloads[0] if payloads else None)


def _loads(payloads: Any) -> dict[str, Any]:
    found = json.loads(_first(payloads))
    return found if isinstance(found, dict) else {}
