"""The one dynamic workflow, and the interceptor in which its driver lives.

The class only makes Temporal hand everything over; the interceptor knows the environment of its worker,
sees headers, and gets signals that come before the first workflow task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.worker import (
    ExecuteWorkflowInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import HandlerUnfinishedPolicy

from saros.errors import Error
from saros.program import CANCEL, EXIT, LINK_DOWN, MESSAGE, Message, pack

from .driver import Driver
from .headers import Outbound
from .payloads import ANSWER, SENDER, header, json_array_of, raw_json

if TYPE_CHECKING:
    from .environment import Environment

EVENTS = {"@exit": EXIT, "@link_down": LINK_DOWN, "@cancel": CANCEL}
"""Signals of Saros's own, whose argument is the body of the event."""


@workflow.defn(dynamic=True)
class SarosWorkflow:
    """Every workflow type."""

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> RawValue:
        raise RuntimeError("the interceptor of saros-temporal is missing in this worker")

    @workflow.signal(dynamic=True, unfinished_policy=HandlerUnfinishedPolicy.ABANDON)
    def signal(self, name: str, args: Sequence[RawValue]) -> None: ...

    @workflow.query(dynamic=True)
    def query(self, name: str, args: Sequence[RawValue]) -> RawValue: ...  # type: ignore[empty-body]

    @workflow.update(dynamic=True, unfinished_policy=HandlerUnfinishedPolicy.ABANDON)
    async def update(self, name: str, args: Sequence[RawValue]) -> RawValue: ...  # type: ignore[empty-body]


class Inbound(WorkflowInboundInterceptor):
    """Runs the driver. `environment` is set by the subclass that `inbound` makes for a worker."""

    environment: ClassVar[Environment]

    def __init__(self, next: WorkflowInboundInterceptor) -> None:
        super().__init__(next)
        self._driver = Driver(self.environment)

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(Outbound(outbound))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        return await self._driver.run(input.args[0] if input.args else [], input.headers)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        name = input.signal
        args = cast(Sequence[RawValue], input.args[1])
        try:
            op = EVENTS.get(name)
            if op is not None:
                self._driver.post(op, 0, raw_json(args[0] if args else None))
                return
            sender = msgspec.json.decode(header(input.headers, SENDER, b'""'), type=str)
            message = Message(name, sender, json_array_of(args))
        except (Error, msgspec.MsgspecError) as error:
            workflow.logger.error("the signal %s is dropped: %s", name, error)
            return
        self._driver.post(MESSAGE, 0, pack(message))

    async def handle_query(self, input: HandleQueryInput) -> Any:
        return self._driver.query(input.args[0], input.args[1], as_outcome=ANSWER in input.headers)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        """The program's own validator answers within the handler."""

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        return await self._driver.update(input.id, input.args[0], input.args[1])


def inbound(environment: Environment) -> type[Inbound]:
    """The interceptor class of one worker."""
    return type("Inbound", (Inbound,), {"environment": environment})
