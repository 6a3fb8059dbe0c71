"""A connection to a Temporal server: connecting, the payload codec, and the logs of the SDK."""

from __future__ import annotations

import asyncio
import atexit
import dataclasses
import importlib
import logging
import os
import re
import time
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any, Final

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, HeaderCodecBehavior
from temporalio.converter import DataConverter, PayloadCodec
from temporalio.exceptions import FailureError
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError, RPCStatusCode

from saros.insight.presence import identity
from saros.model.errors import INVALID, Error

from .carrying import Carrying
from .errors import no_answer, rpc_error, unreachable
from .target import Target

log = logging.getLogger("saros.temporal")

CODEC: Final = "SAROS_TEMPORAL_CODEC"
"""The environment variable that names a payload codec."""
CHECK_S: Final = 5.0
"""The interval at which a worker checks that the server is reachable."""

_MISMATCH: Final = re.compile(
    r"'run_id': '([^']*)'.*?message: \"(\[TMPRL1100\] (?:[^\"\\]|\\.)*)\"", re.DOTALL
)
_AWAY: Final = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)
_NOISE: Final = ("gRPC call ", "activity_failure_include_heartbeat")


async def connect(target: Target, converter: DataConverter) -> Client:
    """Connect a client, and check that its namespace exists.

    :raises Error: UNAVAILABLE, NOT_FOUND or PERMISSION_DENIED, naming server, namespace or certificate.
    """
    _guard_exit()
    codec = converter.payload_codec is not None
    try:
        async with asyncio.timeout(target.timeout_s):
            client = await Client.connect(
                target.address,
                namespace=target.namespace,
                identity=identity(),
                tls=target.tls,
                api_key=target.api_key,
                data_converter=converter,
                interceptors=[Carrying()],
                keep_alive_config=target.keep_alive,
                connect_timeout=timedelta(seconds=target.timeout_s),
                header_codec_behavior=HeaderCodecBehavior.CODEC if codec else HeaderCodecBehavior.NO_CODEC,
            )
            await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=target.namespace)
            )
    except TimeoutError as error:
        raise no_answer(target) from error
    except RPCError as error:
        raise rpc_error(error, target) from error
    except (RuntimeError, ValueError) as error:
        raise unreachable(target, str(error)) from error
    return client


@cache
def _guard_exit() -> None:
    """Give the bridge's threads a moment at exit: a thread that still resolves a future would abort the process."""
    atexit.register(time.sleep, 0.1)


# --- payload codecs -------------------------------------------------------------------------------


def data_converter(options: Mapping[str, Any]) -> DataConverter:
    """Return the data converter of a backend: the SDK's default one, with the payload codec of the options.

    A codec (compression, encryption) is any `temporalio.converter.PayloadCodec`. The option ``codec`` holds one, or
    ``SAROS_TEMPORAL_CODEC`` names a ``package.module:callable`` that makes one.

    :raises Error: INVALID when the codec cannot be loaded.
    """
    codec = options.get("codec") or os.environ.get(CODEC)
    if codec is None or codec == "":
        return DataConverter.default
    if isinstance(codec, str):
        codec = _load(codec)
    if not isinstance(codec, PayloadCodec):
        raise Error(f"{codec!r} is not a temporalio PayloadCodec", INVALID, retryable=False)
    return dataclasses.replace(DataConverter.default, payload_codec=codec)


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)()
    except Exception as exc:  # a user's code, and any mistake in its name
        raise Error(
            f"cannot make the payload codec {path}: {type(exc).__name__}: {exc}",
            INVALID,
            retryable=False,
            hint=f"{CODEC} must be package.module:callable, and the callable must return a PayloadCodec",
        ) from exc


# --- what the SDK logs ----------------------------------------------------------------------------
#
# The SDK's core writes to stdout by itself, and repeats itself for each of its pollers while the server is
# unavailable. Its Python part logs each failed attempt of a function with a traceback of SDK frames, although the
# error is an ordinary result for the workflow.


@cache
def prepare_runtime() -> None:
    """Make the SDK log to the logger ``temporalio``; a runtime that was set before stays."""
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
            return False  # this process has logged its own failures itself
        record.msg = f"the workflow task of the run {mismatch[1]} failed: {mismatch[2]}"
    return not any(noise in text for noise in _NOISE)


def _said_of_activities(record: logging.LogRecord) -> bool:
    raised = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    results = (FailureError, asyncio.CancelledError)
    return not (isinstance(raised, results) and "as failed" in record.getMessage())


async def watch_server(client: Client, target: Target) -> None:
    """Until cancelled, log once when the server becomes unavailable, and once when it is back."""
    away = False
    while True:
        await asyncio.sleep(CHECK_S)
        try:
            await client.service_client.check_health(timeout=timedelta(seconds=CHECK_S))
        except RPCError as error:
            if error.status not in _AWAY:
                continue  # the server answers, even though it refuses
            if not away:
                log.warning("%s; the worker continues when it is back", rpc_error(error, target).message)
            away = True
        else:
            if away:
                log.warning("the Temporal server %s is back", target.address)
            away = False
