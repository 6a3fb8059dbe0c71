"""The lengths of task queues, for stores that compute them from their runs."""

from __future__ import annotations

from collections.abc import Iterable

from ..interfaces.insight import ACTIVITY, WORKFLOW, Queue
from ..interfaces.insight.pending import Pending


def queues_of(runs: Iterable[Pending], now: int) -> list[Queue]:
    """Return the task queues with pending tasks of these runs.

    :param now: nanoseconds since 1970; an attempt that is due later is on no queue yet.
    """
    queues: dict[tuple[str, str], Queue] = {}

    def queue(name: str, kind: str) -> Queue:
        return queues.setdefault((name, kind), Queue(name, kind, 0))

    def waits(queue: Queue, since: int | None) -> None:
        queue.waiting = (queue.waiting or 0) + 1
        if since is not None:
            queue.oldest = since if queue.oldest is None else min(queue.oldest, since)

    for run in runs:
        own = queue(run.task_queue, WORKFLOW)
        if run.task is not None and run.task.started is None:
            waits(own, run.task.since)
        for activity in run.activities:
            theirs = queue(activity.task_queue, ACTIVITY)
            since = activity.next_attempt or activity.scheduled or None
            if activity.started is None and (since is None or since <= now):
                waits(theirs, since)
    return list(queues.values())
