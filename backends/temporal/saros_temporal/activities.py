"""The one dynamic activity: runs attempts of functions on the process host, and Saros's own requests."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from temporalio import activity
from temporalio.common import RawValue
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from saros.interfaces.host import Attempt
from saros.model.errors import CANCELED as CANCELED_KIND
from saros.model.errors import INVALID, Error, ErrorData
from saros.model.raw import Raw
from saros.model.records import EMPTY, Call, Outcome
from saros.model.values import Json, error_data

from .failures import refusal, to_failure
from .payloads import CONTEXT, MAX_PAYLOAD, header, json_array_of, to_json, to_payload, too_large
from .requests import Requests
from .system import PREFIX

if TYPE_CHECKING:
    from .environment import Environment

LISTEN_S: Final = 2.0
"""How often an attempt without heartbeats of its own asks whether it has been cancelled."""


@activity.defn(dynamic=True)
async def saros_activity(args: Sequence[RawValue]) -> RawValue:
    """Every activity type."""
    raise RuntimeError("the interceptor of saros-temporal is missing in this worker")


class SarosInterceptor(Interceptor):
    """Brings the environment of a worker to its activities."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._requests = Requests(environment)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(next, self._environment, self._requests)


class _Inbound(ActivityInboundInterceptor):
    def __init__(
        self, next: ActivityInboundInterceptor, environment: Environment, requests: Requests
    ) -> None:
        super().__init__(next)
        self._environment = environment
        self._requests = requests

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        work = self._execute(input)
        return await (self._environment.local.run(work) if activity.info().is_local else work)

    async def _execute(self, input: ExecuteActivityInput) -> RawValue:
        args: Sequence[RawValue] = input.args[0] if input.args else []
        info = activity.info()
        name = info.activity_type
        try:
            if name.startswith(PREFIX):
                return await self._requests.answer(name, args)
            context = Raw(header(input.headers, CONTEXT, bytes(EMPTY)))
            call = Call(name, json_array_of(args), context)
        except Error as error:
            raise refusal(error_data(error)) from error
        return await _Run(self._environment, call, info).result()


class _Run:
    """One attempt of one function."""

    def __init__(self, environment: Environment, call: Call, info: activity.Info) -> None:
        self._environment = environment
        self._call = call
        self._info = info
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._context = contextvars.copy_context()
        self._ended: asyncio.Future[Json] = self._loop.create_future()
        self._details: tuple[RawValue, ...] = ()

    async def result(self) -> RawValue:
        attempt = self._start()
        canceled = not self._ended.done() and await self._wait(attempt)
        return _settled(self._ended.result(), canceled)

    async def _wait(self, attempt: Attempt) -> bool:
        """Wait for the end; gives whether the attempt was cancelled before."""
        listening = self._listen()
        canceled = False
        try:
            while not self._ended.done():
                try:
                    await asyncio.shield(self._ended)
                except asyncio.CancelledError:
                    if not self._may_go_on():
                        attempt.abandon()
                        raise
                    canceled = True
                    attempt.cancel()
        finally:
            listening()
        return canceled

    def _start(self) -> Attempt:
        host = self._environment.host
        if host is None:
            raise RuntimeError("this worker replays only")
        try:
            entry = host.deployment.registry.callable(self._call.target)
        except Error as error:  # given back at once: only this app's own worker would know it
            raise refusal(error_data(error)) from error
        scope = host.attempts.scope(_described(self._info), self._call)
        scope.heartbeat = self._heartbeat
        try:
            return host.attempts.start(entry, self._call, scope, self._done)
        except Error as error:
            raise to_failure(error_data(error)) from error

    def _done(self, outcome: Json) -> None:
        if not self._ended.done():
            self._ended.set_result(outcome)

    def _may_go_on(self) -> bool:
        """Whether a cancelled attempt may say itself how it ends: nobody hears one that timed out or was lost."""
        if self._info.is_local and self._environment.local.closed:
            return False
        details = activity.cancellation_details()
        return details is not None and (details.cancel_requested or details.paused or details.reset)

    def _heartbeat(self, details: Json) -> None:
        """Called from any thread."""
        self._details = (RawValue(to_payload(details)),)
        if self._info.is_local:
            return
        if self._here():
            self._beat()
        else:
            self._loop.call_soon_threadsafe(self._beat)

    def _here(self) -> bool:
        return threading.get_ident() == self._thread

    def _beat(self) -> None:
        if not self._ended.done():
            self._context.copy().run(activity.heartbeat, *self._details)

    def _listen(self) -> Callable[[], None]:
        """Beat now and then for an attempt that promised no heartbeats, or it would not hear of a cancellation."""
        if self._info.is_local or self._info.heartbeat_timeout:
            return lambda: None
        timer: list[asyncio.TimerHandle] = []

        def beat() -> None:
            self._beat()
            timer[:] = [self._loop.call_later(LISTEN_S, beat)]

        timer.append(self._loop.call_later(LISTEN_S, beat))
        return lambda: timer[0].cancel()


def _described(info: activity.Info) -> dict[str, Any]:
    """What an activity's code is told about itself."""
    found: dict[str, Any] = {
        "activity_id": info.activity_id,
        "attempt": info.attempt,
        "workflow_id": info.workflow_id,
        "run_id": info.workflow_run_id,
        "workflow_type": info.workflow_type,
        "task_queue": info.task_queue,
        "scheduled_time": int(info.scheduled_time.timestamp() * 1e9),
    }
    if info.heartbeat_details:
        found["heartbeat_details"] = Raw(_details_json(info.heartbeat_details[0]))
    return found


def _details_json(details: Any) -> Json:
    from saros.model import values

    if isinstance(details, RawValue):
        with contextlib.suppress(Error):
            return to_json(details.payload)
        return values.NULL
    return values.encode(details)


def _settled(outcome: Json, canceled: bool) -> RawValue:
    found = msgspec.json.decode(outcome, type=Outcome)
    if found.err is None:
        size = len(found.ok)
        if size > MAX_PAYLOAD:
            raise to_failure(ErrorData(too_large(size), INVALID, False))
        return RawValue(to_payload(found.ok or b"null"))
    if found.err.kind == CANCELED_KIND and canceled:
        raise asyncio.CancelledError(found.err.message)
    raise to_failure(found.err)
