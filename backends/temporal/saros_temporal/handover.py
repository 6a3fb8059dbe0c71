"""What becomes of local activities when their worker stops: another worker begins them anew.

Temporal's SDK keeps a workflow task open for its local activities, and renews it, also while the worker is to stop.
One that does not end would hold the worker, and its workflow, for as long. So when the grace is over, the worker
ends them with a failure of Saros's own. It reaches the workflow, which fails its task over it: nothing of that task
is recorded, and the next worker goes on from the last one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from anyio import CancelScope
from temporalio.bridge.proto.activity_result import ActivityResolution
from temporalio.exceptions import ApplicationError

from saros.model.errors import UNAVAILABLE, Error

T = TypeVar("T")

HANDED_OVER: Final = "saros.handed_over"
"""The type of that failure."""


class HandedOver(Error):
    """Fails a workflow task one of whose local activities has not ended before the worker did."""

    def __init__(self) -> None:
        super().__init__("its worker stops; the next one begins its local activities anew", UNAVAILABLE)


class LocalActivities:
    """The local activities that run in one worker."""

    def __init__(self) -> None:
        self._running: set[CancelScope] = set()
        self.closed = False

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one to its end.

        :raises ApplicationError: `HANDED_OVER`, when they are closed.
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
        """After the grace, stop those that run, and let no other begin."""
        await asyncio.sleep(grace_s)
        self.closed = True
        for scope in tuple(self._running):
            scope.cancel()


def _handed_over() -> ApplicationError:
    return ApplicationError("its worker stops", type=HANDED_OVER, non_retryable=True)


def check(result: ActivityResolution) -> None:
    """:raises HandedOver: when it is not the activity that has ended, but its worker."""
    if result.failed.failure.application_failure_info.type == HANDED_OVER:
        raise HandedOver
