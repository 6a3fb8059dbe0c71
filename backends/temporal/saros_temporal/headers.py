"""Headers of what a workflow starts and sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import NoReturn

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.worker import (
    ContinueAsNewInput,
    SignalExternalWorkflowInput,
    StartActivityInput,
    StartChildWorkflowInput,
    StartLocalActivityInput,
    WorkflowOutboundInterceptor,
)

from saros.values import Json

from .payloads import to_payload

_NONE: Mapping[str, Payload] = {}
_current: ContextVar[Mapping[str, Payload]] = ContextVar("saros_headers", default=_NONE)


@contextmanager
def outgoing(headers: Mapping[str, Json]) -> Iterator[None]:
    """What is started or sent within gets these headers."""
    if not headers:
        yield
        return
    token = _current.set({key: to_payload(json) for key, json in headers.items()})
    try:
        yield
    finally:
        # The coroutines of an evicted workflow end in another context, which has nothing to reset.
        with suppress(ValueError):
            _current.reset(token)


class Outbound(WorkflowOutboundInterceptor):
    """Adds the headers."""

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        input.headers = {**input.headers, **_current.get()}
        self.next.continue_as_new(input)

    async def signal_external_workflow(self, input: SignalExternalWorkflowInput) -> None:
        input.headers = {**input.headers, **_current.get()}
        await self.next.signal_external_workflow(input)

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[object]:
        input.headers = {**input.headers, **_current.get()}
        return self.next.start_activity(input)

    def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[object]:
        input.headers = {**input.headers, **_current.get()}
        return self.next.start_local_activity(input)

    async def start_child_workflow(
        self, input: StartChildWorkflowInput
    ) -> workflow.ChildWorkflowHandle[object, object]:
        input.headers = {**input.headers, **_current.get()}
        return await self.next.start_child_workflow(input)
