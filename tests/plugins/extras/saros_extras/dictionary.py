"""The backend ``dict://``: it keeps executions in a dictionary of the process that opens it.

Every method makes its changes without an ``await`` in between, so each is atomic. Code that waits (for a task, or for
a change of a history) checks again after each change. A database does both better; the contract is the same.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from saros.engine import StoreBackend
from saros.insight.query import parse
from saros.insight.queues import queues_of
from saros.interfaces.activities import ActivityLease, Settled
from saros.interfaces.backend import Backend
from saros.interfaces.history import LAST, Close, Limit, NewRun, WorkflowTask, check_use, withdrawn
from saros.interfaces.insight import Paused, Queue, Worker, counted
from saros.interfaces.insight.pending import Pending, failure_of
from saros.interfaces.nodes import LostNode, NodeMail
from saros.interfaces.signals import Mail, Outgoing, farewell, lane_of
from saros.interfaces.store import CONFLICT, FENCED, OK, Commit
from saros.interfaces.timers import TO_CLOSE, TO_RUN, TO_START, Deadline
from saros.model.clock import RealClock
from saros.model.errors import CANCELED, ErrorData
from saros.model.execution import (
    TERMINATE,
    TERMINATED,
    TIME_OUT,
    TIMED_OUT,
    Description,
    HistoryPage,
    Record,
    Run,
    Started,
    StartRequest,
    Watcher,
)
from saros.model.records import CANCEL, DONE, EXIT, MESSAGE, Outcome, pack
from saros.model.search import matches, upserted
from saros.model.values import Json, members

from .execution import Call, Execution

T = TypeVar("T")
_opened: dict[str, DictStore] = {}


def make(url: str) -> Backend:
    """Make a backend for a ``dict://`` URL. Opening the same URL again gives the same executions."""
    store = _opened.get(url) or DictStore(url)
    return StoreBackend(store, store.clock)  # the durable engine turns any store into a backend


class DictStore:
    """See `saros.interfaces.store.Store`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = RealClock()
        self._users = 0
        self._runs: dict[str, Execution] = {}  # by run id, in the order of their starts
        self._newest: dict[str, Execution] = {}  # by workflow id
        self._names: dict[str, str] = {}
        self._outbox: list[Outgoing] = []
        self._lanes: set[str] = set()  # lanes with an entry that is being delivered
        self._withdrawn: set[tuple[str, str]] = set()
        self._workers: dict[
            str, tuple[int, Worker]
        ] = {}  # by worker id, with the time at which each is forgotten
        self._paused: dict[str, Paused] = {}
        self._tokens = map(str, itertools.count(1))
        self._change = asyncio.Event()

    async def open(self) -> None:
        self._users += 1
        _opened[self.url] = self

    async def close(self) -> None:
        self._users -= 1
        if not self._users:
            del _opened[self.url]

    async def run(self) -> None:
        await asyncio.Event().wait()  # `take` fires due timers, and leases end with this process

    def last_words(self) -> str:
        return "All of it is lost: it was in the memory of this process."

    def _changed(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def _until(self, find: Callable[[], T]) -> T:
        while not (found := find()):
            await self._change.wait()
        return found

    def _find(self, id: str, run_id: str = "") -> Execution | None:
        found = self._runs.get(run_id) if run_id else self._newest.get(id)
        return found if found is not None and found.run.id == id else None

    def _find_running(self, id: str, run_id: str = "", request: str = "") -> Execution | None:
        """Find an open run. With `request`, only the run that it started; a request still to come is withdrawn."""
        found = self._find(id, run_id)
        if request and (found is None or found.run.request_id != request):
            if found is None or request not in found.joined:
                self._withdrawn.add((id, request))
            return None
        return found if found is not None and found.running else None

    # --- executions ---------------------------------------------------------------------------

    async def start(self, new: NewRun, request: StartRequest) -> Started:
        old = self._newest.get(request.id)
        if old is not None and request.request_id and old.run.request_id == request.request_id:
            return Started(request.id, old.run.run_id, str(old.run.pid), True)
        if (request.id, request.request_id) in self._withdrawn:
            raise withdrawn(request.id)
        if old is not None and self._joins(old, request):
            return Started(request.id, old.run.run_id, str(old.run.pid), False)
        made = self._create(new, [request.watcher] if request.watcher else [])
        if request.name:
            self._names[request.name] = str(made.run.pid)
        return Started(request.id, made.run.run_id, str(made.run.pid), True)

    def _joins(self, old: Execution, request: StartRequest) -> bool:
        """Return whether the policies let a start join the existing run; False makes room for a new run."""
        check_use(request, old.run.run_id, old.status)
        if not old.running:
            return False
        if request.options.id_conflict_policy == "terminate_existing":
            why = ErrorData("terminated: replaced by a new start", CANCELED, False)
            self._end(old, TERMINATED, TERMINATE, pack(Outcome(err=why)))
            return False
        old.joined.add(request.request_id)
        for message in request.messages:
            self._post(old, Mail(MESSAGE, 0, pack(message)))
        if request.watcher is not None:
            self._watch(old, request.watcher)
        return True

    def _create(self, new: NewRun, watchers: list[Watcher], old: Execution | None = None) -> Execution:
        began, joined = (old.began, old.joined) if old else (self.clock.steady(), set[str]())
        options = new.run.options
        search = members(options.search_attributes) if options.search_attributes else {}
        memo = members(options.memo) if options.memo else {}
        made = Execution(new.run, list(new.mails), watchers, began, joined, search, memo)
        self._newest[new.run.id] = self._runs[new.run.run_id] = made
        if new.delay > 0 and all(mail.op != CANCEL for mail in new.mails):
            made.held, made.next_try = True, self.clock.now() + new.delay
            self._after(made, 0, new.delay, partial(self._release, made))
        made.since = self.clock.now()
        for limit in new.limits:
            ended = partial(self._out_of_time, made, limit)
            self._after(made, 0, limit.delay, ended, began if limit.total else None)
        self._changed()
        return made

    def _after(
        self, of: Execution, ref: int, ns: int, call: Callable[[], None], start: int | None = None
    ) -> None:
        of.timers.setdefault(ref, []).append(self.clock.call_after(ns, call, start))

    def _release(self, execution: Execution) -> None:
        execution.held = False
        self._changed()

    def _out_of_time(self, execution: Execution, limit: Limit) -> None:
        if limit.again and execution.running:
            self._tell(execution.run, TIME_OUT, limit.outcome, TIME_OUT)
        elif execution.running:
            self._end(execution, TIMED_OUT, TIME_OUT, limit.outcome)

    def _tell(self, run: Run, op: str, body: Json, key: str, to: Watcher | None = None) -> None:
        key = f"{run.run_id}:{key}"
        lane = lane_of(run.id, to.pid) if to else ""
        self._outbox.append(Outgoing(run.id, run.run_id, str(run.pid), 0, op, body, key, to, lane))
        self._changed()

    def _end(self, of: Execution, status: str, op: str, outcome: Json, then: NewRun | None = None) -> None:
        """Close a run from outside: the store writes the last record, not the program."""
        of.records.append(Record(op, 0, outcome, self.clock.now()))
        self._close(of, Close(status, outcome, then))

    def _close(self, execution: Execution, close: Close) -> None:
        run = execution.run
        execution.status, execution.close_time, execution.problem = close.status, self.clock.now(), None
        for ref in list(execution.timers):
            execution.clear(ref)
        execution.calls.clear()
        self._outbox += [farewell(run, child) for child in execution.children.values()]
        then = close.next
        if then is not None and then.begins_in_time(self.clock.steady() - execution.began):
            execution.next_run_id = then.run.run_id
            kept = tuple(mail for mail in execution.inbox if not mail.run_id)
            self._create(then._replace(mails=then.mails + kept), execution.watchers, execution)
        else:
            self._names = {name: pid for name, pid in self._names.items() if pid != str(run.pid)}
            for number, watcher in enumerate(execution.watchers):
                self._tell(run, EXIT, close.outcome, f"end:{number}", watcher)
        self._changed()

    async def terminate(self, id: str, outcome: Json, run_id: str = "", request: str = "") -> bool:
        found = self._find_running(id, run_id, request)
        if found is not None:
            self._end(found, TERMINATED, TERMINATE, outcome)
        return found is not None

    async def time_out(self, id: str, run_id: str, outcome: Json, following: NewRun | None) -> bool:
        found = self._find_running(id, run_id)
        if found is not None:
            self._end(found, TIMED_OUT, TIME_OUT, outcome, following)
        return found is not None

    async def release(self, id: str) -> bool:
        found = self._find_running(id)
        if found is None:
            return False
        waiting = [call for call in found.calls.values() if call.due is not None and not call.ready]
        for call in waiting:
            self._make_ready(call)
        if found.problem is None:
            return bool(waiting)
        self._release(found)
        return True

    async def describe(self, id: str, run_id: str = "") -> Description | None:
        found = self._find(id, run_id)
        return found.description() if found else None

    async def executions(self, query: str = "") -> AsyncIterator[Description]:
        wanted = parse(query, dt.datetime.fromtimestamp(self.clock.now() / 1e9, dt.UTC))
        for execution in reversed(list(self._runs.values())):
            if matches(wanted, description := execution.description()):
                yield description

    async def history(self, id: str, run_id: str = "", start: int = 0, limit: int = 0) -> HistoryPage | None:
        found = self._find(id, run_id)
        if found is None:
            return None
        first = len(found.records) - 1 if start == LAST else start
        records = found.records[start : start + limit if limit and start >= 0 else None]
        return HistoryPage(found.run, first, records, found.status, found.next_run_id)

    async def changed(self, id: str, run_id: str, length: int) -> None:
        found = self._find(id, run_id)
        await self._until(lambda: found is None or not found.running or len(found.records) > length)

    # --- workflow tasks -----------------------------------------------------------------------

    async def take(self, queues: Sequence[str], limit: int) -> list[WorkflowTask]:
        def find() -> list[WorkflowTask]:
            ready = (run for run in self._runs.values() if run.running and run.inbox and not run.fence)
            mine = (run for run in ready if not run.held and run.run.task_queue in queues)
            return [self._lease(execution) for execution in itertools.islice(mine, limit)]

        return await self._until(find)

    def _lease(self, execution: Execution) -> WorkflowTask:
        execution.fence, execution.since = next(self._tokens), self.clock.now()
        length, mails = len(execution.records), tuple(execution.inbox)
        return WorkflowTask(execution.run, execution.fence, length, mails, self.clock.now(), execution.parked)

    async def park(self, task: WorkflowTask, problem: str, delay: int, *, hung: bool = False) -> None:
        execution = self._runs[task.run.run_id]
        if execution.fence == task.fence:
            now = self.clock.now()
            execution.parked_since = now if execution.problem is None else execution.parked_since
            execution.fence, execution.held, execution.problem = "", True, problem
            execution.parked, execution.next_try = execution.parked + 1, now + delay if delay >= 0 else None
            if delay >= 0:
                self._after(execution, 0, delay, partial(self._release, execution))

    async def commit(self, commits: Sequence[Commit]) -> list[str]:
        return [self._commit(commit) for commit in commits]

    def _commit(self, commit: Commit) -> str:
        execution = self._runs[commit.run.run_id]
        if not execution.running or execution.fence != commit.fence:
            return FENCED
        execution.fence = ""
        self._changed()
        if len(execution.records) != commit.expected:
            return CONFLICT
        del execution.inbox[: commit.consumed]
        execution.records += commit.records
        execution.parked, execution.problem = 0, None
        execution.search = upserted(execution.search, commit.search)
        execution.memo = upserted(execution.memo, commit.memo)
        for ref in commit.cleared:
            execution.clear(ref)
        for ref in commit.canceled:
            execution.drop(ref)
        self._outbox += commit.outbox
        execution.children |= {child.ref: child for child in commit.children}
        for ref in commit.ended:
            execution.children.pop(ref, None)
        execution.calls |= {task.ref: Call(task) for task in commit.activities}
        for lease in commit.leased:
            execution.calls[lease.task.ref] = Call(lease.task, lease.token, False, started=lease.now)
        for ref in commit.asked:
            self._cancel_call(execution, ref)
        now = self.clock.steady()
        for deadline in commit.deadlines:
            if deadline.guard == TO_CLOSE:
                execution.calls[deadline.ref].closes = now + deadline.delay
            self._after(
                execution, deadline.ref, deadline.delay, partial(self._fire, execution, deadline), now
            )
        if commit.close is not None:
            self._close(execution, commit.close)
        return OK

    def _fire(self, execution: Execution, deadline: Deadline) -> None:
        if deadline.guard in (TO_START, TO_CLOSE):
            call = execution.calls.get(deadline.ref)
            if call is None or (deadline.guard == TO_START and call.token):
                return
            execution.drop(deadline.ref)
        elif deadline.guard != TO_RUN:
            execution.timers.pop(deadline.ref, None)
        self._post(execution, deadline.mail)

    # --- signals ------------------------------------------------------------------------------

    async def post(self, id: str, mail: Mail) -> bool:
        found = self._find_running(id, request=mail.request)
        if found is None or (mail.run_id and mail.run_id != found.run.run_id):
            return False
        self._post(found, mail)
        return True

    def _post(self, execution: Execution, mail: Mail) -> None:
        if not execution.inbox:
            execution.since = self.clock.now()
        execution.inbox.append(mail)
        if mail.op == CANCEL and execution.problem is None:
            execution.held = False  # a cancel ends the start delay
        self._changed()

    async def watch(self, id: str, watcher: Watcher) -> bool:
        found = self._find_running(id)
        if found is not None:
            self._watch(found, watcher)
        return found is not None

    def _watch(
        self, execution: Execution, watcher: Watcher
    ) -> None:  # at most one watcher per pid without a ref
        others = [old for old in execution.watchers if old.ref or watcher.ref or old.pid != watcher.pid]
        execution.watchers = [*others, watcher]

    async def unwatch(self, id: str, pid: str) -> None:
        if found := self._find(id):
            found.watchers = [watcher for watcher in found.watchers if watcher.pid != pid or watcher.ref]

    async def outbox(self, limit: int) -> list[Outgoing]:
        def find() -> list[Outgoing]:
            found: list[Outgoing] = []
            for entry in self._outbox:
                if len(found) < limit and entry.lane not in self._lanes:
                    found.append(entry)
                    self._lanes.update({entry.lane} - {""})
            self._outbox = [entry for entry in self._outbox if entry not in found]
            return found

        return await self._until(find)

    async def delivered(self, entry: Outgoing, reply: Mail | None) -> None:
        self._lanes.discard(entry.lane)
        self._changed()
        if reply is not None:
            await self.post(entry.id, reply)

    async def give_back(self, entries: Sequence[Outgoing]) -> None:
        self._lanes.difference_update(entry.lane for entry in entries)
        self._outbox[:0] = entries
        self._changed()

    async def register(self, name: str, pid: str) -> bool:
        return self._names.setdefault(name, pid) == pid

    async def lookup(self, name: str) -> str | None:
        return self._names.get(name)

    async def unregister(self, name: str, pid: str = "") -> bool:
        if name not in self._names or (pid and self._names[name] != pid):
            return False
        del self._names[name]
        return True

    # --- activities ---------------------------------------------------------------------------

    async def take_activities(self, queues: Sequence[str], limit: int) -> list[ActivityLease]:
        def find() -> list[ActivityLease]:
            open_calls = (call for run in self._runs.values() for call in run.calls.values())
            mine = (call for call in open_calls if call.ready and call.task.task_queue in queues)
            return [self._lease_call(call) for call in itertools.islice(mine, limit)]

        return await self._until(find)

    def _lease_call(self, call: Call) -> ActivityLease:
        call.token, call.ready = next(self._tokens), False
        call.started, call.due = self.clock.now(), None
        return ActivityLease(call.task, call.token, call.started)

    def _leased(self, lease: ActivityLease) -> Call | None:
        """Return the activity of a lease, or None if the lease is no longer valid."""
        call = self._runs[lease.task.run_id].calls.get(lease.task.ref)
        return call if call is not None and call.token == lease.token else None

    async def settle(self, results: Sequence[Settled]) -> None:
        for lease, outcome, retry_in in results:
            execution, call = self._runs[lease.task.run_id], self._leased(lease)
            if call is None:
                continue
            if retry_in is not None and not call.canceled and self._in_time(call, retry_in):
                call.token, call.started, call.failure = "", None, failure_of(outcome)
                call.due = self.clock.now() + retry_in
                call.task = msgspec.structs.replace(call.task, attempt=call.task.attempt + 1)
                self._after(execution, call.task.ref, retry_in, partial(self._make_ready, call))
                continue
            execution.drop(lease.task.ref)
            self._post(execution, Mail(DONE, lease.task.ref, outcome, execution.run.run_id))

    def _in_time(self, call: Call, delay: int) -> bool:
        return call.closes is None or self.clock.steady() + delay < call.closes

    def _make_ready(self, call: Call) -> None:
        if not call.token:  # else it was released before its time
            call.ready, call.due = True, None
            self._changed()

    def _cancel_call(self, execution: Execution, ref: int) -> None:  # a running attempt reports its own end
        call = execution.calls.get(ref)
        if call is not None and call.token:
            call.canceled = True
        elif call is not None:
            execution.drop(ref)
            outcome = pack(Outcome(err=ErrorData("canceled", CANCELED, False)))
            self._post(execution, Mail(DONE, ref, outcome, execution.run.run_id))

    async def heartbeat(self, lease: ActivityLease, details: Json | None) -> bool:
        call = self._leased(lease)
        if call is not None and details is not None:
            call.task.heartbeat, call.beaten = msgspec.Raw(details), self.clock.now()
        return call is None or call.canceled

    # --- insight: what people look at ----------------------------------------------------------

    async def pending(self, id: str, run_id: str = "") -> Pending | None:
        found = self._find(id, run_id)
        return found.pending() if found else None

    async def beat(self, worker: Worker, ns: int) -> None:
        now = self.clock.now()
        self._workers[worker.id] = self.clock.steady() + ns, msgspec.structs.replace(worker, heard=now)

    async def workers(self) -> list[Worker]:
        return [worker for until, worker in self._workers.values() if until > self.clock.steady()]

    async def queues(self) -> list[Queue]:
        running = (run.pending() for run in self._runs.values() if run.running)
        return queues_of(running, self.clock.now())

    async def counts(self, query: str = "") -> dict[str, int]:
        return await counted(self.executions(query))

    async def pause(self, schedule: str, paused: Paused | None) -> None:
        self._paused.pop(schedule, None)
        if paused is not None:
            self._paused[schedule] = paused

    async def paused(self) -> dict[str, Paused]:
        return dict(self._paused)

    # --- nodes: there is only one process ------------------------------------------------------

    async def join_node(self, node: str) -> None: ...

    async def send_node(self, node: str, mail: NodeMail) -> bool:
        return False

    async def node_mail(self, node: str) -> list[NodeMail]:
        return await self._until(list)

    async def watch_node(self, pid: str, watcher: Watcher) -> None: ...

    async def unwatch_node(self, pid: str, watcher: Watcher) -> None: ...

    async def lost_nodes(self) -> list[LostNode]:
        return await self._until(list)

    async def forget_node(self, node: str) -> None: ...
