"""The in-memory store: one process, one event loop, nothing on disk. What it holds ends with the process.

Its methods never suspend half-way, so each is atomic by being ordinary code.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial

import msgspec

from saros import query as queries
from saros.clock import Clock
from saros.errors import ALREADY_EXISTS, Error
from saros.execution import (
    COMPLETED,
    CONTINUED,
    TERMINATE,
    TERMINATED,
    TIME_OUT,
    TIMED_OUT,
    Description,
    HistoryPage,
    Pid,
    Record,
    Run,
    Started,
    StartRequest,
    Watcher,
)
from saros.program import ASK, DONE, EXIT, MESSAGE, Ask, Attributes, pack
from saros.store import (
    CONFLICT,
    FENCED,
    LAST,
    OK,
    TO_RUN,
    TO_START,
    UNTIL_CLOSED,
    CallLease,
    CallTask,
    Close,
    Commit,
    Deadline,
    Mail,
    NewRun,
    Outgoing,
    Settled,
    WorkflowTask,
)
from saros.values import Json

from .execution import Execution, OpenCall
from .queues import Queues

KEEP_CLOSED = 10_000
"""Closed runs that are kept for `describe`, `list` and `history`; the oldest go first."""
MS = 1_000_000


class MemoryStore:
    """See `saros.store.Store`."""

    def __init__(self, url: str, clock: Clock, touch: Callable[[], None] = lambda: None) -> None:
        self.url = url
        self.clock = clock
        self._touch = touch  # tells a virtual clock that something happened
        self._current: dict[str, Execution] = {}  # workflow id -> its newest run
        self._runs: dict[str, Execution] = {}  # run id -> run, in order of start
        self._closed: deque[str] = deque()
        self._names: dict[str, str] = {}
        self._ready: Queues[Execution] = Queues()
        self._calls: Queues[CallTask] = Queues()
        self._outbox: Queues[Outgoing] = Queues()
        self._fences = itertools.count(1)
        self._waiters: dict[str, list[tuple[int, asyncio.Future[None]]]] = defaultdict(list)

    async def open(self) -> None:
        pass

    async def run(self) -> None:
        await asyncio.Event().wait()  # deadlines fire by the clock, and no lease is ever lost

    async def close(self) -> None:
        pass

    # --- clients ----------------------------------------------------------------------------

    async def start(self, new: NewRun, request: StartRequest) -> Started:
        old = self._current.get(request.id)
        if old is not None:
            if old.run.request_id and old.run.request_id == request.request_id:
                return Started(request.id, old.run.run_id, str(old.run.pid), True)
            if old.running:
                joined = self._join(old, request)
                if joined is not None:
                    return joined
            else:
                check_reuse(old.run, old.status, request)
        run = self._create(new, watchers=[request.watcher] if request.watcher else [])
        if request.name:
            self._names[request.name] = str(run.run.pid)
        if request.parent is not None:
            parent = Pid.parse(request.parent.pid)
            owner = self._current.get(parent.id) if parent else None
            if owner is not None and owner.running:
                owner.children[request.id] = request.options.parent_close_policy
        return Started(request.id, run.run.run_id, str(run.run.pid), True)

    def _join(self, old: Execution, request: StartRequest) -> Started | None:
        """Meet a running execution by the conflict policy; None when it was terminated to make room."""
        options = request.options
        policy = options.id_conflict_policy
        if policy == "fail" or options.execution_error_when_already_started:
            raise already(request.id, old.run.run_id, "is running")
        if policy == "terminate_existing":
            self._end(old, TERMINATED, TERMINATE, _terminated("replaced by a new start"))
            return None
        for message in request.messages:
            self._post(old, Mail(MESSAGE, 0, pack(message)))
        if request.watcher is not None:
            old.watchers.append(request.watcher)
        return Started(request.id, old.run.run_id, str(old.run.pid), False)

    def _create(self, new: NewRun, watchers: Iterable[Watcher] = ()) -> Execution:
        options = new.run.options
        execution = Execution(new.run, new.mails, watchers)
        if options.search_attributes:
            execution.search = msgspec.json.decode(options.search_attributes, type=dict[str, msgspec.Raw])
        if options.memo:
            execution.memo = msgspec.json.decode(options.memo, type=dict[str, msgspec.Raw])
        self._current[new.run.id] = execution
        self._runs[new.run.run_id] = execution
        now = self.clock.now()
        if new.delay > 0:
            execution.delayed = True
            self._at(execution, now + new.delay, lambda: self._wake(execution))
        else:
            self._schedule(execution)
        for ms, start in (
            (options.run_timeout, now + new.delay),
            (options.execution_timeout, new.run.first_start_time),
        ):
            if ms:
                self._at(execution, start + ms * MS, partial(self._time_out, execution, ms))
        return execution

    def _at(self, execution: Execution, due: int, call: Callable[[], None]) -> None:
        execution.alarms.append(self.clock.call_at(due, call))

    def _wake(self, execution: Execution) -> None:
        execution.delayed = False
        self._schedule(execution)

    def _time_out(self, execution: Execution, ms: int) -> None:
        if execution.running:
            outcome = pack({"err": {"message": f"timed out after {ms / 1000:g} s", "kind": "Timeout"}})
            self._end(execution, TIMED_OUT, TIME_OUT, outcome)

    async def post(self, id: str, mail: Mail) -> bool:
        execution = self._current.get(id)
        if execution is None or not execution.running:
            return False
        if mail.run_id and mail.run_id != execution.run.run_id:
            return False
        self._post(execution, mail)
        return True

    def _post(self, execution: Execution, mail: Mail) -> None:
        execution.inbox.append(mail)
        self._schedule(execution)

    def _schedule(self, execution: Execution) -> None:
        if execution.running and not execution.queued and not execution.fence and not execution.delayed:
            execution.queued = True
            self._ready.put(execution.run.task_queue, execution)
            self._touch()

    async def terminate(self, id: str, outcome: Json, run_id: str = "") -> bool:
        execution = self._find(id, run_id)
        if execution is None or not execution.running:
            return False
        self._end(execution, TERMINATED, TERMINATE, outcome)
        return True

    async def watch(self, id: str, watcher: Watcher) -> bool:
        execution = self._current.get(id)
        if execution is None or not execution.running:
            return False
        execution.watchers = [w for w in execution.watchers if w.pid != watcher.pid or w.ref] + [watcher]
        return True

    async def unwatch(self, id: str, pid: str) -> None:
        execution = self._current.get(id)
        if execution is not None:
            execution.watchers = [w for w in execution.watchers if w.pid != pid or w.ref]

    async def describe(self, id: str, run_id: str = "") -> Description | None:
        execution = self._find(id, run_id)
        return execution.description() if execution else None

    async def executions(self, query: str = "") -> AsyncIterator[Description]:
        conditions = queries.parse(query)
        for execution in reversed(list(self._runs.values())):
            description = execution.description()
            if queries.matches(conditions, description):
                yield description

    async def history(self, id: str, run_id: str = "", start: int = 0) -> HistoryPage | None:
        execution = self._find(id, run_id)
        if execution is None:
            return None
        records = execution.records[start:]
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

    def _find(self, id: str, run_id: str) -> Execution | None:
        execution = self._runs.get(run_id) if run_id else self._current.get(id)
        return execution if execution is not None and execution.run.id == id else None

    def _notify(self, execution: Execution) -> None:
        waiters = self._waiters.get(execution.run.run_id)
        if not waiters:
            return
        length = len(execution.records) if execution.running else UNTIL_CLOSED + 1
        for after, future in waiters:
            if after < length and not future.done():
                future.set_result(None)
        if not execution.running:
            del self._waiters[execution.run.run_id]

    # --- names ------------------------------------------------------------------------------

    async def register(self, name: str, pid: str) -> bool:
        return self._names.setdefault(name, pid) == pid

    async def lookup(self, name: str) -> str | None:
        return self._names.get(name)

    async def unregister(self, name: str, pid: str = "") -> bool:
        if name not in self._names or (pid and self._names[name] != pid):
            return False
        del self._names[name]
        return True

    # --- workflow tasks ---------------------------------------------------------------------

    async def take(self, queues: Sequence[str], limit: int) -> list[WorkflowTask]:
        tasks: list[WorkflowTask] = []
        while not tasks:
            for execution in await self._ready.take(queues, limit):
                execution.queued = False
                if not execution.running or not execution.inbox:
                    continue
                execution.fence = str(next(self._fences))
                tasks.append(
                    WorkflowTask(
                        execution.run,
                        execution.fence,
                        len(execution.records),
                        tuple(execution.inbox),
                        self.clock.now(),
                        execution.failures,
                    )
                )
        self.clock.busy(len(tasks))
        return tasks

    async def commit(self, commits: Sequence[Commit]) -> list[str]:
        return [self._commit(commit) for commit in commits]

    def _commit(self, commit: Commit) -> str:
        self.clock.busy(-1)
        execution = self._runs.get(commit.run.run_id)
        if execution is None or not execution.running or execution.fence != commit.fence:
            return FENCED
        execution.fence = ""
        if len(execution.records) != commit.expected:
            self._schedule(execution)
            return CONFLICT
        for _ in range(commit.consumed):
            execution.inbox.popleft()
        execution.append(commit.records)
        execution.failures, execution.problem = 0, None
        if commit.search or commit.memo:
            execution.upsert(Attributes(commit.search, commit.memo))
        for ref in commit.cleared:
            execution.clear(ref)
        for ref in commit.canceled:
            execution.drop_call(ref)
        for ref in commit.asked:
            self._ask_call(execution, ref)
        for entry in commit.outbox:
            self._outbox.put("", entry)
        for task in commit.calls:
            execution.calls[task.ref] = OpenCall(task)
            self._calls.put(task.task_queue, task)
        for deadline in commit.deadlines:
            self._arm(execution, deadline)
        if commit.close is not None:
            self._close(execution, commit.close)
        elif execution.inbox:
            self._schedule(execution)
        self._notify(execution)
        self._touch()
        return OK

    async def park(self, task: WorkflowTask, problem: str, delay: int) -> None:
        self.clock.busy(-1)
        execution = self._runs.get(task.run.run_id)
        if execution is None or execution.fence != task.fence:
            return
        execution.fence = ""
        execution.failures += 1
        execution.problem = problem
        execution.delayed = True
        self._at(execution, self.clock.now() + delay, lambda: self._wake(execution))

    # --- deadlines --------------------------------------------------------------------------

    def _arm(self, execution: Execution, deadline: Deadline) -> None:
        handle = self.clock.call_at(deadline.due, lambda: self._fire(execution, deadline))
        execution.timers.setdefault(deadline.ref, []).append(handle)

    def _fire(self, execution: Execution, deadline: Deadline) -> None:
        if not execution.running:
            return
        if deadline.guard == "timer":
            execution.timers.pop(deadline.ref, None)
        elif deadline.guard != TO_RUN:
            call = execution.calls.get(deadline.ref)
            if call is None or (deadline.guard == TO_START and call.token):
                return
            execution.drop_call(deadline.ref)
        self._post(execution, deadline.mail)

    # --- calls ------------------------------------------------------------------------------

    async def take_calls(self, queues: Sequence[str], limit: int) -> list[CallLease]:
        leases: list[CallLease] = []
        while not leases:
            for task in await self._calls.take(queues, limit):
                call = self._open_call(task)
                if call is not None and not call.token and call.task.attempt == task.attempt:
                    call.token = str(next(self._fences))
                    leases.append(CallLease(call.task, call.token, self.clock.now()))
        self.clock.busy(0)
        return leases

    def _open_call(self, task: CallTask) -> OpenCall | None:
        execution = self._runs.get(task.run_id)
        return execution.calls.get(task.ref) if execution is not None and execution.running else None

    async def settle(self, results: Sequence[Settled]) -> None:
        for lease, outcome, retry_at in results:
            call = self._open_call(lease.task)
            if call is None or call.token != lease.token:
                continue
            execution = self._runs[lease.task.run_id]
            if retry_at and not call.canceled:
                call.token = ""
                call.task = msgspec.structs.replace(call.task, attempt=call.task.attempt + 1)
                self._retry(execution, call, retry_at)
                continue
            execution.drop_call(lease.task.ref)
            self._post(execution, Mail(DONE, lease.task.ref, outcome, execution.run.run_id))

    def _retry(self, execution: Execution, call: OpenCall, due: int) -> None:
        task = call.task
        handle = self.clock.call_at(due, lambda: self._calls.put(task.task_queue, task))
        execution.timers.setdefault(task.ref, []).append(handle)

    def _ask_call(self, execution: Execution, ref: int) -> None:
        """Cancel a call whose own end counts: an attempt that runs hears of it with its next heartbeat."""
        call = execution.calls.get(ref)
        if call is None:
            return
        call.canceled = True
        if not call.token:
            execution.drop_call(ref)
            outcome = pack({"err": {"message": "canceled", "kind": "Canceled", "retryable": False}})
            self._post(execution, Mail(DONE, ref, outcome, execution.run.run_id))

    async def heartbeat(self, lease: CallLease, details: Json | None) -> bool:
        call = self._open_call(lease.task)
        if call is None or call.token != lease.token:
            return True
        if details is not None:
            call.task.heartbeat = msgspec.Raw(details)
        return call.canceled

    # --- outbox -----------------------------------------------------------------------------

    async def outbox(self, limit: int) -> list[Outgoing]:
        entries = await self._outbox.take(("",), limit)
        self.clock.busy(len(entries))
        return entries

    async def delivered(self, entry: Outgoing, reply: Mail | None) -> None:
        self.clock.busy(-1)
        if reply is not None:
            await self.post(entry.id, reply)

    # --- ends -------------------------------------------------------------------------------

    def _end(self, execution: Execution, status: str, op: str, outcome: Json) -> None:
        """Close from outside, with a record that no program wrote."""
        execution.append([Record(op, 0, outcome, self.clock.now())])
        self._close(execution, Close(status, outcome))
        self._notify(execution)

    def _close(self, execution: Execution, close: Close) -> None:
        execution.close(close.status, self.clock.now())
        run = execution.run
        self._closed.append(run.run_id)
        if close.next is not None:
            execution.next_run_id = close.next.run.run_id
            self._continue(execution, close.next)
        else:
            for name in [name for name, pid in self._names.items() if pid == str(run.pid)]:
                del self._names[name]
            self._tell(execution, close.outcome)
        while len(self._closed) > KEEP_CLOSED:
            self._forget(self._closed.popleft())

    def _continue(self, old: Execution, new: NewRun) -> None:
        following = self._create(new, old.watchers)
        following.search, following.memo = old.search, old.memo
        following.children = old.children
        for mail in old.inbox:
            if not mail.run_id:
                following.inbox.append(mail)
        old.inbox.clear()

    def _tell(self, execution: Execution, outcome: Json) -> None:
        """Let watchers and children know of the end."""
        run = execution.run
        pid = str(run.pid)
        for number, watcher in enumerate(execution.watchers):
            key = f"{run.run_id}:end:{number}"
            self._outbox.put("", Outgoing(run.id, run.run_id, pid, 0, EXIT, outcome, key, watcher))
        for child, policy in execution.children.items():
            verb = {"terminate": "terminate", "request_cancel": "cancel"}.get(policy)
            current = self._current.get(child)
            if verb is not None and current is not None and current.running:
                body = pack(Ask(verb, str(current.run.pid), reason="the parent has ended"))
                self._outbox.put(
                    "", Outgoing(run.id, run.run_id, pid, 0, ASK, body, f"{run.run_id}:{verb}:{child}")
                )

    def _forget(self, run_id: str) -> None:
        execution = self._runs.pop(run_id)
        if self._current.get(execution.run.id) is execution:
            del self._current[execution.run.id]


def check_reuse(run: Run, status: str, request: StartRequest) -> None:
    """Refuse a new start of an id whose last run has ended, if its reuse policy says so."""
    policy = request.options.id_reuse_policy
    if policy == "reject_duplicate":
        raise already(request.id, run.run_id, "was used before")
    if policy == "allow_duplicate_failed_only" and status in (COMPLETED, CONTINUED):
        raise already(request.id, run.run_id, "has completed before")


def already(id: str, run_id: str, what: str) -> Error:
    return Error(
        f"workflow {id} {what}",
        ALREADY_EXISTS,
        retryable=False,
        details={"workflow_id": id, "run_id": run_id},
    )


def _terminated(why: str) -> Json:
    return pack({"err": {"message": f"terminated: {why}", "kind": "Canceled", "retryable": False}})
