"""What is noted of an execution that has blocked its worker, before that is ended (see `saros.app.watchdog`)."""

from __future__ import annotations

from ..interfaces.activities import ActivityLease, Settled
from ..interfaces.backend import MAX_HANGS
from ..interfaces.history import WorkflowTask
from ..interfaces.host import Actor
from ..interfaces.program import Facts
from ..interfaces.store import Store
from ..model.durations import SECOND
from ..model.errors import INTERNAL, ErrorData
from ..model.records import Outcome, pack
from .activity_worker import ActivityWorkers
from .live import Live
from .workflow_worker import WorkflowWorker

AGAIN_NS = SECOND


async def last_words(
    store: Store,
    facts: Facts,
    problem: str,
    workflows: WorkflowWorker | None,
    activities: ActivityWorkers | None,
) -> str:
    """Give back what the execution was leased for; gives what comes of it.

    :param store: not open yet; the process's own belongs to the event loop that is blocked.
    """
    task, lease = _leased(facts, workflows, activities)
    if task is None and lease is None:
        return "What it held passes to others when its leases end."
    await store.open()
    try:
        if lease is not None:
            error = ErrorData(f"{problem}, which was ended", INTERNAL, False)
            await store.settle([Settled(lease, pack(Outcome(err=error)))])
            return "The activity has failed with that error; all else passes to others."
        assert task is not None
        if task.hangs + 1 < MAX_HANGS:
            await store.park(task, f"{problem}, which was ended; it is tried once more", AGAIN_NS, hung=True)
            return "It is tried once more; all else passes to others."
        why = f"{problem}, as it had another one before, and both were ended; it waits to be released"
        await store.park(task, why, -1, hung=True)
        return "It is the second time, so that it waits to be released; all else passes to others."
    finally:
        await store.close()


def _leased(
    facts: Facts, workflows: WorkflowWorker | None, activities: ActivityWorkers | None
) -> tuple[WorkflowTask | None, ActivityLease | None]:
    """The workflow task, or the activity, in which a program runs."""
    run_id = ""
    if isinstance(facts, Live):
        run_id = facts.run.run_id
    elif isinstance(facts, Actor):
        info = facts.scope.info
        run_id = info.get("run_id", "")
        lease = activities.lease_of(run_id, info.get("activity_id", "")) if activities is not None else None
        if lease is not None:
            return None, lease
    return (workflows.task_of(run_id) if workflows is not None else None), None
