"""Activities: the ends of attempts, and heartbeats. Readers take activities (see `saros_redis.leases`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from saros.interfaces.activities import ActivityLease, Settled
from saros.interfaces.store import check_size
from saros.model.background import together
from saros.model.clock import steady_ns
from saros.model.errors import INVALID, Error
from saros.model.records import Outcome, pack
from saros.model.values import Json, error_data

from .. import codec, limits
from ..leases.intake import Intake
from ..leases.leases import Leases
from ..server.partitions import Partitions
from .deadlines import Alarm


class ActivityResults:
    """:param alarm: is notified of retries.
    :param payload: the largest value, in bytes.
    """

    def __init__(
        self, partitions: Partitions, leases: Leases, intake: Intake, alarm: Alarm, payload: int
    ) -> None:
        self._partitions = partitions
        self._leases = leases
        self._intake = intake
        self._payload = payload
        self._alarm = alarm

    async def settle(self, results: Sequence[Settled]) -> None:
        partitions: dict[int, list[Settled]] = defaultdict(list)
        for result in results:
            partitions[self._partitions.keys.partition(result.lease.task.id)].append(self._fitting(result))
        await together(*(self._settle(partition, batch) for partition, batch in partitions.items()))

    def _fitting(self, result: Settled) -> Settled:
        """Return the result, or an error if it is too large."""
        try:
            check_size(result.outcome, self._payload, "the result of an activity")
        except Error as error:
            task = result.lease.task
            error = Error(f"{error.message} ({task.call.target})", INVALID, retryable=False)
            return Settled(result.lease, pack(Outcome(err=error_data(error))))
        return result

    async def _settle(self, partition: int, results: Sequence[Settled]) -> None:
        scripts, sent = self._partitions, steady_ns()
        try:
            for portion in limits.portions(results, lambda result: len(result.outcome)):
                args = [[codec.settled(result) for result in portion], self._intake.wanted(activities=())]
                more = await scripts.run("settle", partition, args, scripts.patience)
                for result in portion:
                    if result.retry_in is not None:
                        self._alarm.set(sent + result.retry_in)
                await self._intake.absorb(partition, more)
        finally:  # without an answer, the leases expire
            for result in results:
                self._leases.drop(result.lease.token)

    async def heartbeat(self, lease: ActivityLease, details: Json | None) -> bool:
        task = lease.task
        if details is not None:
            check_size(details, self._payload, "a heartbeat")
        args = [task.run_id, str(task.ref), lease.token, details.decode() if details else ""]
        return bool(await self._partitions.run("heartbeat", self._partitions.keys.partition(task.id), args))
