"""Workflow tasks: commit and park. Taking them is reading (see `readers`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from saros.interfaces.history import WorkflowTask
from saros.interfaces.store import FENCED, OK, Commit
from saros.model.background import together
from saros.model.clock import steady_ns
from saros.model.errors import Error

from . import codec
from .core import Core
from .limits import portions, too_large, work_of
from .timers import Alarm


class Tasks:
    """:param alarm: hears of new deadlines."""

    def __init__(self, core: Core, alarm: Alarm) -> None:
        self._core = core
        self._alarm = alarm

    async def commit(self, commits: Sequence[Commit]) -> list[str]:
        results: list[str] = [FENCED] * len(commits)
        partitions: dict[int, list[int]] = defaultdict(list)
        for index, commit in enumerate(commits):
            why = too_large(commit, self._core.options.payload)
            if why:
                await self._refuse(commit, why)
            else:
                partitions[self._core.keys.partition(commit.run.id)].append(index)
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
        core, sent = self._core, steady_ns()
        try:
            for portion in portions(indexes, lambda index: work_of(commits[index])):
                batch = [codec.commit(commits[index], core.consumer) for index in portion]
                reply = await core.run("commit", partition, [batch, core.wanted()], core.patience)
                verdicts, more, entries = reply
                for index, verdict, own in zip(portion, verdicts, entries, strict=True):
                    results[index] = verdict.decode()
                    if results[index] == OK:
                        self._arm(commits[index], sent)
                        core.hold_own(partition, commits[index].leased, own)
                await core.absorb(partition, more)
        except Error:
            core.forget_tasks()
            for index in indexes:  # whoever commits gives up what it began, though this may be stored
                for lease in commits[index].leased:
                    core.held.drop(lease.token)
            raise
        finally:  # without an answer, the leases end
            for index in indexes:
                core.held.drop(commits[index].fence)

    def _arm(self, commit: Commit, sent: int) -> None:
        for deadline in commit.deadlines:
            self._alarm.set(sent + deadline.delay)
        if commit.close is not None and commit.close.next is not None and commit.close.next.delay:
            self._alarm.set(sent + commit.close.next.delay)

    async def _refuse(self, commit: Commit, why: str) -> None:
        await self._park(commit.run.id, commit.run.run_id, commit.fence, why, 60_000_000_000)

    async def park(self, task: WorkflowTask, problem: str, delay: int, hung: bool) -> None:
        await self._park(task.run.id, task.run.run_id, task.fence, problem, delay, hung)

    async def _park(
        self, id: str, run_id: str, fence: str, problem: str, delay: int, hung: bool = False
    ) -> None:
        core = self._core
        args = [run_id, fence, problem, codec.micros(delay) if delay >= 0 else -1, hung]
        try:
            await core.run("park", core.keys.partition(id), args, core.patience)
        except Error:
            core.forget_tasks()
            raise
        finally:  # without an answer its lease ends, and another worker tries
            core.held.drop(fence)
        self._alarm.set(steady_ns() + delay)
