"""The builder of a commit: delivers a workflow task's mail to the program of its run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ..interfaces.history import WorkflowTask
from ..interfaces.program import Ports, dispatch
from ..interfaces.store import TASK_MAIL, Commit, Store
from ..model.clock import LONGEST, steady_ns
from ..model.errors import INTERNAL, INVALID, Error
from ..model.records import DONE, EVENT_OPS, SPAWN, TIMER, Command, Event, Spawn, StartTimer, unpack
from .commit import CommitActivities, CommitHistory, CommitSignals, CommitTimers, Draft, LocalActivity
from .live import Live

log = logging.getLogger("saros.engine")


class CommitBuilder:
    """Delivers mail to a run's program, and carries its commands to the four ports of one commit.

    :param steady: see `saros.model.clock.Clock.steady`.
    """

    def __init__(self, task: WorkflowTask, live: Live, steady: Callable[[], int] = steady_ns) -> None:
        self.task = task
        self.live = live
        self.run = task.run
        self._steady = steady
        self._began = steady()
        self._draft = draft = Draft(task, live)
        self.commit = draft.commit
        self.local = draft.local
        self.activities = CommitActivities(draft)
        self._ports = Ports(CommitHistory(draft), CommitTimers(draft), CommitSignals(draft), self.activities)

    def deliver(self, events: list[Event]) -> None:
        """Deliver events, and the immediate replies to the commands that they cause.

        :raises Error: when the workflow task failed.
        """
        draft = self._draft
        draft.spent = self._steady() - self._began
        while events and not self.live.closed:
            draft.now = max(draft.now, events[-1].time)  # local activities take time
            records = self.live.deliver(events)
            self.commit.records += records
            for record in records:
                if record.op not in EVENT_OPS:
                    dispatch(record, self._ports)
            events, draft.replies = draft.replies, []

    def begin(self) -> None:
        """Deliver the task's mail, up to `TASK_MAIL`, without mail that no longer settles anything.

        Mail after the program's end stays in the inbox, for a run that continues this one.

        :raises Error: when the workflow task failed.
        """
        draft, open_commands, mails = self._draft, self.live.open, self.task.mails
        kept: list[int] = []
        events: list[Event] = []
        taken, size = len(mails), 0
        for index, mail in enumerate(mails):
            size += len(mail.body)
            if size > TASK_MAIL and index:
                taken = index
                break
            if mail.op == DONE:
                settled = open_commands.get(mail.ref)
                if settled is None:
                    continue
                if settled.op == TIMER:
                    self._pass_timer(settled)
                elif settled.op == SPAWN and unpack(settled.body, Spawn).exec:
                    self.commit.ended.append(mail.ref)
            kept.append(index)
            events.append(Event(mail.op, mail.ref, mail.body, draft.now))
        self.commit.consumed = taken
        self.deliver(events)
        if self.live.closed:
            delivered = sum(1 for record in self.commit.records if record.op in EVENT_OPS)
            self.commit.consumed = kept[delivered] if delivered < len(kept) else taken

    def _pass_timer(self, timer: Command) -> None:
        """Advance the workflow's time at least to the end of a timer, even if the store's clock was set back."""
        end = timer.time + min(unpack(timer.body, StartTimer).ns, LONGEST)
        self._draft.now = max(self._draft.now, end)

    def ready(self) -> Commit:
        """The commit, whose deadlines count from now on."""
        commit = self.commit
        if commit.deadlines:
            spent = self._steady() - self._began
            commit.deadlines = [each._replace(delay=each.delay - spent) for each in commit.deadlines]
        return commit

    @property
    def spent_s(self) -> float:
        """Seconds since the task began."""
        return (self._steady() - self._began) / 1e9

    def elapsed(self, local: LocalActivity) -> int:
        """Nanoseconds since a local activity of this task was scheduled."""
        return self._steady() - self._began - local.begun


async def stored(store: Store, commits: Sequence[Commit]) -> list[str | Exception]:
    """Apply commits of different runs; return the result of each (see `Store.commit`), or why it is impossible.

    What is stored about one run may be damaged: that must not hold up the others.

    :raises Error: when the store does not answer, or refuses everything.
    """
    try:
        return list(await store.commit(commits))
    except Exception as error:
        if isinstance(error, Error) and error.kind not in (INTERNAL, INVALID):
            raise
        if len(commits) == 1:
            if not isinstance(error, Error):
                log.exception("the workflow task of %s could not be stored", commits[0].run.id)
            return [error]
    return [result for commit in commits for result in await stored(store, [commit])]
