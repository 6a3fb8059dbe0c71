"""Notes about an execution that has blocked its worker, taken before it is ended (see `saros_watchdog.watchdog`)."""

from __future__ import annotations

import msgspec

from ..interfaces.activities import ActivityLease, ActivityTask, Settled
from ..interfaces.backend import MAX_HANGS
from ..interfaces.history import WorkflowTask
from ..interfaces.program import Facts
from ..interfaces.runtime import scope_of
from ..interfaces.store import Store
from ..model.errors import INTERNAL, ErrorData
from ..model.execution import Run
from ..model.records import Call, Outcome, pack
from ..model.timing import SECOND
from ..model.values import Json
from .activity_worker import ActivityWorkers
from .live import Live
from .workflow_worker import WorkflowWorker

AGAIN_NS = SECOND


PASSES = "Other workers take over its tasks when its leases end."


class _Note(msgspec.Struct, omit_defaults=True):
    """The part of an activity's or a workflow task's lease that is needed to give it back."""

    id: str
    run_id: str
    fence: str  # or token
    target: str = ""  # only for an activity, with its ref and task queue
    ref: int = 0
    queue: str = ""
    hangs: int = 0  # of a workflow task


def note_of(facts: Facts, workflows: WorkflowWorker | None, activities: ActivityWorkers | None) -> Json:
    """What `last_words` needs to know; empty when the program runs without a lease. Thread-safe."""
    task, lease = _leased(facts, workflows, activities)
    if lease is not None:
        activity = lease.task
        target, queue = activity.call.target, activity.task_queue
        note = _Note(activity.id, activity.run_id, lease.token, target, activity.ref, queue)
    elif task is not None:
        note = _Note(task.run.id, task.run.run_id, task.fence, hangs=task.hangs)
    else:
        return b""
    return msgspec.json.encode(note)


async def last_words(store: Store, note: Json, problem: str) -> str:
    """Give back the execution's task; return a sentence that says what happens next.

    :param store: one that does not belong to the blocked event loop.
    :param note: see `note_of`.
    """
    if not note:
        return PASSES
    known = msgspec.json.decode(note, type=_Note)
    await store.open()
    try:
        if known.target:
            error = ErrorData(f"{problem}, which was ended", INTERNAL, False)
            activity = ActivityTask(
                known.id, known.run_id, known.ref, known.queue, "", "", Call(known.target)
            )
            lease = ActivityLease(activity, known.fence, 0)
            await store.settle([Settled(lease, pack(Outcome(err=error)))])
            return "The activity has failed with that error; other workers take over the rest."
        run = Run(known.id, known.run_id, "", "", "", "", 0)
        task = WorkflowTask(run, known.fence, 0, (), 0, 0, known.hangs)
        if known.hangs + 1 < MAX_HANGS:
            await store.park(task, f"{problem}, which was ended; it is tried once more", AGAIN_NS, hung=True)
            return "It is tried once more; other workers take over the rest."
        why = f"{problem}, which was ended like another one before; it waits to be released"
        await store.park(task, why, -1, hung=True)
        return "This is the second time, so it waits to be released; other workers take over the rest."
    finally:
        await store.close()


def _leased(
    facts: Facts, workflows: WorkflowWorker | None, activities: ActivityWorkers | None
) -> tuple[WorkflowTask | None, ActivityLease | None]:
    """The workflow task, or the activity, for which a program runs."""
    run_id = ""
    if isinstance(facts, Live):
        run_id = facts.run.run_id
    elif (scope := scope_of(facts)) is not None:
        info = scope.lease_info
        run_id = info.get("run_id", "")
        lease = activities.lease_of(run_id, info.get("activity_id", "")) if activities is not None else None
        if lease is not None:
            return None, lease
    return (workflows.task_of(run_id) if workflows is not None else None), None
