"""The one dynamic activity: runs attempts of functions on the process host, and Saros's own requests."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

import msgspec
from anyio import CancelScope
from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from saros.interfaces.host import Attempt, Done, Host
from saros.interfaces.observer import about_call, tell_failure
from saros.interfaces.runtime import CallScope
from saros.model import values
from saros.model.errors import CANCELED as CANCELED_KIND
from saros.model.errors import INVALID, Error, ErrorData
from saros.model.raw import Raw
from saros.model.records import EMPTY, Call, Outcome
from saros.model.values import Json, error_data

from ..wire.commands import next_attempt_s
from ..wire.failures import refusal, to_failure
from ..wire.operations import HANDED_OVER, PREFIX
from ..wire.payloads import CONTEXT, MAX_PAYLOAD, TRACE, header, json_array_of, to_json, to_payload, too_large
from .system_handlers import SystemHandlers

log = logging.getLogger("saros.temporal")

LISTEN_S: Final = 2.0
"""How often an attempt without its own heartbeats checks whether it has been cancelled."""

T = TypeVar("T")


@activity.defn(dynamic=True)
async def saros_activity(args: Sequence[RawValue]) -> RawValue:
    """Every activity type."""
    raise RuntimeError("the interceptor of saros-temporal is missing in this worker")


class SarosInterceptor(Interceptor):
    """Passes a worker's activities the objects that they need.

    :param local: the local activities that run in the worker.
    """

    def __init__(self, host: Host, system: SystemHandlers, local: LocalActivities) -> None:
        self._host = host
        self._system = system
        self._local = local

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(next, self._host, self._system, self._local)


class _Inbound(ActivityInboundInterceptor):
    def __init__(
        self, next: ActivityInboundInterceptor, host: Host, system: SystemHandlers, local: LocalActivities
    ) -> None:
        super().__init__(next)
        self._host = host
        self._system = system
        self._local = local

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        work = self._execute(input)
        return await (self._local.run(work) if activity.info().is_local else work)

    async def _execute(self, input: ExecuteActivityInput) -> RawValue:
        args: Sequence[RawValue] = input.args[0] if input.args else []
        info = activity.info()
        name = info.activity_type
        try:
            if name.startswith(PREFIX):
                return await self._system.answer(name, args)
            context = Raw(header(input.headers, CONTEXT, bytes(EMPTY)))
            call = Call(name, json_array_of(args), context)
            trace = msgspec.json.decode(header(input.headers, TRACE, b'""'), type=str)
        except Error as error:
            raise refusal(error_data(error)) from error
        return await _Run(self._host, call, info, self._local, trace).result()


class _Run:
    """One attempt of one function."""

    def __init__(
        self, host: Host, call: Call, info: activity.Info, local: LocalActivities, trace: str
    ) -> None:
        self._host = host
        self._trace = trace
        self._local = local
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
        outcome = msgspec.json.decode(self._ended.result(), type=Outcome)
        if outcome.err is not None:
            self._tell(outcome.err)
        return _settled(outcome, canceled)

    def _tell(self, error: ErrorData) -> None:
        """Log a failure. Whether another attempt follows the server decides, by the same policy."""
        delay = next_attempt_s(self._info.retry_policy, self._info.attempt, error)
        tell_failure(log, self._call.target, _described(self._info), error, delay)

    async def _wait(self, attempt: Attempt) -> bool:
        """Wait for the end; return whether the attempt was cancelled before."""
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
        host = self._host
        try:
            entry = host.deployment.registry.callable(self._call.target)
        except Error as error:  # given back at once: only this app's own worker would know it
            raise refusal(error_data(error)) from error
        scope = host.attempts.scope(_described(self._info), self._call)
        scope.heartbeat = self._heartbeat
        if log.isEnabledFor(logging.DEBUG):
            about = about_call(scope, self._call.target)
            log.debug("%s for %s starts", self._call.target, self._info.workflow_id, extra=about)
        try:
            return host.attempts.start(entry, self._call, scope, self._observed(scope))
        except Error as error:
            self._tell(error_data(error))
            raise to_failure(error_data(error)) from error

    def _observed(self, scope: CallScope) -> Done:
        observer = self._host.deployment.observer
        if observer is None:
            return self._done
        return observer.attempt(self._call.target, scope, self._trace, self._done)

    def _done(self, outcome: Json) -> None:
        if not self._ended.done():
            self._ended.set_result(outcome)

    def _may_go_on(self) -> bool:
        """Whether the outcome of a cancelled attempt counts; nobody waits for one that timed out or was lost."""
        if self._info.is_local and self._local.closed:
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
        """Send heartbeats for an attempt that sends none: only their replies report a cancellation."""
        if self._info.is_local or self._info.heartbeat_timeout:
            return lambda: None
        timer: list[asyncio.TimerHandle] = []

        def beat() -> None:
            self._beat()
            timer[:] = [self._loop.call_later(LISTEN_S, beat)]

        timer.append(self._loop.call_later(LISTEN_S, beat))
        return lambda: timer[0].cancel()


def _described(info: activity.Info) -> dict[str, Any]:
    """Return the information that an activity's code can read about itself."""
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
    if isinstance(details, RawValue):
        with contextlib.suppress(Error):
            return to_json(details.payload)
        return values.NULL
    return values.encode(details)


def _settled(found: Outcome, canceled: bool) -> RawValue:
    if found.err is None:
        size = len(found.ok)
        if size > MAX_PAYLOAD:
            raise to_failure(ErrorData(too_large(size), INVALID, False))
        return RawValue(to_payload(found.ok or b"null"))
    if found.err.kind == CANCELED_KIND and canceled:
        raise asyncio.CancelledError(found.err.message)
    raise to_failure(found.err)


# --- local activities -----------------------------------------------------------------------------


class LocalActivities:
    """The local activities that run in one worker, and their end when the worker stops.

    Temporal's SDK keeps a workflow task open for its local activities, and renews it, even while the worker stops. An
    activity that does not end would hold the worker, and its workflow, for as long. So when the grace is over, the
    worker ends them with a failure of Saros's own. It reaches the workflow, which fails its task: nothing of that
    task is recorded, and the next worker goes on from the last one.
    """

    def __init__(self) -> None:
        self._running: set[CancelScope] = set()
        self.closed = False

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a local activity to its end.

        :raises ApplicationError: of the type `HANDED_OVER`, when they are closed.
        """
        if self.closed:
            work.close()
            raise _handed_over()
        scope = CancelScope()
        self._running.add(scope)
        try:
            with scope:
                return await work
        finally:
            self._running.discard(scope)
        raise _handed_over()

    async def close(self, grace_s: float) -> None:
        """After the grace period, stop the running ones, and let no other start."""
        await asyncio.sleep(grace_s)
        self.closed = True
        for scope in tuple(self._running):
            scope.cancel()


def _handed_over() -> ApplicationError:
    return ApplicationError("its worker is stopping", type=HANDED_OVER, non_retryable=True)
