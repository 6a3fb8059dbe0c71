"""The four ports of a durable workflow: each adds the program's commands to the one commit of its task."""

from __future__ import annotations

import msgspec

from ..insight.open_commands import child_id
from ..interfaces.activities import ActivityTask
from ..interfaces.history import Close, WorkflowTask
from ..interfaces.signals import Child, Mail, Outgoing, child_request, lane_of
from ..interfaces.store import Commit
from ..interfaces.timers import TO_CLOSE, TO_START, Deadline
from ..model.clock import LONGEST
from ..model.errors import CANCELED, Error, ErrorData
from ..model.execution import CANCELED as STATUS_CANCELED
from ..model.execution import COMPLETED, CONTINUED, FAILED, Pid
from ..model.options import check_start
from ..model.records import (
    ASK,
    CANCEL,
    DONE,
    SEND,
    SPAWN,
    Answer,
    Ask,
    Attributes,
    Call,
    CancelRequest,
    ContinueAsNew,
    Event,
    Outcome,
    Send,
    Spawn,
    VersionMark,
    outcome_ok,
    pack,
    unpack,
)
from ..model.timing import MS
from ..model.values import Json, error_data
from . import runs
from .live import Live, waits_for_cancellation
from .retry import timeout_error

REPLIES = 100
"""How many commands of one workflow task are answered immediately; the next task answers the others."""


class LocalActivity(msgspec.Struct, frozen=True):
    ref: int
    call: Call
    scheduled: int  # nanoseconds since 1970
    begun: int  # nanoseconds since its workflow task began


class Draft:
    """A commit under construction, and the state that its ports share."""

    def __init__(self, task: WorkflowTask, live: Live) -> None:
        self.task = task
        self.live = live
        self.run = task.run
        self.registry = live.deployment.registry
        self.commit = Commit(task.run, task.fence, live.length, len(task.mails))
        self.local: list[LocalActivity] = []  # activities to run within this task
        self.replies: list[Event] = []  # to commands that are answered immediately
        self.now = max(task.now, live.time)  # nanoseconds since 1970, at the last events
        self.spent = 0  # nanoseconds from the start of the task to the last events
        self._replied = 0

    @property
    def wall(self) -> int:
        """The time of day at the last events, in nanoseconds since 1970; unlike `now`, it may have been set back."""
        return self.task.now + self.spent

    def reply(self, ref: int, error: Error | ErrorData) -> None:
        """Settle a command with an error."""
        data = error_data(error) if isinstance(error, Error) else error
        body = pack(Outcome(err=data))
        self._replied += 1
        if self._replied <= REPLIES:
            self.replies.append(Event(DONE, ref, body, self.now))
        else:
            self.set_deadline(ref, 0, body)

    def set_deadline(
        self, ref: int, ns: int, body: Json, guard: str = "timer", start: int | None = None
    ) -> None:
        """Settle a command with `body` after `ns` nanoseconds.

        :param start: when `ns` begins to count, in nanoseconds since the task began; default: the last events.
        """
        begun = self.spent if start is None else start
        mail = Mail(DONE, ref, body, self.run.run_id)
        self.commit.deadlines.append(Deadline(ref, begun + min(ns, LONGEST), mail, guard))

    def is_workflow(self, spawn: Spawn) -> bool:
        target = self.registry.get(spawn.entry) or self.registry.by_type(spawn.entry)
        return target is not None and target.role == "workflow"


class CommitActivities(msgspec.Struct):
    """The activities port."""

    _draft: Draft

    def schedule(self, ref: int, call: Call) -> None:
        draft, options = self._draft, call.options
        registry = draft.registry
        if options.task_queue:  # another app that serves the queue may have the function
            entry = registry.get(call.target)
        else:
            try:
                entry = registry.callable(call.target)
            except Error as error:
                draft.reply(ref, error)
                return
        if registry.is_local(entry, options):
            draft.local.append(LocalActivity(ref, call, draft.now, draft.spent))
            return
        queue = registry.activity_queue(entry, options, draft.run.task_queue)
        draft.commit.activities.append(self._task(ref, queue, call, draft.now))
        self._limit(ref, options.schedule_to_start_timeout, TO_START)
        self._limit(ref, options.schedule_to_close_timeout, TO_CLOSE)

    def local_task(self, local: LocalActivity) -> ActivityTask:
        """A local activity as the store keeps it if it outlives its workflow task. It has no heartbeat timeout."""
        options = msgspec.structs.replace(local.call.options, heartbeat_timeout=0)
        call = msgspec.structs.replace(local.call, options=options)
        return self._task(local.ref, self._draft.run.task_queue, call, local.scheduled or self._draft.now)

    def _task(self, ref: int, queue: str, call: Call, scheduled: int) -> ActivityTask:
        run = self._draft.run
        return ActivityTask(
            run.id, run.run_id, ref, queue, self._draft.live.pid, run.type, call, scheduled, trace=run.trace
        )

    def limit_to_close(self, local: LocalActivity) -> None:
        """Have the store enforce a local activity's limit, which counts from when it was scheduled."""
        self._limit(local.ref, local.call.options.schedule_to_close_timeout, TO_CLOSE, local.begun)

    def _limit(self, ref: int, timeout: int, guard: str, start: int | None = None) -> None:
        if timeout:
            body = pack(Outcome(err=timeout_error(f"schedule_to_{guard}", timeout)))
            self._draft.set_deadline(ref, timeout * MS, body, guard, start)

    def cancel(self, ref: int) -> None:
        command = self._draft.live.rescinded.pop(ref, None)
        if command is None:
            return
        commit, waits = self._draft.commit, waits_for_cancellation(command)
        if not self._drop_new(ref):
            (commit.asked if waits else commit.canceled).append(ref)
        elif waits:
            self._draft.reply(ref, canceled(""))

    def _drop_new(self, ref: int) -> bool:
        """Take back a call that this task has scheduled, unless it has begun; True if there was one."""
        commit, local = self._draft.commit, self._draft.local
        for index, task in enumerate(commit.activities):
            if task.ref == ref:
                del commit.activities[index]
                commit.deadlines = [each for each in commit.deadlines if each.ref != ref]
                return True
        for index, call in enumerate(local):
            if call.ref == ref:
                del local[index]
                return True
        return False


class CommitTimers(msgspec.Struct):
    """The timers port."""

    _draft: Draft

    def start(self, ref: int, ns: int) -> None:
        self._draft.set_deadline(ref, ns, b"{}")

    def cancel(self, ref: int) -> None:
        draft = self._draft
        if draft.live.rescinded.pop(ref, None) is None:
            return
        for deadline in draft.commit.deadlines:
            if deadline.ref == ref:  # started in this task
                draft.commit.deadlines.remove(deadline)
                return
        draft.commit.cleared.append(ref)


class CommitSignals(msgspec.Struct):
    """The signals port."""

    _draft: Draft

    def spawn(self, ref: int, spawn: Spawn) -> None:
        draft = self._draft
        child = child_id(self._draft.run.run_id, ref, spawn)
        try:
            check_start(spawn.options, child)
        except Error as error:
            draft.reply(ref, error)
            return
        self._out(ref, SPAWN, pack(spawn))
        policy = spawn.options.parent_close_policy
        if policy != "abandon" and draft.is_workflow(spawn):
            draft.commit.children.append(Child(ref, child, policy))

    def send(self, ref: int, send: Send) -> None:
        self._out(ref, SEND, pack(send), to=send.to)

    def tell(self, ref: int, send: Send) -> None:
        self._out(0, SEND, pack(send), f"tell:{ref}", to=send.to)

    def ask(self, ref: int, ask: Ask) -> None:
        self._out(ref, ASK, pack(ask), to=ask.to)

    def cancel(self, ref: int, reason: str) -> None:
        command = self._draft.live.rescinded.pop(ref, None)
        if command is None or command.op != SPAWN:
            return  # a message that was sent still arrives
        if self._drop_new(ref):
            if waits_for_cancellation(command):
                self._draft.reply(ref, canceled(reason))
            return
        spawn = unpack(command.body, Spawn)
        if self._draft.is_workflow(spawn):
            request = child_request(self._draft.run.run_id, ref)
            pid = str(Pid("", child_id(self._draft.run.run_id, ref, spawn)))
            ask = Ask("cancel", pid, reason=reason, request=request)
            self._out(0, ASK, pack(ask), key=f"cancel:{ref}")

    def _drop_new(self, ref: int) -> bool:
        """Take back a start that this task has requested; True if there was one."""
        commit = self._draft.commit
        for index, entry in enumerate(commit.outbox):
            if entry.ref == ref and entry.op == SPAWN:
                del commit.outbox[index]
                commit.children = [child for child in commit.children if child.ref != ref]
                return True
        return False

    def _out(self, ref: int, op: str, body: Json, key: str = "", to: str = "") -> None:
        run = self._draft.run
        key = f"{run.run_id}:{key or ref}"
        lane = lane_of(run.id, to) if to else ""
        entry = Outgoing(run.id, run.run_id, str(run.pid), ref, op, body, key, lane=lane)
        self._draft.commit.outbox.append(entry)


class CommitHistory(msgspec.Struct):
    """The history port."""

    _draft: Draft

    def attributes(self, upserts: Attributes) -> None:
        commit = self._draft.commit
        commit.search = {**commit.search, **upserts.search}
        commit.memo = {**commit.memo, **upserts.memo}

    def version(self, mark: VersionMark) -> None:
        pass  # the record is all of it

    def side_effect(self, ref: int, value: Json) -> None:
        pass

    def answer(self, answer: Answer) -> None:
        pass  # the caller reads the record

    def complete(self, result: Json) -> None:
        run, asked = self._draft.run, self._cancel_request()
        if asked and run.options.cron_schedule:
            self._draft.commit.close = Close(STATUS_CANCELED, pack(Outcome(err=canceled(""))))
        else:
            again = None if asked else runs.after(run, self._draft.now, wall=self._draft.wall)
            self._draft.commit.close = Close(COMPLETED, outcome_ok(result), again)

    def fail(self, error: ErrorData) -> None:
        run = self._draft.run
        asked, cron = self._cancel_request(), bool(run.options.cron_schedule)
        status = STATUS_CANCELED if error.kind == CANCELED or (asked and cron) else FAILED
        again = None if asked else runs.after(run, self._draft.now, error, self._draft.wall)
        self._draft.commit.close = Close(status, pack(Outcome(err=error)), again)

    def continue_as_new(self, request: ContinueAsNew) -> None:
        draft, live = self._draft, self._draft.live
        following = runs.continued(draft.run, request, live.deployment, draft.now, live.search)
        self._draft.commit.close = Close(CONTINUED, b"{}", following)

    def _cancel_request(self) -> CancelRequest | None:
        """The request to cancel the run, if any: then no retry policy or cron schedule starts another run."""
        if self._draft.live.canceled is not None:
            return self._draft.live.canceled
        late = (unpack(mail.body, CancelRequest) for mail in self._draft.task.mails if mail.op == CANCEL)
        return next(late, None)


def canceled(reason: str) -> ErrorData:
    return ErrorData(f"canceled: {reason}" if reason else "canceled", CANCELED, False)
