"""Workflow tasks: commit and park. Readers take them (see `saros_redis.leases`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from saros.interfaces.history import WorkflowTask
from saros.interfaces.store import FENCED, OK, Commit, too_large
from saros.model.background import together
from saros.model.clock import steady_ns
from saros.model.errors import Error
from saros.model.timing import SECOND

from .. import codec
from ..leases.intake import Intake
from ..leases.leases import Leases
from ..limits import portions, work_of
from ..server.partitions import Partitions
from .deadlines import Alarm

REFUSED_NS: Final = 60 * SECOND
"""How long a task is parked when its commit is too large."""


class WorkflowTasks:
    """:param alarm: is notified of new deadlines.
    :param consumer: the name of this process in the consumer groups.
    :param payload: the largest value, in bytes.
    """

    def __init__(
        self,
        partitions: Partitions,
        leases: Leases,
        intake: Intake,
        alarm: Alarm,
        consumer: str,
        payload: int,
    ) -> None:
        self._partitions = partitions
        self._leases = leases
        self._intake = intake
        self._consumer = consumer
        self._payload = payload
        self._alarm = alarm

    async def commit(self, commits: Sequence[Commit]) -> list[str]:
        results: list[str] = [FENCED] * len(commits)
        partitions: dict[int, list[int]] = defaultdict(list)
        for index, commit in enumerate(commits):
            why = too_large(commit, self._payload)
            if why:
                await self._refuse(commit, why)
            else:
                partitions[self._partitions.keys.partition(commit.run.id)].append(index)
        if len(partitions) == 1:
            ((partition, indexes),) = partitions.items()
            await self._commit(partition, indexes, commits, results)
        elif partitions:
            work = [self._commit(part, indexes, commits, results) for part, indexes in partitions.items()]
            await together(*work)
        return results

    async def _commit(
        self, partition: int, indexes: Sequence[int], commits: Sequence[Commit], results: list[str]
    ) -> None:
        partitions, intake, sent = self._partitions, self._intake, steady_ns()
        try:
            for portion in portions(indexes, lambda index: work_of(commits[index])):
                batch = [codec.commit(commits[index], self._consumer) for index in portion]
                reply = await partitions.run(
                    "commit", partition, [batch, intake.wanted()], partitions.patience
                )
                verdicts, more, entries = reply
                for index, verdict, own in zip(portion, verdicts, entries, strict=True):
                    results[index] = verdict.decode()
                    if results[index] == OK:
                        self._arm(commits[index], sent)
                        intake.hold_own(partition, commits[index].leased, own)
                await intake.absorb(partition, more)
        except Error:
            self._intake.forget_tasks()
            for index in indexes:  # the caller drops what it began, although the commit may be stored
                for lease in commits[index].leased:
                    self._leases.drop(lease.token)
            raise
        finally:  # without an answer, the leases expire
            for index in indexes:
                self._leases.drop(commits[index].fence)

    def _arm(self, commit: Commit, sent: int) -> None:
        for deadline in commit.deadlines:
            self._alarm.set(sent + deadline.delay)
        if commit.close is not None and commit.close.next is not None and commit.close.next.delay:
            self._alarm.set(sent + commit.close.next.delay)

    async def _refuse(self, commit: Commit, why: str) -> None:
        await self._park(commit.run.id, commit.run.run_id, commit.fence, why, REFUSED_NS)

    async def park(self, task: WorkflowTask, problem: str, delay: int, hung: bool) -> None:
        await self._park(task.run.id, task.run.run_id, task.fence, problem, delay, hung)

    async def _park(
        self, id: str, run_id: str, fence: str, problem: str, delay: int, hung: bool = False
    ) -> None:
        partitions = self._partitions
        args = [run_id, fence, problem, codec.micros(delay) if delay >= 0 else -1, hung]
        try:
            await partitions.run("park", partitions.keys.partition(id), args, partitions.patience)
        except Error:
            self._intake.forget_tasks()
            raise
        finally:  # without an answer its lease expires, and another worker takes the task
            self._leases.drop(fence)
        self._alarm.set(steady_ns() + delay)
