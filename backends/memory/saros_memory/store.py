"""The in-memory store: one process, one event loop, nothing on disk. Its content ends with the process.

Its methods never suspend half-way, so each of them is atomic.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from saros.interfaces.activities import ActivityLease, Settled
from saros.interfaces.history import LAST, NewRun, WorkflowTask, check_use, withdrawn
from saros.interfaces.nodes import LostNode, NodeMail
from saros.interfaces.signals import Mail, Outgoing
from saros.interfaces.store import Commit
from saros.model.execution import (
    TERMINATE,
    TERMINATED,
    TIME_OUT,
    TIMED_OUT,
    HistoryPage,
    Started,
    StartRequest,
    Watcher,
)
from saros.model.records import DONE
from saros.model.values import Json

from .lookout import Lookout

log = logging.getLogger("saros.memory")

BATCH = 100


def _named(lost: list[str]) -> str:
    """Return the number of running workflows and their ids, as many as fit into a line."""
    what = f"{len(lost)} running workflow{'' if len(lost) == 1 else 's'}"
    return what + (f" ({', '.join(lost[:5])}{', ...' if len(lost) > 5 else ''})" if lost else "")


class MemoryStore(Lookout):
    """See `saros.interfaces.store.Store`."""

    shared = False
    """Whether others in this process may open the store again."""

    async def open(self) -> None:
        pass

    async def run(self) -> None:
        await asyncio.Event().wait()  # deadlines fire by the clock, and no lease is ever lost here

    async def close(self) -> None:
        """Log which workflows end with this store, unless others in this process share it."""
        lost = [execution.run.id for execution in self._runs.values() if execution.running]
        if lost and not self.shared:
            log.warning("%s ends, and with it %s", self.url, _named(lost))

    # --- clients -----------------------------------------------------------------------------

    async def start(self, new: NewRun, request: StartRequest) -> Started:
        old = self._current.get(request.id)
        if old is not None and old.run.request_id and old.run.request_id == request.request_id:
            return Started(request.id, old.run.run_id, str(old.run.pid), True)
        if (request.id, request.request_id) in self._withdrawn:
            raise withdrawn(request.id)
        if old is not None:
            check_use(request, old.run.run_id, old.status)
            joined = self._join(old, request) if old.running else None
            if joined is not None:
                return joined
        run = self._create(new, watchers=[request.watcher] if request.watcher else [])
        if request.name:
            self._names[request.name] = str(run.run.pid)
        return Started(request.id, run.run.run_id, str(run.run.pid), True)

    async def post(self, id: str, mail: Mail) -> bool:
        execution = self._made(id, mail.request) if mail.request else self._current.get(id)
        if execution is None or not execution.running:
            return False
        if mail.run_id and mail.run_id != execution.run.run_id:
            return False
        self._post(execution, mail)
        return True

    async def terminate(self, id: str, outcome: Json, run_id: str = "", request: str = "") -> bool:
        execution = self._made(id, request) if request else self._find(id, run_id)
        if execution is None or not execution.running:
            return False
        self._end(execution, TERMINATED, TERMINATE, outcome)
        return True

    async def time_out(self, id: str, run_id: str, outcome: Json, following: NewRun | None) -> bool:
        execution = self._find(id, run_id)
        if execution is None or not execution.running:
            return False
        self._end(execution, TIMED_OUT, TIME_OUT, outcome, following)
        return True

    async def release(self, id: str) -> bool:
        execution = self._current.get(id)
        if execution is None or not execution.running:
            return False
        hurried = execution.hurry()
        for task in hurried:
            self._activities.put(task.task_queue, task)
        self._touch()
        if execution.problem is None:
            return bool(hurried)
        self._wake(execution)
        return True

    async def watch(self, id: str, watcher: Watcher) -> bool:
        execution = self._current.get(id)
        if execution is None or not execution.running:
            return False
        execution.watch(watcher)
        return True

    async def unwatch(self, id: str, pid: str) -> None:
        execution = self._current.get(id)
        if execution is not None:
            execution.unwatch(pid)

    async def history(self, id: str, run_id: str = "", start: int = 0, limit: int = 0) -> HistoryPage | None:
        execution = self._find(id, run_id)
        if execution is None:
            return None
        records = execution.records[start : start + limit if limit and start >= 0 else None]
        start = len(execution.records) - 1 if start == LAST else start
        return HistoryPage(execution.run, start, records, execution.status, execution.next_run_id)

    async def changed(self, id: str, run_id: str, length: int) -> None:
        execution = self._find(id, run_id)
        if execution is None or not execution.running or len(execution.records) > length:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiters[execution.run.run_id]
        waiter = (length, future)
        waiters.append(waiter)
        try:
            await future
        finally:
            if waiter in waiters:
                waiters.remove(waiter)
            if not waiters and self._waiters.get(execution.run.run_id) is waiters:
                del self._waiters[execution.run.run_id]

    # --- names -------------------------------------------------------------------------------

    async def register(self, name: str, pid: str) -> bool:
        return self._names.setdefault(name, pid) == pid

    async def lookup(self, name: str) -> str | None:
        return self._names.get(name)

    async def unregister(self, name: str, pid: str = "") -> bool:
        if name not in self._names or (pid and self._names[name] != pid):
            return False
        del self._names[name]
        return True

    # --- workflow tasks ----------------------------------------------------------------------

    async def take(self, queues: Sequence[str], limit: int) -> list[WorkflowTask]:
        tasks: list[WorkflowTask] = []
        while not tasks:
            found = await self._ready.take(queues, limit)
            now = self.clock.now()
            for execution in found:
                execution.queued = False
                if not execution.running or not execution.inbox:
                    continue
                execution.fence = str(next(self._fences))
                execution.since = now
                tasks.append(
                    WorkflowTask(
                        execution.run,
                        execution.fence,
                        len(execution.records),
                        tuple(execution.inbox),
                        now,
                        execution.failures,
                    )
                )
        self.clock.busy(len(tasks))
        return tasks

    async def commit(self, commits: Sequence[Commit]) -> list[str]:
        return [self._commit(commit) for commit in commits]

    def last_words(self) -> str:
        lost = [execution.run.id for execution in self._runs.values() if execution.running]
        return f"Lost with it: {_named(lost)}."

    async def park(self, task: WorkflowTask, problem: str, delay: int, *, hung: bool = False) -> None:
        self.clock.busy(-1)
        execution = self._runs.get(task.run.run_id)
        if execution is None or execution.fence != task.fence:
            return
        execution.fence = ""
        execution.park(problem, self.clock.now(), delay)
        execution.delayed = True
        if delay < 0:
            return  # it waits to be released
        # The real clock, even if the store's clock is virtual: repairing code takes real time.
        execution.alarms.append(asyncio.get_running_loop().call_later(delay / 1e9, self._wake, execution))

    # --- activities --------------------------------------------------------------------------

    async def take_activities(self, queues: Sequence[str], limit: int) -> list[ActivityLease]:
        leases: list[ActivityLease] = []
        while not leases:
            found = await self._activities.take(queues, limit)
            now = self.clock.now()
            for task in found:
                activity = self._open_activity(task)
                if activity is not None and not activity.token and activity.task.attempt == task.attempt:
                    activity.take(str(next(self._fences)), now)
                    leases.append(ActivityLease(activity.task, activity.token, now))
        self.clock.busy(0)
        return leases

    async def settle(self, results: Sequence[Settled]) -> None:
        for lease, outcome, retry_in in results:
            activity = self._open_activity(lease.task)
            if activity is None or activity.token != lease.token:
                continue
            execution = self._runs[lease.task.run_id]
            if retry_in is not None and self._may_retry(activity, retry_in):
                activity.fail(outcome, self.clock.now() + retry_in)
                self._retry(execution, activity, retry_in)
                continue
            execution.drop_activity(lease.task.ref)
            self._post(execution, Mail(DONE, lease.task.ref, outcome, execution.run.run_id))

    async def heartbeat(self, lease: ActivityLease, details: Json | None) -> bool:
        activity = self._open_activity(lease.task)
        if activity is None or activity.token != lease.token:
            return True
        if details is not None:
            activity.task.heartbeat, activity.beaten = msgspec.Raw(details), self.clock.now()
        return activity.canceled

    # --- outbox ------------------------------------------------------------------------------

    async def outbox(self, limit: int) -> list[Outgoing]:
        entries = await self._outbox.take(limit)
        self.clock.busy(len(entries))
        return entries

    async def delivered(self, entry: Outgoing, reply: Mail | None) -> None:
        self._outbox.delivered(entry)
        self.clock.busy(-1)
        if reply is not None:
            await self.post(entry.id, reply)

    async def give_back(self, entries: Sequence[Outgoing]) -> None:
        self._outbox.give_back(entries)
        self.clock.busy(-len(entries))

    # --- nodes: several in one process share a store by its name; none is ever lost -----------

    async def join_node(self, node: str) -> None:
        self._nodes.add(node)

    async def send_node(self, node: str, mail: NodeMail) -> bool:
        if node not in self._nodes:
            return False
        self._node_mail.put(node, mail)
        self._touch()
        return True

    async def node_mail(self, node: str) -> list[NodeMail]:
        try:
            return await self._node_mail.take((node,), BATCH)
        except asyncio.CancelledError:
            self._nodes.discard(node)  # it has stopped listening
            raise

    async def watch_node(self, pid: str, watcher: Watcher) -> None:
        pass

    async def unwatch_node(self, pid: str, watcher: Watcher) -> None:
        pass

    async def lost_nodes(self) -> list[LostNode]:
        await asyncio.Event().wait()
        return []

    async def forget_node(self, node: str) -> None:
        pass
