"""Signals as events: messages, and what Saros tells workflows in the same way."""

from __future__ import annotations

import logging
from typing import Final

import msgspec
from temporalio.bridge.proto.workflow_activation import SignalWorkflow
from temporalio.workflow import Info

from saros.model.errors import Error
from saros.model.records import CANCEL, EXIT, LINK_DOWN, MESSAGE, Message, pack
from saros.model.values import NULL, Json

from .hung import MARKS
from .payloads import SENDER, header, json_array, to_json

log = logging.getLogger("saros.temporal")

EVENTS: Final = {"@exit": EXIT, "@link_down": LINK_DOWN, "@cancel": CANCEL}
"""Signals of Saros's own, whose argument is the body of the event."""


def event_of(job: SignalWorkflow, info: Info) -> tuple[str, int, Json] | None:
    """The event that a signal is: op, ref and body; None for one that is dropped, since it is no data."""
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
