"""The builder of a commit: the four ports of a durable workflow."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..interfaces.activities import ActivityTask
from ..interfaces.deployment import Deployment
from ..interfaces.history import Close, WorkflowTask
from ..interfaces.program import Ports, dispatch
from ..interfaces.signals import Child, Mail, Outgoing, child_request
from ..interfaces.store import Commit
from ..interfaces.timers import TO_CLOSE, TO_START, Deadline
from ..model.clock import LONGEST, steady_ns
from ..model.errors import CANCELED, TIMEOUT, Error, ErrorData
from ..model.execution import CANCELED as STATUS_CANCELED
from ..model.execution import COMPLETED, CONTINUED, FAILED, Pid
from ..model.options import check_start
from ..model.records import (
    ASK,
    CALL,
    CANCEL,
    DONE,
    EVENT_OPS,
    SEND,
    SPAWN,
    TIMER,
    Answer,
    Ask,
    Attributes,
    Call,
    CancelRequest,
    Command,
    ContinueAsNew,
    Event,
    Outcome,
    Send,
    Spawn,
    StartTimer,
    VersionMark,
    outcome_ok,
    pack,
    unpack,
)
from ..model.timing import MS
from ..model.values import Json, error_data
from . import runs
from .live import Live, waits_for_cancellation

REPLIES = 100
"""So many commands of one workflow task are answered at once; code that asks on and on hears by a timer then."""


class LocalActivity(msgspec.Struct, frozen=True):
    ref: int
    call: Call
    scheduled: int  # nanoseconds since 1970
    begun: int  # nanoseconds from the begin of its workflow task


class CommitBuilder:
    """What one workflow task does to its run. It is each of the four ports itself.

    :param steady: see `saros.model.clock.Clock.steady`.
    """

    def __init__(self, task: WorkflowTask, live: Live, steady: Callable[[], int] = steady_ns) -> None:
        self.task = task
        self._steady = steady
        self._began = steady()
        self._spent = 0  # nanoseconds from then to the last events
        self.live = live
        self.run = task.run
        self.deployment: Deployment = live.deployment
        self.commit = Commit(task.run, task.fence, live.length, len(task.mails))
        self.local: list[LocalActivity] = []
        self._replies: list[Event] = []  # to commands that are answered at once
        self._replied = 0
        self._now = max(task.now, live.time)

    def deliver(self, events: list[Event]) -> None:
        """Run events, and whatever they cause that is answered at once.

        :raises Error: when the workflow task failed.
        """
        ports = Ports(self, self, self, self)  # not kept: a cycle would wait for Python's collector
        self._spent = self._steady() - self._began
        while events and not self.live.closed:
            self._now = max(self._now, events[-1].time)  # local activities take time
            records = self.live.deliver(events)
            self.commit.records += records
            for record in records:
                if record.op not in EVENT_OPS:
                    dispatch(record, ports)
            events, self._replies = self._replies, []

    def begin(self) -> None:
        """Deliver the task's mail; what settles nothing any more is left out.

        Mail that comes after the program's end stays in the inbox: a run that continues this one gets it.

        :raises Error: when the workflow task failed.
        """
        open_refs, mails = self.live.open, self.task.mails
        kept = [i for i, mail in enumerate(mails) if mail.op != DONE or mail.ref in open_refs]
        self.commit.ended += [mail.ref for mail in mails if mail.op == DONE and self._awaits_child(mail.ref)]
        events: list[Event] = []
        for mail in (mails[i] for i in kept):
            if mail.op == DONE:
                self._pass_timer(open_refs[mail.ref])
            events.append(Event(mail.op, mail.ref, mail.body, self._now))
        self.deliver(events)
        if self.live.closed:
            delivered = sum(1 for record in self.commit.records if record.op in EVENT_OPS)
            self.commit.consumed = kept[delivered] if delivered < len(kept) else len(mails)

    def _pass_timer(self, settled: Command) -> None:
        """Have the workflow's time be at least that at which a timer ends, though the store's clock was set back."""
        if settled.op == TIMER:
            self._now = max(self._now, settled.time + min(unpack(settled.body, StartTimer).ns, LONGEST))

    def ready(self) -> Commit:
        """The commit, whose deadlines count from now on."""
        commit = self.commit
        if commit.deadlines:
            spent = self._steady() - self._began
            commit.deadlines = [each._replace(delay=each.delay - spent) for each in commit.deadlines]
        return commit

    def _awaits_child(self, ref: int) -> bool:
        command = self.live.open.get(ref)
        return command is not None and command.op == SPAWN and unpack(command.body, Spawn).exec

    def _reply(self, ref: int, error: Error | ErrorData) -> None:
        data = error_data(error) if isinstance(error, Error) else error
        body = pack(Outcome(err=data))
        self._replied += 1
        if self._replied <= REPLIES:
            self._replies.append(Event(DONE, ref, body, self._now))
        else:
            self.commit.deadlines.append(Deadline(ref, self._spent, Mail(DONE, ref, body, self.run.run_id)))

    # --- activities --------------------------------------------------------------------------

    def schedule(self, ref: int, call: Call) -> None:
        options = call.options
        if options.task_queue:  # a queue of another app may well know the function
            entry = self.deployment.registry.get(call.target)
        else:
            try:
                entry = self.deployment.registry.callable(call.target)
            except Error as error:
                self._reply(ref, error)
                return
        if self.deployment.registry.is_local(entry, options):
            self.local.append(LocalActivity(ref, call, self._now, self._spent))
            return
        queue = self.deployment.registry.activity_queue(entry, options, self.run.task_queue)
        run = self.run
        task = ActivityTask(run.id, run.run_id, ref, queue, str(run.pid), run.type, call, self._now)
        self.commit.activities.append(task)
        self._limit(ref, options.schedule_to_start_timeout, TO_START)
        self._limit(ref, options.schedule_to_close_timeout, TO_CLOSE)

    def local_task(self, local: LocalActivity) -> ActivityTask:
        """A local activity as the store keeps it when it outlives its workflow task. It has no heartbeat timeout."""
        options = msgspec.structs.replace(local.call.options, heartbeat_timeout=0)
        call = msgspec.structs.replace(local.call, options=options)
        run = self.run
        scheduled = local.scheduled or self._now
        return ActivityTask(
            run.id, run.run_id, local.ref, run.task_queue, str(run.pid), run.type, call, scheduled
        )

    def elapsed(self, local: LocalActivity) -> int:
        """Nanoseconds since a local activity of this task was scheduled."""
        return self._steady() - self._began - local.begun

    def limit_to_close(self, local: LocalActivity) -> None:
        """Have the store hold a local activity to its limit, which began when it was scheduled."""
        self._limit(local.ref, local.call.options.schedule_to_close_timeout, TO_CLOSE, local.begun)

    def _limit(self, ref: int, timeout: int, guard: str, begun: int | None = None) -> None:
        if timeout:
            body = pack(Outcome(err=timeout_error(f"schedule_to_{guard}", timeout)))
            mail = Mail(DONE, ref, body, self.run.run_id)
            start = self._spent if begun is None else begun
            self.commit.deadlines.append(Deadline(ref, start + min(timeout * MS, LONGEST), mail, guard))

    def cancel(self, ref: int, reason: str = "") -> bool:
        """Cancel whatever `ref` is: the one method serves three ports."""
        for index, task in enumerate(self.commit.activities):
            if task.ref == ref:  # scheduled in this very task
                del self.commit.activities[index]
                self.commit.deadlines = [d for d in self.commit.deadlines if d.ref != ref]
                if task.call.options.wait_for_cancellation:
                    self._reply(ref, canceled(reason))
                return True
        for local in self.local:
            if local.ref == ref:
                self.local.remove(local)
                if local.call.options.wait_for_cancellation:
                    self._reply(ref, canceled(reason))
                return True
        for deadline in self.commit.deadlines:
            if deadline.ref == ref:
                self.commit.deadlines.remove(deadline)
                return True
        command = self.live.rescinded.pop(ref, None)
        if command is None:
            return True
        if command.op == SPAWN:
            self._cancel_child(ref, command, reason)
        if command.op == CALL:
            (self.commit.asked if waits_for_cancellation(command) else self.commit.canceled).append(ref)
        elif command.op == TIMER:
            self.commit.cleared.append(ref)
        return True

    def _cancel_child(self, ref: int, command: Command, reason: str) -> None:
        for entry in self.commit.outbox:
            if entry.ref == ref and entry.op == SPAWN:  # asked for in this very task: it never starts
                self.commit.outbox.remove(entry)
                self.commit.children = [child for child in self.commit.children if child.ref != ref]
                if waits_for_cancellation(command):
                    self._reply(ref, canceled(reason))
                return
        spawn = unpack(command.body, Spawn)
        if self._is_workflow(spawn):
            child = runs.child_id(self.run.run_id, ref, spawn)
            request = child_request(self.run.run_id, ref)
            ask = Ask("cancel", str(Pid("", child)), reason=reason, request=request)
            self._out(0, ASK, pack(ask), key=f"cancel:{ref}")

    # --- timers ------------------------------------------------------------------------------

    def start(self, ref: int, ns: int) -> None:
        mail = Mail(DONE, ref, b"{}", self.run.run_id)
        self.commit.deadlines.append(Deadline(ref, self._after(ns), mail))

    def _after(self, ns: int) -> int:
        """So long after the last events, as a time since this task began."""
        return self._spent + min(ns, LONGEST)

    # --- signals -----------------------------------------------------------------------------

    def spawn(self, ref: int, spawn: Spawn) -> None:
        try:
            check_start(spawn.options, runs.child_id(self.run.run_id, ref, spawn))
        except Error as error:
            self._reply(ref, error)
            return
        self._out(ref, SPAWN, pack(spawn))
        policy = spawn.options.parent_close_policy
        if policy != "abandon" and self._is_workflow(spawn):
            self.commit.children.append(Child(ref, runs.child_id(self.run.run_id, ref, spawn), policy))

    def _is_workflow(self, spawn: Spawn) -> bool:
        registry = self.deployment.registry
        target = registry.get(spawn.entry) or registry.by_type(spawn.entry)
        return target is not None and target.role == "workflow"

    def send(self, ref: int, send: Send) -> None:
        self._out(ref, SEND, pack(send))

    def tell(self, ref: int, send: Send) -> None:
        before = self.live.told_before.pop(ref)
        after = f"{self.run.run_id}:tell:{before}" if before else ""
        self._out(0, SEND, pack(msgspec.structs.replace(send, after=after)), key=f"tell:{ref}")

    def ask(self, ref: int, ask: Ask) -> None:
        self._out(ref, ASK, pack(ask))

    def _out(self, ref: int, op: str, body: Json, key: str = "") -> None:
        run = self.run
        key = f"{run.run_id}:{key or ref}"
        self.commit.outbox.append(Outgoing(run.id, run.run_id, str(run.pid), ref, op, body, key))

    # --- history -----------------------------------------------------------------------------

    def attributes(self, upserts: Attributes) -> None:
        self.commit.search = {**self.commit.search, **upserts.search}
        self.commit.memo = {**self.commit.memo, **upserts.memo}

    def version(self, mark: VersionMark) -> None:
        pass  # the record is all of it

    def side_effect(self, ref: int, value: Json) -> None:
        pass

    def answer(self, answer: Answer) -> None:
        pass  # whoever asked reads the record

    def complete(self, result: Json) -> None:
        asked = self._cancel_request()
        if asked is None:
            self.commit.close = Close(COMPLETED, outcome_ok(result), runs.after(self.run, self._now))
        elif self.run.options.cron_schedule:
            self.commit.close = Close(STATUS_CANCELED, pack(Outcome(err=canceled(""))))
        else:
            self.commit.close = Close(COMPLETED, outcome_ok(result))

    def fail(self, error: ErrorData) -> None:
        asked, cron = self._cancel_request(), bool(self.run.options.cron_schedule)
        status = STATUS_CANCELED if error.kind == CANCELED or (asked and cron) else FAILED
        again = None if asked else runs.after(self.run, self._now, error)
        self.commit.close = Close(status, pack(Outcome(err=error)), again)

    def _cancel_request(self) -> CancelRequest | None:
        """Who has asked the run to end: then no other run follows by a retry policy or a cron schedule."""
        if self.live.canceled is not None:
            return self.live.canceled
        late = (unpack(mail.body, CancelRequest) for mail in self.task.mails if mail.op == CANCEL)
        return next(late, None)

    def continue_as_new(self, request: ContinueAsNew) -> None:
        next_run = runs.continued(self.run, request, self.deployment, self._now, self.live.search)
        self.commit.close = Close(CONTINUED, b"{}", next_run)


def canceled(reason: str) -> ErrorData:
    return ErrorData(f"canceled: {reason}" if reason else "canceled", CANCELED, False)


def timeout_error(timeout_type: str, ms: int) -> ErrorData:
    """The error that the caller of an activity gets when one of its four timeouts (in milliseconds) has passed."""
    details = pack({"timeout_type": timeout_type})
    limit = f"{ms / 1000:g} s"
    return ErrorData(f"{timeout_type} timeout of {limit} exceeded", TIMEOUT, False, msgspec.Raw(details))
