"""The input of a workflow as events: its start, and its signals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import ContinueAsNewInitiator
from temporalio.bridge.proto.workflow_activation import (
    InitializeWorkflow,
    SignalWorkflow,
    WorkflowActivationJob,
)
from temporalio.workflow import Info

from saros.entries import Entry
from saros.interfaces.backend import MAX_HANGS
from saros.model import values
from saros.model.errors import INTERNAL, Error
from saros.model.execution import Pid
from saros.model.raw import Raw
from saros.model.records import CANCEL, EMPTY, MESSAGE, START, Event, Message, Start, pack
from saros.model.values import NULL, Json

from ..wire.commands import NS
from ..wire.operations import EVENTS, HUNG, MARKS, RELEASED
from ..wire.payloads import (
    CONTEXT,
    MESSAGES,
    SECRET,
    SENDER,
    TRACE,
    carried_cancels,
    header,
    json_array,
    to_json,
)

log = logging.getLogger("saros.temporal")

_BY_POLICY: Final = (
    ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_RETRY,
    ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE,
)
_MAIL_ONCE: Final = "saros.mail-once"
"""The patch without which such a run gets the messages again: older workers may have begun it."""


class InputState(Protocol):
    """The part of the workflow that reading a start uses; see `WorkflowState`."""

    info: Info
    pid: str
    now: int
    random: Random


class StartInput(NamedTuple):
    """The content of a workflow's start.

    `starter` is the JSON of the pid of whoever started it, empty when it is not known; `secret` holds random bits of
    whoever started it, `trace` the carrier that it gave; `canceled` tells whether CANCEL is among the events, and
    `takes_no_other` whether the program gets no other: a replay of runs that older workers began must not differ.
    """

    events: list[Event]
    starter: Json
    secret: str
    trace: str
    canceled: bool
    takes_no_other: bool


def read_start(
    job: InitializeWorkflow, entry: Entry, state: InputState, patched: Callable[[str], bool]
) -> StartInput:
    """Return START, the messages that came with the start, and CANCEL if the previous run has not met it.

    :raises Error: INVALID for arguments that are not valid data.
    """
    headers = job.headers
    start = Start(
        json_array(job.arguments),
        Raw(header(headers, CONTEXT, bytes(EMPTY))),
        Raw(pack(_info(state.info, headers))),
        state.pid,
        entry.id,
        str(state.random.getrandbits(64)),
    )
    messages = msgspec.json.decode(header(headers, MESSAGES, b"[]"), type=list[Message])
    # A cron schedule and a retry policy hand the headers on, but the first of those runs got the messages.
    if messages and job.continued_initiator in _BY_POLICY and patched(_MAIL_ONCE):
        messages = []
    mail = [Event(MESSAGE, 0, pack(message), state.now) for message in messages]
    cancels, only = carried_cancels(headers)
    mail += [Event(CANCEL, 0, pack(cancel), state.now) for cancel in cancels]
    return StartInput(
        [Event(START, 0, pack(start), state.now), *mail],
        header(headers, SENDER, b""),
        msgspec.json.decode(header(headers, SECRET, b'""'), type=str),
        # A cron schedule and a retry policy hand the headers on; a run that follows another has its own trace.
        "" if state.info.continued_run_id else msgspec.json.decode(header(headers, TRACE, b'""'), type=str),
        bool(cancels),
        only,
    )


def _info(info: Info, headers: Mapping[str, Payload]) -> dict[str, Any]:
    parent = None
    if info.parent is not None:
        parent = msgspec.json.decode(header(headers, SENDER, b'""'), type=str)
        parent = parent or str(Pid("default", info.parent.workflow_id))
    found = {
        "workflow_id": info.workflow_id,
        "run_id": info.run_id,
        "workflow_type": info.workflow_type,
        "task_queue": info.task_queue,
        "namespace": info.namespace,
        "attempt": info.attempt,
        "start_time": int(info.start_time.timestamp() * NS),
        "parent": parent,
        "search_attributes": _search(info),
        "first_run_id": info.first_execution_run_id,
        "continued_from": info.continued_run_id,
    }
    return {key: item for key, item in found.items() if item is not None}


def _search(info: Info) -> Raw | None:
    pairs = info.typed_search_attributes.search_attributes
    return Raw(values.encode({pair.key.name: pair.value for pair in pairs})) if pairs else None


def check_blocked(jobs: Sequence[WorkflowActivationJob], id: str) -> None:
    """Refuse an activation of workflow `id` when the workflow has blocked its workers.

    Temporal gives a task whose worker has died to the next one, again and again. So before its process ends (see
    `saros_temporal.worker.blocked`) the worker sends the workflow the signal `HUNG`. It is in the activation that
    the next worker gets, together with what it would run.

    :raises Error: when it has ended too many workers; that fails the task, and the workflow waits.
    """
    times = 0
    for job in jobs:
        name = job.signal_workflow.signal_name if job.HasField("signal_workflow") else ""
        times = 0 if name == RELEASED else times + (name == HUNG)
    if times >= MAX_HANGS:
        message = f"{id} has blocked {times} workers, which were ended; it waits to be released"
        raise Error(message, INTERNAL, hint="repair the code, then `saros release`")


def event_of(job: SignalWorkflow, info: Info) -> tuple[str, int, Json] | None:
    """Return a signal as an event: op, ref and body; None if it is dropped because it is not valid data."""
    name = job.signal_name
    if name in MARKS:
        return None
    try:
        op = EVENTS.get(name)
        if op is not None:
            return op, 0, to_json(job.input[0]) if job.input else NULL
        sender = msgspec.json.decode(header(job.headers, SENDER, b'""'), type=str)
        return MESSAGE, 0, pack(Message(name, sender, json_array(job.input)))
    except (Error, msgspec.MsgspecError) as error:
        log.error("the signal %s of the workflow %s is dropped: %s", name, info.workflow_id, error)
        return None
