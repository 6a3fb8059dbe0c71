"""Why an execution does not continue, in one sentence for the engineer on call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ..interfaces.insight import ACTIVITY, WORKFLOW, Queue, Stack, Worker
from ..interfaces.insight.pending import Pending, PendingActivity, PendingTask
from ..model.execution import RUNNING
from ..model.text import one_line, shortened
from ..model.timing import SECOND

SETTLED: Final = 30 * SECOND
"""By then a worker that has begun something is among the workers, also in a list that is not quite new."""
SHORT: Final = 160
"""Characters of a reason in a row of a list."""
Workers = Sequence[Worker] | None
"""The result of `Insight.workers`; None where it is not known."""
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def span(ns: int) -> str:
    """Format a duration in at most two units: ``40 s``, ``3 h 20 min``."""
    left = max(ns, 0) // SECOND
    parts = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "less than 1 s"


def reason(
    pending: Pending,
    now: int,
    queues: Sequence[Queue] = (),
    stack: Stack | None = None,
    workers: Workers = None,
) -> str:
    """Return the likely reason why an execution does not continue, and what to do about it, if anything.

    :param now: nanoseconds since 1970.
    :param queues: the result of `Insight.queues`; without it, missing workers are not detected.
    :param stack: the result of `Insight.stack`; without it, signals are not mentioned.
    :param workers: the result of `Insight.workers`; without it, neither busy workers nor lost ones are detected.
    """
    if pending.status != RUNNING:
        return f"it has ended: {pending.status.replace('_', ' ')}"
    for found in (
        _parked(pending, now, queues, workers or ()),
        _not_begun(pending, now),
        _task(pending, now, queues, workers),
        _activities(pending, now, queues, workers),
        _requests(pending, now),
        _children(pending),
    ):
        if found:
            return one_line(found)
    unserved = _unserved(queues, pending.task_queue, WORKFLOW)
    idle = f"; no worker polls task queue {pending.task_queue}, so that nothing follows" if unserved else ""
    return one_line(_waits(pending, now, stack) + idle)


def _parked(pending: Pending, now: int, queues: Iterable[Queue], workers: Iterable[Worker]) -> str:
    parked = pending.parked
    if parked is None:
        return ""
    since = f" for {span(now - parked.since)}" if parked.since is not None else ""
    problem = one_line(parked.problem)
    if parked.next_try is None:
        return f"parked{since}: {problem}; release it with `saros release {pending.id}`"
    again = f"next try in {span(parked.next_try - now)}" if parked.next_try > now else "next try now"
    times = "once" if parked.failures == 1 else f"{parked.failures} times"
    if _unserved(queues, pending.task_queue, WORKFLOW):
        again = f"no worker polls task queue {pending.task_queue} now"
    elif len({worker.app for worker in workers if pending.task_queue in worker.task_queues} - {""}) > 1:
        again += "; its workers run different code (see `saros workers`)"
    return f"parked{since}, because its workflow task has failed {times}: {problem}; {again}"


def _not_begun(pending: Pending, now: int) -> str:
    if pending.begins is None or pending.begins <= now:
        return ""
    return f"it begins in {span(pending.begins - now)}"


def _unserved(queues: Iterable[Queue], name: str, kind: str) -> bool:
    """Return whether a queue is known, and nobody polls it."""
    known = [queue.pollers for queue in queues if (queue.name, queue.kind) == (name, kind)]
    return bool(known) and not any(known)


def _gone(begun: PendingTask | PendingActivity, now: int, queues: Iterable[Queue], workers: Workers) -> str:
    """Say that the worker of a task or an attempt is not among the workers; empty where that is not known.

    A backend may have to be asked about a queue before it tells of the queue's workers.
    """
    if begun.started is None or now - begun.started < SETTLED or not begun.worker or workers is None:
        return ""
    if all(queue.name != begun.task_queue for queue in queues):
        return ""
    if any(worker.identity == begun.worker for worker in workers):
        return ""
    return f"; {begun.worker} no longer asks for tasks; if it is gone, this is tried again after its lease or timeout"


def _task(pending: Pending, now: int, queues: Sequence[Queue], workers: Workers) -> str:
    task = pending.task
    if task is None:
        return ""
    if task.started is None and _unserved(queues, task.task_queue, WORKFLOW):
        return f"no worker polls task queue {task.task_queue}"
    if task.started is not None:
        whose = task.worker or "a worker"
        runs = f"{whose} has been running its workflow task for {span(now - task.started)}"
        return runs + _gone(task, now, queues, workers)
    waits = "waits" if task.since is None else f"has waited {span(now - task.since)}"
    return f"its workflow task {waits} for a worker of task queue {task.task_queue}"


def _busy(workers: Sequence[Worker], task_queue: str) -> str:
    """Say that all workers of a task queue have as many activities as they may; empty if one has not."""
    serving = [worker for worker in workers if task_queue in worker.task_queues]
    slots = [slot for worker in serving for slot in worker.slots if slot.serve(task_queue, ACTIVITY)]
    if (
        not slots
        or len(slots) < len(serving)
        or any(not slot.total or slot.used < slot.total for slot in slots)
    ):
        return ""
    total = sum(slot.total for slot in slots)
    whose = "its worker" if len(serving) == 1 else f"its {len(serving)} workers"
    return f"; {'the slot' if total == 1 else f'all {total} slots'} of {whose} {'is' if total == 1 else 'are'} taken"


def _activities(pending: Pending, now: int, queues: Sequence[Queue], workers: Workers) -> str:
    for each in pending.activities:
        if each.started is None and _unserved(queues, each.task_queue, ACTIVITY):
            if _unserved(queues, each.task_queue, WORKFLOW):
                return f"no worker polls task queue {each.task_queue}, on which {each.entry} waits"
            return (
                f"{activity_waits(each, now)}; it serves workflow tasks, but no longer asks for activities:"
                " likely all of its slots are taken"
            )
    if not pending.activities:
        return ""
    # The one with the most failures, else the oldest.
    worst = min(pending.activities, key=lambda each: (-each.attempt, each.scheduled))
    more = len(pending.activities) - 1
    others = f" (and {more} more activit{'y' if more == 1 else 'ies'})" if more else ""
    waits = worst.started is None and (worst.next_attempt is None or worst.next_attempt <= now)
    more_of_it = _busy(workers or (), worst.task_queue) if waits else _gone(worst, now, queues, workers)
    return activity_waits(worst, now) + more_of_it + others


def activity_waits(activity: PendingActivity, now: int) -> str:
    """Describe the state of an activity: what failed, and what comes next."""
    name, failed = activity.entry, activity.attempt - 1
    last = ""
    if failed and activity.failure is not None:
        kind = f"{activity.failure.kind}: " if activity.failure.kind else ""
        last = f", last: {kind}{one_line(activity.failure.message)}"
    whose = f" on {activity.worker}" if activity.worker else ""
    if failed:
        times = "once" if failed == 1 else f"{failed} times"
        lost = activity.failure is None  # an attempt that ends without an outcome has lost its worker
        said = f"{name} has {'lost its worker' if lost else 'failed'} {times}{last}; "
        if activity.started is not None:
            runs = f"attempt {activity.attempt} has been running for {span(now - activity.started)}{whose}"
            return said + runs + _beat(activity, now) + _asked(activity)
        if activity.next_attempt is not None and activity.next_attempt > now:
            return said + f"next attempt in {span(activity.next_attempt - now)}"
        return said + f"attempt {activity.attempt} waits for a worker of task queue {activity.task_queue}"
    if activity.started is not None:
        runs = f"{name} has been running for {span(now - activity.started)}{whose}"
        return runs + _beat(activity, now) + _asked(activity)
    waits = f"has waited {span(now - activity.scheduled)}" if activity.scheduled else "waits"
    return f"{name} {waits} for a worker of task queue {activity.task_queue}"


def _asked(activity: PendingActivity) -> str:
    return "; its cancellation was requested, but it has not ended yet" if activity.canceled else ""


def _beat(activity: PendingActivity, now: int) -> str:
    if activity.heartbeat_time is None:
        return ""
    return f", last heartbeat {span(now - activity.heartbeat_time)} ago"


def _requests(pending: Pending, now: int) -> str:
    if not pending.requests:
        return ""
    oldest = min(pending.requests, key=lambda each: each.since)
    return (
        f"its request to {oldest.verb} {one_line(oldest.to)} has had no reply for {span(now - oldest.since)}"
    )


def _children(pending: Pending) -> str:
    if not pending.children:
        return ""
    first = pending.children[0]
    more = len(pending.children) - 1
    others = f" (and {more} more)" if more else ""
    return f"waits for its child {first.id}{others}; see `saros describe {first.id}`"


def _waits(pending: Pending, now: int, stack: Stack | None) -> str:
    last = "" if pending.moved is None else f"; last event {span(now - pending.moved)} ago"
    timer = min((each.due for each in pending.timers), default=None)
    topics = [] if stack is None else [one_line(topic) for topic in stack.topics]
    due = (
        "" if timer is None else f"a timer, due in {span(timer - now)}" if timer > now else "a timer, due now"
    )
    if topics:
        signal = f"the signal{'s' if len(topics) > 1 else ''} {', '.join(topics)}"
        return f"waits for {signal}{f' or {due}' if due else ''}{last}"
    if due:
        return f"waits for {due}"
    return f"waits for a message{last}"


def waits_in_short(pending: Pending, now: int, queues: Sequence[Queue] = (), workers: Workers = None) -> str:
    """Return what an execution waits for, for a row of a list; empty if it has ended."""
    if pending.status != RUNNING:
        return ""
    return shortened(reason(pending, now, queues, workers=workers), SHORT)
