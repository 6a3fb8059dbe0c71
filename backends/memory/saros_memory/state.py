"""The state of the store and its changes. A change is atomic, because its code never suspends."""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from functools import partial

from saros.interfaces.activities import ActivityTask
from saros.interfaces.history import UNTIL_CLOSED, Close, Limit, NewRun
from saros.interfaces.insight import Paused, Worker
from saros.interfaces.nodes import NodeMail
from saros.interfaces.signals import Mail, Outgoing, farewell, lane_of
from saros.interfaces.store import CONFLICT, FENCED, OK, Commit
from saros.interfaces.timers import TO_CLOSE, TO_RUN, TO_START, Deadline
from saros.model.clock import Clock, Handle
from saros.model.execution import (
    TERMINATE,
    TERMINATED,
    TIME_OUT,
    TIMED_OUT,
    Record,
    Started,
    StartRequest,
    Watcher,
)
from saros.model.records import CANCEL, DONE, EXIT, MESSAGE, Attributes, pack
from saros.model.values import Json, members

from .execution import Execution, OpenActivity
from .queues import Outbox, Queues

KEEP_CLOSED = 10_000
"""How many closed runs are kept for `describe`, `list` and `history`; the oldest are dropped first."""


class State:
    """Everything in memory: executions, queues and names.

    :param touch: notes activity on a virtual clock.
    """

    def __init__(self, url: str, clock: Clock, touch: Callable[[], None] = lambda: None) -> None:
        self.url = url
        self.clock = clock
        self._touch = touch
        self._current: dict[str, Execution] = {}  # workflow id -> its newest run
        self._runs: dict[str, Execution] = {}  # run id -> run, in order of start
        self._closed: deque[str] = deque()
        self._names: dict[str, str] = {}
        self._ready: Queues[Execution] = Queues()
        self._activities: Queues[ActivityTask] = Queues()
        self._outbox = Outbox()
        self._nodes: set[str] = set()  # the nodes that listen
        self._node_mail: Queues[NodeMail] = Queues()
        self._fences = itertools.count(1)
        self._workers: dict[str, tuple[int, Worker]] = {}  # and until when they count, by the steady clock
        self._paused: dict[str, Paused] = {}
        self._withdrawn: OrderedDict[tuple[str, str], None] = OrderedDict()  # id and start request
        self._waiters: dict[str, list[tuple[int, asyncio.Future[None]]]] = defaultdict(list)

    def _join(self, old: Execution, request: StartRequest) -> Started | None:
        """Apply the conflict policy to a running execution; return None when it was terminated to make room."""
        if request.options.id_conflict_policy == "terminate_existing":
            self._end(old, TERMINATED, TERMINATE, _terminated("replaced by a new start"))
            return None
        old.joined.add(request.request_id)
        for message in request.messages:
            self._post(old, Mail(MESSAGE, 0, pack(message)))
        if request.watcher is not None:
            old.watch(request.watcher)
        return Started(request.id, old.run.run_id, str(old.run.pid), False)

    def _create(
        self, new: NewRun, watchers: Iterable[Watcher] = (), before: Execution | None = None
    ) -> Execution:
        options = new.run.options
        began = self.clock.steady() if before is None else before.began
        execution = Execution(new.run, new.mails, watchers, began)
        if options.search_attributes:
            execution.search = members(options.search_attributes)
        if options.memo:
            execution.memo = members(options.memo)
        self._current[new.run.id] = execution
        self._runs[new.run.run_id] = execution
        if new.delay > 0 and not any(mail.op == CANCEL for mail in new.mails):
            execution.delayed, execution.begins = True, self.clock.now() + new.delay
            execution.starting = self._after(execution, new.delay, lambda: self._wake(execution))
        else:
            self._schedule(execution)
        for limit in new.limits:
            start = execution.began if limit.total else None
            self._after(execution, limit.delay, partial(self._time_out, execution, limit), start)
        return execution

    def _after(
        self, execution: Execution, ns: int, call: Callable[[], None], start: int | None = None
    ) -> Handle:
        handle = self.clock.call_after(ns, call, start)
        execution.alarms.append(handle)
        return handle

    def _wake(self, execution: Execution) -> None:
        execution.delayed, execution.starting = False, None
        self._schedule(execution)

    def _time_out(self, execution: Execution, limit: Limit) -> None:
        run = execution.run
        if not execution.running:
            return
        if limit.again:
            key = f"{run.run_id}:{TIME_OUT}"
            self._outbox.put(Outgoing(run.id, run.run_id, str(run.pid), 0, TIME_OUT, limit.outcome, key))
            self._touch()
        else:
            self._end(execution, TIMED_OUT, TIME_OUT, limit.outcome)

    def _post(self, execution: Execution, mail: Mail) -> None:
        execution.inbox.append(mail)
        if mail.op == CANCEL and execution.starting is not None:
            execution.starting.cancel()
            self._wake(execution)
        self._schedule(execution)

    def _made(self, id: str, request: str) -> Execution | None:
        """Return the execution that a start request made; withdraw a request that was not carried out yet."""
        execution = self._current.get(id)
        if execution is not None and execution.run.request_id == request:
            return execution
        if execution is None or request not in execution.joined:
            self._withdrawn[id, request] = None
            if len(self._withdrawn) > KEEP_CLOSED:
                self._withdrawn.popitem(last=False)
        return None

    def _schedule(self, execution: Execution) -> None:
        if execution.running and not execution.queued and not execution.fence and not execution.delayed:
            execution.queued, execution.since = True, self.clock.now()
            self._ready.put(execution.run.task_queue, execution)
            self._touch()

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
            execution.drop_activity(ref)
        for entry in commit.outbox:
            self._outbox.put(entry)
        for child in commit.children:
            execution.children[child.ref] = child
        for ref in commit.ended:
            execution.children.pop(ref, None)
        for task in commit.activities:
            execution.activities[task.ref] = OpenActivity(task)
            self._activities.put(task.task_queue, task)
        for lease in commit.leased:
            execution.activities[lease.task.ref] = OpenActivity(lease.task, lease.token, lease.now)
        for ref in commit.asked:
            self._ask_activity(execution, ref)
        now = self.clock.steady()
        for deadline in commit.deadlines:
            self._arm(execution, deadline, now)
        if commit.close is not None:
            self._close(execution, commit.close)
        elif execution.inbox:
            self._schedule(execution)
        self._notify(execution)
        self._touch()
        return OK

    def _arm(self, execution: Execution, deadline: Deadline, now: int) -> None:
        handle = self.clock.call_after(deadline.delay, lambda: self._fire(execution, deadline), now)
        execution.timers.setdefault(deadline.ref, []).append(handle)
        if deadline.guard == TO_CLOSE:
            execution.activities[deadline.ref].closes = now + deadline.delay

    def _fire(self, execution: Execution, deadline: Deadline) -> None:
        if not execution.running:
            return
        if deadline.guard == "timer":
            execution.timers.pop(deadline.ref, None)
        elif deadline.guard != TO_RUN:
            activity = execution.activities.get(deadline.ref)
            if activity is None or (deadline.guard == TO_START and activity.token):
                return
            execution.drop_activity(deadline.ref)
        self._post(execution, deadline.mail)

    def _open_activity(self, task: ActivityTask) -> OpenActivity | None:
        execution = self._runs.get(task.run_id)
        return execution.activities.get(task.ref) if execution is not None and execution.running else None

    def _may_retry(self, activity: OpenActivity, delay: int) -> bool:
        in_time = activity.closes is None or self.clock.steady() + delay < activity.closes
        return in_time and not activity.canceled

    def _retry(self, execution: Execution, activity: OpenActivity, delay: int) -> None:
        task = activity.task
        handle = self.clock.call_after(delay, lambda: self._activities.put(task.task_queue, task))
        execution.timers.setdefault(task.ref, []).append(handle)

    def _ask_activity(self, execution: Execution, ref: int) -> None:
        """Cancel an activity but wait for its own end: a running attempt learns of it with its next heartbeat."""
        activity = execution.activities.get(ref)
        if activity is None:
            return
        activity.canceled = True
        if not activity.token:
            execution.drop_activity(ref)
            outcome = pack({"err": {"message": "canceled", "kind": "Canceled", "retryable": False}})
            self._post(execution, Mail(DONE, ref, outcome, execution.run.run_id))

    def _end(
        self, execution: Execution, status: str, op: str, outcome: Json, following: NewRun | None = None
    ) -> None:
        """Close a run from outside, with a record that no program wrote."""
        execution.append([Record(op, 0, outcome, self.clock.now())])
        self._close(execution, Close(status, outcome, following))
        self._notify(execution)

    def _close(self, execution: Execution, close: Close) -> None:
        execution.close(close.status, self.clock.now())
        run = execution.run
        self._closed.append(run.run_id)
        self._part(execution)
        following = close.next
        if following is not None and following.begins_in_time(self.clock.steady() - execution.began):
            execution.next_run_id = following.run.run_id
            self._continue(execution, following)
        else:
            for name in [name for name, pid in self._names.items() if pid == str(run.pid)]:
                del self._names[name]
            self._tell(execution, close.outcome)
        while len(self._closed) > KEEP_CLOSED:
            self._forget(self._closed.popleft())

    def _continue(self, old: Execution, new: NewRun) -> None:
        kept = tuple(mail for mail in old.inbox if not mail.run_id)
        old.inbox.clear()
        following = self._create(new._replace(mails=new.mails + kept), old.watchers, old)
        following.joined = old.joined

    def _tell(self, execution: Execution, outcome: Json) -> None:
        """Tell the watchers about the end."""
        run = execution.run
        pid = str(run.pid)
        for number, watcher in enumerate(execution.watchers):
            key = f"{run.run_id}:end:{number}"
            lane = lane_of(run.id, watcher.pid)
            self._outbox.put(Outgoing(run.id, run.run_id, pid, 0, EXIT, outcome, key, watcher, lane))

    def _part(self, execution: Execution) -> None:
        """End the children of a run as their policies say, whether they have started or not."""
        for child in execution.children.values():
            self._outbox.put(farewell(execution.run, child))
        execution.children.clear()

    def _forget(self, run_id: str) -> None:
        execution = self._runs.pop(run_id)
        if self._current.get(execution.run.id) is execution:
            del self._current[execution.run.id]


def _terminated(why: str) -> Json:
    return pack({"err": {"message": f"terminated: {why}", "kind": "Canceled", "retryable": False}})
