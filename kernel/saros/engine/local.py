"""Local activities: calls that run inside their workflow's own task, without a queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import Error
from ..execution import Run
from ..host import Attempts
from ..program import Outcome, pack
from ..values import Json, error_data
from .retry import call_info, failure_of, next_delay_ms, start_limited
from .transition import LocalCall

MS = 1_000_000
PATIENCE_S = 1.0
"""A workflow task waits this long for its local calls; what takes longer posts its result."""

Post = Callable[[LocalCall, Json], None]


class LocalCalls:
    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts

    def now(self) -> int:
        return self._attempts.host.clock.now()

    async def run(self, run: Run, calls: Sequence[LocalCall], late: Post) -> list[tuple[LocalCall, Json]]:
        """Run calls side by side; give those that are done as soon as one is, or none after `PATIENCE_S`.

        Results that come after this returned go to `late`.
        """
        loop = asyncio.get_running_loop()
        first: asyncio.Future[None] = loop.create_future()
        done: list[tuple[LocalCall, Json]] = []
        returned = False

        def finished(call: LocalCall, outcome: Json) -> None:
            if returned:
                late(call, outcome)
                return
            done.append((call, outcome))
            if not first.done():
                first.set_result(None)

        for call in calls:
            self._attempt(run, call, 1, self.now(), self._attempts.host.clock.steady(), finished)
        if not done:
            await asyncio.wait([first], timeout=PATIENCE_S)
        returned = True
        return done

    def _attempt(
        self, run: Run, call: LocalCall, number: int, scheduled: int, begun: int, finished: Post
    ) -> None:
        host = self._attempts.host

        def done(outcome: Json) -> None:
            failure = failure_of(outcome)
            delay = next_delay_ms(call.call.options, failure, number, host.clock.steady() - begun)
            if delay is None:
                finished(call, outcome)
                return
            host.clock.call_after(
                delay * MS, lambda: self._attempt(run, call, number + 1, scheduled, begun, finished)
            )

        info: dict[str, Any] = call_info(
            run.id, run.run_id, run.type, call.ref, run.task_queue, number, scheduled
        )
        try:
            start_limited(self._attempts, call.call, info, done)
        except Error as error:
            done(pack(Outcome(err=error_data(error))))
