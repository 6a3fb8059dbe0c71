"""Activities: functions that workers run, attempted until one succeeds or no further attempt is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from ..model.raw import ABSENT
from ..model.records import Call
from ..model.values import Json


class Activities(Protocol):
    """Schedules functions to run as activities."""

    def schedule(self, ref: int, call: Call) -> None: ...

    def cancel(self, ref: int) -> None:
        """Cancel an activity. One that has ended is not affected."""
        ...


class ActivityTask(msgspec.Struct, omit_defaults=True):
    """An activity on its way to a worker. `id`, `run_id` and `ref` name it."""

    id: str
    run_id: str
    ref: int
    task_queue: str
    pid: str  # of the caller
    type: str  # of the calling workflow
    call: Call
    scheduled: int = 0
    attempt: int = 1
    heartbeat: msgspec.Raw = ABSENT  # the details that the last attempt recorded
    trace: str = ""  # the carrier of its run, for observers


class ActivityLease(NamedTuple):
    """One attempt of an activity, leased to one worker."""

    task: ActivityTask
    token: str
    now: int


class Settled(NamedTuple):
    """The end of an activity's attempt.

    With `retry_in` (nanoseconds) another attempt follows, unless the activity is closed first (`TO_CLOSE`).
    """

    lease: ActivityLease
    outcome: Json  # an `Outcome`
    retry_in: int | None = None


class ActivityStore(Protocol):
    """The store's part: a queue of tasks for each task queue, and the leases of attempts."""

    async def take_activities(self, queues: Sequence[str], limit: int) -> list[ActivityLease]:
        """Lease activities, one attempt each; block until there is at least one."""
        ...

    async def settle(self, results: Sequence[Settled]) -> None:
        """End attempts. The result of an attempt that no longer counts is dropped."""
        ...

    async def heartbeat(self, lease: ActivityLease, details: Json | None) -> bool:
        """Extend a lease and record details; True if the activity has been cancelled (or its lease is lost)."""
        ...
