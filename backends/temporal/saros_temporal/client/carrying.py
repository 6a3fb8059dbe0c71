"""Carriers of updates: which span has sent one."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

from temporalio.client import (
    Interceptor,
    OutboundInterceptor,
    StartWorkflowUpdateInput,
    WorkflowUpdateHandle,
)

from saros.model.records import pack

from ..wire.payloads import TRACE, to_payload

carrier: Final = ContextVar("carrier", default="")
"""That of the update that is being sent."""


class Carrying(Interceptor):
    """Adds the carrier of an update to its headers, for which the SDK has no argument."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _Carrying(next)


class _Carrying(OutboundInterceptor):
    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
        trace = carrier.get()
        if trace:  # the SDK encodes headers, where a codec is set
            input.headers = {**input.headers, TRACE: to_payload(pack(trace))}
        return await super().start_workflow_update(input)
