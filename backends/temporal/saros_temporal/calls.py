"""The ports of activities and timers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from temporalio import common, workflow
from temporalio.common import RawValue
from temporalio.exceptions import FailureError
from temporalio.workflow import ActivityCancellationType

from saros.errors import TIMEOUT
from saros.program import Call, CallOptions, Outcome, RetryPolicy, pack

from .failures import CANCELED_ERROR, TIMEOUT_NAMES, outcome_of, settled
from .headers import outgoing
from .payloads import CONTEXT, raw_values

if TYPE_CHECKING:
    from .driver import Driver

_MIN_TIMER_NS: Final = 1_000_000
_NO_HEADERS: Final[dict[str, bytes]] = {}


def span(ms: int) -> timedelta | None:
    """A duration option; 0 means none."""
    return timedelta(milliseconds=ms) if ms else None


@lru_cache(maxsize=256)
def retry_policy(policy: RetryPolicy) -> common.RetryPolicy:
    """Temporal's form of a policy. The kind Timeout is several names there."""
    names = set(policy.non_retryable_error_types)
    if TIMEOUT in names:
        names |= TIMEOUT_NAMES
    return common.RetryPolicy(
        timedelta(milliseconds=policy.initial_interval),
        policy.backoff_coefficient,
        timedelta(milliseconds=max(policy.maximum_interval, policy.initial_interval)),
        policy.maximum_attempts,
        sorted(names) or None,
    )


class Calls:
    """Activities of one workflow."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._running: dict[int, workflow.ActivityHandle[RawValue]] = {}
        self._fresh: set[int] = set()  # scheduled in this very step of the event loop
        self._waits: set[int] = set()

    def schedule(self, ref: int, call: Call) -> None:
        driver = self._driver
        if not driver.fits(ref, len(call.args)):
            return
        deployment = driver.env.deployment
        entry = deployment.registry.get(call.target)
        options = call.options
        args = raw_values(call.args)
        headers = {CONTEXT: bytes(call.context)} if call.context != b"{}" else _NO_HEADERS
        with outgoing(headers):
            if deployment.is_local(entry, options):
                self.watch(ref, start_local(call.target, args, options), options.wait_for_cancellation)
                return
            queue = deployment.call_queue(entry, options, workflow.info().task_queue)
            handle = workflow.start_activity(
                call.target,
                args=args,
                task_queue=queue,
                result_type=RawValue,
                schedule_to_close_timeout=span(options.schedule_to_close_timeout),
                schedule_to_start_timeout=span(options.schedule_to_start_timeout),
                start_to_close_timeout=span(options.start_to_close_timeout),
                heartbeat_timeout=span(options.heartbeat_timeout),
                retry_policy=retry_policy(options.retry_policy),
                cancellation_type=_cancellation(options),
                activity_id=options.id or None,
            )
        self.watch(ref, handle, options.wait_for_cancellation)

    def watch(
        self,
        ref: int,
        handle: workflow.ActivityHandle[RawValue],
        patient: bool = False,
        done: Callable[[bytes], None] | None = None,
    ) -> None:
        """Settle the command `ref` (or call `done`) when the activity has ended."""
        if ref:
            self._running[ref] = handle
            self._fresh.add(ref)
            if patient:
                self._waits.add(ref)
            asyncio.get_running_loop().call_soon(self._fresh.discard, ref)
        handle.add_done_callback(partial(self._ended, ref, done))

    def _ended(self, ref: int, done: Callable[[bytes], None] | None, task: Any) -> None:
        self._running.pop(ref, None)
        self._waits.discard(ref)
        if task.cancelled():
            return  # an eviction, or never begun
        raised = task.exception()
        if raised is None:
            outcome = settled(task.result())
        elif isinstance(raised, FailureError):
            outcome = outcome_of(raised)
        elif isinstance(raised, Exception):
            self._driver.fail_task(raised)
            return
        else:
            return  # how the SDK ends what runs when it evicts
        if done is not None:
            done(outcome)
        else:
            self._driver.settle(ref, outcome)

    def cancel(self, ref: int) -> bool:
        handle = self._running.get(ref)
        if handle is None:
            return False
        if ref in self._fresh and ref in self._waits:
            self._driver.settle(ref, pack(Outcome(err=CANCELED_ERROR)))
        handle.cancel()
        return True


def start_local(name: str, args: list[RawValue], options: CallOptions) -> workflow.ActivityHandle[RawValue]:
    """Start a local activity; long waits between attempts become timers."""
    handle: workflow.ActivityHandle[RawValue] = workflow.start_local_activity(
        name,
        args=args,
        result_type=RawValue,
        schedule_to_close_timeout=span(options.schedule_to_close_timeout),
        start_to_close_timeout=span(options.start_to_close_timeout),
        retry_policy=retry_policy(options.retry_policy),
        cancellation_type=_cancellation(options),
        activity_id=options.id or None,
    )
    return handle


def _cancellation(options: CallOptions) -> ActivityCancellationType:
    if options.wait_for_cancellation:
        return ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
    return ActivityCancellationType.TRY_CANCEL


class Timers:
    """Durable timers of one workflow."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._waiting: dict[int, asyncio.TimerHandle] = {}

    def start(self, ref: int, ns: int) -> None:
        seconds = max(ns, _MIN_TIMER_NS) / 1e9
        self._waiting[ref] = asyncio.get_running_loop().call_later(seconds, self._fire, ref)

    def _fire(self, ref: int) -> None:
        if self._waiting.pop(ref, None) is not None:
            self._driver.settle(ref, b"{}")

    def cancel(self, ref: int) -> bool:
        timer = self._waiting.pop(ref, None)
        if timer is None:
            return False
        timer.cancel()
        return True
