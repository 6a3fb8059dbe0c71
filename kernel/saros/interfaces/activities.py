"""Activities: calls of functions, attempted until one ends well or no more may follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from ..model.raw import ABSENT
from ..model.records import Call
from ..model.values import Json


class Activities(Protocol):
    """Calls of functions."""

    def schedule(self, ref: int, call: Call) -> None: ...

    def cancel(self, ref: int) -> None:
        """Cancel a call. A call that has ended is not affected."""
        ...


class CallTask(msgspec.Struct, omit_defaults=True):
    """A call on its way to a worker. `id`, `run_id` and `ref` name it."""

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


class CallLease(NamedTuple):
    """One attempt of a call, leased to one worker."""

    task: CallTask
    token: str
    now: int


class Settled(NamedTuple):
    """The end of a call's attempt.

    With `retry_in` (nanoseconds) another one follows, unless the call is closed before that (`TO_CLOSE`).
    """

    lease: CallLease
    outcome: Json  # an `Outcome`
    retry_in: int | None = None


class ActivityStore(Protocol):
    """The store's part: a queue of tasks for each task queue, and the leases of attempts."""

    async def take_calls(self, queues: Sequence[str], limit: int) -> list[CallLease]:
        """Lease calls for an attempt; blocks until there is at least one."""
        ...

    async def settle(self, results: Sequence[Settled]) -> None:
        """End attempts. A result of an attempt that no longer counts is dropped."""
        ...

    async def heartbeat(self, lease: CallLease, details: Json | None) -> bool:
        """Keep a lease and record details; True when the call has been cancelled (or is lost)."""
        ...
