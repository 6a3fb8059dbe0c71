"""What the SDK says, as Saros says it: in Python's logs, one line each, and nothing on stdout.

The SDK's core writes to stdout by itself, and repeats itself for each of its pollers while the server is away. Its
Python part logs each failed attempt of a function with a traceback of its own frames, although the function's error
is a result like others, which the workflow gets.
"""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import timedelta
from functools import cache
from typing import Final

from temporalio.client import Client
from temporalio.exceptions import FailureError
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError, RPCStatusCode

from .client import Target
from .refusals import rpc_error

log = logging.getLogger("saros.temporal")

CHECK_S: Final = 5.0
"""How often a worker asks whether the server is there."""

_MISMATCH: Final = re.compile(
    r"'run_id': '([^']*)'.*?message: \"(\[TMPRL1100\] (?:[^\"\\]|\\.)*)\"", re.DOTALL
)
_AWAY: Final = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)
_NOISE: Final = ("gRPC call ", "activity_failure_include_heartbeat")


@cache
def prepare() -> None:
    """Have the SDK log to the logger ``temporalio``; a runtime that somebody has set before stays."""
    core = logging.getLogger("temporalio.core")
    core.addFilter(_said_by_core)
    forwarding = LogForwardingConfig(core, append_target_to_name=False, prepend_target_on_message=False)
    telemetry = TelemetryConfig(
        logging=LoggingConfig(TelemetryFilter("WARN", "ERROR"), forwarding=forwarding)
    )
    try:
        Runtime.set_default(Runtime(telemetry=telemetry))
    except RuntimeError:
        log.debug("the process has a Temporal runtime already, which keeps its own logging")
    logging.getLogger("temporalio.activity").addFilter(_said_of_activities)


def _said_by_core(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    if text.startswith("Failing workflow task"):
        mismatch = _MISMATCH.search(text)
        if mismatch is None:
            return False  # what this process has failed it has logged itself
        record.msg = f"the workflow task of the run {mismatch[1]} failed: {mismatch[2]}"
    return not any(noise in text for noise in _NOISE)


def _said_of_activities(record: logging.LogRecord) -> bool:
    raised = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    results = (FailureError, asyncio.CancelledError)
    return not (isinstance(raised, results) and "as failed" in record.getMessage())


async def watch(client: Client, target: Target) -> None:
    """Say once that the server is away, and once that it is back; until cancelled."""
    away = False
    while True:
        await asyncio.sleep(CHECK_S)
        try:
            await client.service_client.check_health(timeout=timedelta(seconds=CHECK_S))
        except RPCError as error:
            if error.status not in _AWAY:
                continue  # it answers, if only that it does not tell
            if not away:
                log.warning("%s; the worker goes on when it is back", rpc_error(error, target).message)
            away = True
        else:
            if away:
                log.warning("the Temporal server %s is back", target.address)
            away = False
