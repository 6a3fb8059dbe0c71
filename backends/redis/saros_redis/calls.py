"""Activities: settling and heartbeats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from saros.interfaces.activities import ActivityLease, Settled
from saros.model.background import together
from saros.model.clock import steady_ns
from saros.model.errors import INVALID, Error
from saros.model.records import Outcome, pack
from saros.model.values import Json, error_data

from . import codec, limits
from .core import Core
from .timers import Alarm


class Calls:
    def __init__(self, core: Core, alarm: Alarm) -> None:
        self._core = core
        self._alarm = alarm

    async def settle(self, results: Sequence[Settled]) -> None:
        partitions: dict[int, list[Settled]] = defaultdict(list)
        for result in results:
            partitions[self._core.keys.partition(result.lease.task.id)].append(self._fitting(result))
        await together(*(self._settle(partition, batch) for partition, batch in partitions.items()))

    def _fitting(self, result: Settled) -> Settled:
        """The result, or the error that it is too large."""
        try:
            limits.check(result.outcome, self._core.options.payload, "the result of an activity")
        except Error as error:
            task = result.lease.task
            error = Error(f"{error.message} ({task.call.target})", INVALID, retryable=False)
            return Settled(result.lease, pack(Outcome(err=error_data(error))))
        return result

    async def _settle(self, partition: int, results: Sequence[Settled]) -> None:
        core, sent = self._core, steady_ns()
        try:
            for portion in limits.portions(results, lambda result: len(result.outcome)):
                args = [[codec.settled(result) for result in portion], core.wanted(activities=())]
                more = await core.run("settle", partition, args, core.patience)
                for result in portion:
                    if result.retry_in is not None:
                        self._alarm.set(sent + result.retry_in)
                await core.absorb(partition, more)
        finally:  # without an answer, the leases end
            for result in results:
                core.held.drop(result.lease.token)

    async def heartbeat(self, lease: ActivityLease, details: Json | None) -> bool:
        task = lease.task
        if details is not None:
            limits.check(details, self._core.options.payload, "a heartbeat")
        args = [task.run_id, str(task.ref), lease.token, details.decode() if details else ""]
        return bool(await self._core.run("heartbeat", self._core.keys.partition(task.id), args))
