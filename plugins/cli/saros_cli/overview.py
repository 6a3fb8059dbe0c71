"""What people see of workers, queues and pending work: rows of tables, and the tree of `saros describe`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from saros.insight.parked import activities_of, pending_of, with_problems
from saros.insight.reasons import activity_waits, reason, span, waits_in_short
from saros.interfaces.insight import Paused, Queue, Schedule, Stack, Worker
from saros.interfaces.insight.pending import Pending
from saros.model.background import each
from saros.model.errors import Error
from saros.model.execution import RUNNING
from saros.model.text import json_visible, one_line
from saros.model.values import readable

from .output import moment

if TYPE_CHECKING:
    from saros.app.app import App
    from saros.model.execution import Description

WORKERS: Final = ("WORKER", "TASK QUEUES", "SLOTS", "SAROS", "APP", "HEARD")
QUEUES: Final = ("TASK QUEUE", "KIND", "WAITING", "OLDEST", "POLLERS")
SCHEDULES: Final = ("SCHEDULE", "STARTS", "TIMES", "LAST", "NEXT", "STATE")
LOOKED_AT: Final = 200
"""Running executions in which `top` looks for activities that fail."""
SHOWN: Final = 15
TAIL_CALL: Final = "in a tail call (return f(…)), which leaves no line"
AT_ONCE: Final = 16
"""Executions that the backend is asked about concurrently."""


def _ago(now: int, then: int | None) -> str:
    return "" if then is None else f"{span(now - then)} ago"


def worker_rows(workers: Sequence[Worker], now: int) -> list[tuple[str, ...]]:
    return [
        (
            one.identity,
            ", ".join(one.task_queues),
            ", ".join(slots_of(one)),
            one.version,
            one.app,
            _ago(now, one.heard),
        )
        for one in workers
    ]


def slots_of(worker: Worker) -> list[str]:
    """Describe the slots of a worker, with the task queue of each if it serves several."""
    several = len(worker.task_queues) > 1
    return [
        f"{slot.used}{f' of {slot.total}' if slot.total else ''} {slot.kind}"
        + (f" of {slot.task_queue}" if slot.task_queue and several else "")
        for slot in worker.slots
    ]


def queue_rows(queues: Sequence[Queue], now: int) -> list[tuple[str, ...]]:
    return [
        (
            one.name,
            one.kind,
            "?" if one.waiting is None else str(one.waiting),
            "" if one.oldest is None else span(now - one.oldest),
            str(one.pollers),
        )
        for one in queues
    ]


def schedule_rows(schedules: Sequence[Schedule], now: int) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in schedules:
        state = "active"
        if one.paused is not None:
            state = f"paused{f': {one.paused.reason}' if one.paused.reason else ''}"
        last = f"{moment(one.last[0].time)} {one.last[0].status}" if one.last else ""
        following = moment(one.next[0]) if one.next else "never"
        rows.append((one.id, one.workflow, one.spec, last.rstrip(), following, state))
    return rows


# --- one execution ---------------------------------------------------------------------------------


class Insight(msgspec.Struct):
    """What `saros describe` adds to a description."""

    pending: Pending
    reason: str
    stack: Stack | None = None
    no_stack: str = ""  # why there is none, although it runs


async def insight_of(app: App, id: str, run_id: str) -> Insight:
    """What an execution waits for, and likely why. Where its code cannot be replayed, it is told without a stack."""
    handle = app.get(id, run_id)
    pending = await handle.pending()
    stack, missing = None, ""
    if pending.status == RUNNING and pending.parked is None and pending.task is None:
        try:
            stack = await handle.stack()
        except Error as error:  # this client has not its app, or not the right version
            missing = error.message
    served = sorted(_served(pending))
    queues = await app.queues(served) if pending.status == RUNNING else []
    workers = await app.workers(served) if pending.activities or pending.task else None
    return Insight(pending, reason(pending, app.clock.now(), queues, stack, workers), stack, missing)


async def waits_of(app: App, runs: Sequence[Description]) -> list[str]:
    """What each of these runs waits for, in a few words."""

    async def pending(run: Description) -> Pending | None:
        return await pending_of(app.backend, run) if run.status == RUNNING else None

    found = await each(pending, runs, AT_ONCE)
    served = sorted({name for pending in found if pending is not None for name in _served(pending)})
    queues = await app.queues(served) if served else []
    workers = await app.workers(served) if served else None
    now = app.clock.now()
    return ["" if pending is None else waits_in_short(pending, now, queues, workers) for pending in found]


def _served(pending: Pending) -> set[str]:
    """Return the task queues of a run's tasks: its own, and those of its activities."""
    return {pending.task_queue, *(activity.task_queue for activity in pending.activities)} - {""}


def pending_lines(insight: Insight, now: int) -> Iterator[str]:
    """The tree of what an execution waits for."""
    pending, stack = insight.pending, insight.stack
    if pending.status != RUNNING:
        return
    yield f"why               {insight.reason}"
    for activity in pending.activities:
        yield f"activity          {one_line(activity_waits(activity, now))}"
        queue, id = one_line(activity.task_queue), one_line(activity.id)
        yield f"  task queue      {queue}, attempt {activity.attempt}, id {id}"
        if bytes(activity.heartbeat):
            details = json_visible(bytes(readable(activity.heartbeat)).decode())
            yield f"  heartbeat       {details}  {_ago(now, activity.heartbeat_time)}".rstrip()
    for timer in pending.timers:
        yield f"timer             due in {span(timer.due - now)}, at {moment(timer.due)}"
    for child in pending.children:
        yield f"child             {one_line(child.id)} of {one_line(child.entry)} {child.status}".rstrip()
    for request in pending.requests:
        yield f"request           {request.verb} {one_line(request.to)}, sent {span(now - request.since)} ago"
    if insight.no_stack:
        yield f"stack             none: {one_line(insight.no_stack)}"
    if stack is not None:
        for number, one in enumerate(stack.coroutines, 1):
            frame = one_line(one.frames[0]) if one.frames else TAIL_CALL
            waits = f", waits for {one_line(one.waits)}" if one.waits else ""
            name = f"coroutine {number}"
            yield f"{name:<18}{frame}{waits}"
        for title, names in (
            ("topics", stack.topics),
            ("queries", stack.queries),
            ("updates", stack.updates),
        ):
            if names:
                yield f"{title:<18}{', '.join(map(one_line, names))}"


# --- the whole -------------------------------------------------------------------------------------


class Failing(msgspec.Struct):
    """An activity that has failed, and is tried again."""

    id: str
    entry: str
    attempt: int
    said: str


class ParkedRun(msgspec.Struct):
    """A run whose workflow task fails."""

    id: str
    entry: str
    problem: str


class Overview(msgspec.Struct):
    """What `saros top` shows. `failing` and `parked` are of the newest running executions."""

    time: int
    counts: dict[str, int]
    queues: list[Queue]
    workers: list[Worker]
    failing: list[Failing]
    parked: list[ParkedRun]
    paused: dict[str, Paused]  # schedules


async def overview(app: App) -> Overview:
    now = app.clock.now()
    served: set[str] = set()

    async def failing_of(run: Description) -> list[Failing]:
        served.add(run.task_queue)
        activities = await activities_of(app.backend, run)
        served.update(activity.task_queue for activity in activities if activity.task_queue)
        return [
            Failing(run.id, activity.entry, activity.attempt, activity_waits(activity, now))
            for activity in activities
            if activity.attempt > 1
        ]

    page = await app.page(f"status = '{RUNNING}'", limit=LOOKED_AT)
    failing = [one for found in await each(failing_of, page.items, AT_ONCE) for one in found]
    failing.sort(key=lambda one: -one.attempt)
    runs = await with_problems(app.backend, page.items)
    return Overview(
        now,
        await app.counts(),
        await app.queues(sorted(served)),
        await app.workers(sorted(served)),
        failing,
        [ParkedRun(run.id, run.entry, run.problem) for run in runs if run.problem],
        await app.backend.paused(),
    )


def overview_lines(found: Overview) -> list[str]:
    counts = ", ".join(f"{count} {status}" for status, count in sorted(found.counts.items())) or "none"
    lines = [f"executions: {counts}", ""]
    if found.paused:
        lines[1:1] = [f"paused schedules: {', '.join(map(one_line, sorted(found.paused)))}"]
    failing: list[tuple[str, ...]] = [(one.id, f"parked: {one.problem}") for one in found.parked[:SHOWN]]
    failing += [(one.id, one.said) for one in found.failing[:SHOWN]]
    for kind, count in (("parked", len(found.parked)), ("retrying", len(found.failing))):
        if count > SHOWN:
            least = "at least " if count >= LOOKED_AT else ""
            failing.append(("…", f"{least}{count - SHOWN} more: `saros list --status {kind}`"))
    for titles, rows in (
        (QUEUES, queue_rows(found.queues, found.time)),
        (WORKERS, worker_rows(found.workers, found.time)),
        (("EXECUTION", "FAILING"), failing),
    ):
        lines += [*aligned(titles, rows), ""]
    return lines[:-1]


def aligned(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    cells = [titles, *(tuple(map(one_line, row)) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(titles))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
