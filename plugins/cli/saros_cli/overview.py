"""What people see of workers, queues and pending work: rows of tables, and the tree of `saros describe`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from saros.insight.reasons import activity_waits, reason, span, waits_in_short
from saros.interfaces.insight import Queue, Schedule, Stack, Worker
from saros.interfaces.insight.pending import Pending
from saros.model.errors import NOT_FOUND, Error
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


def _ago(now: int, then: int | None) -> str:
    return "" if then is None else f"{span(now - then)} ago"


def worker_rows(workers: Sequence[Worker], now: int) -> list[tuple[str, ...]]:
    return [
        (
            each.identity,
            ", ".join(each.task_queues),
            ", ".join(
                f"{slot.used}{f' of {slot.total}' if slot.total else ''} {slot.kind}" for slot in each.slots
            ),
            each.version,
            each.app,
            _ago(now, each.heard),
        )
        for each in workers
    ]


def queue_rows(queues: Sequence[Queue], now: int) -> list[tuple[str, ...]]:
    return [
        (
            each.name,
            each.kind,
            "?" if each.waiting is None else str(each.waiting),
            "" if each.oldest is None else span(now - each.oldest),
            str(each.pollers),
        )
        for each in queues
    ]


def schedule_rows(schedules: Sequence[Schedule], now: int) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for each in schedules:
        state = "active"
        if each.paused is not None:
            state = f"paused{f': {each.paused.reason}' if each.paused.reason else ''}"
        last = f"{moment(each.last[0].time)} {each.last[0].status}" if each.last else ""
        following = moment(each.next[0]) if each.next else "never"
        rows.append((each.id, each.workflow, each.spec, last.rstrip(), following, state))
    return rows


# --- one execution ---------------------------------------------------------------------------------


class Insight(msgspec.Struct):
    """What `saros describe` adds to a description."""

    pending: Pending
    reason: str
    stack: Stack | None = None


async def insight_of(app: App, id: str, run_id: str) -> Insight:
    """What an execution waits for, and likely why. Where its code cannot be replayed, it is told without a stack."""
    handle = app.get(id, run_id)
    pending = await handle.pending()
    stack = None
    if pending.status == RUNNING and pending.parked is None and pending.task is None:
        try:
            stack = await handle.stack()
        except Error:  # this client has not its app, or not the right version
            stack = None
    queues = await app.queues() if pending.status == RUNNING else []
    return Insight(pending, reason(pending, app.clock.now(), queues, stack), stack)


async def waits_of(app: App, runs: Sequence[Description]) -> list[str]:
    """What each of these runs waits for, in a few words."""
    said = []
    for run in runs:
        try:
            pending = await app.backend.pending(run.id, run.run_id) if run.status == RUNNING else None
        except Error as error:
            if error.kind != NOT_FOUND:  # it has gone meanwhile
                raise
            pending = None
        said.append(waits_in_short(pending, app.clock.now()) if pending is not None else "")
    return said


def pending_lines(insight: Insight, now: int) -> Iterator[str]:
    """The tree of what an execution waits for."""
    pending, stack = insight.pending, insight.stack
    if pending.status != RUNNING:
        return
    yield f"why       {insight.reason}"
    for activity in pending.activities:
        yield f"activity  {one_line(activity_waits(activity, now))}"
        yield f"  task queue  {one_line(activity.task_queue)}, attempt {activity.attempt}, id {one_line(activity.id)}"
        if bytes(activity.heartbeat):
            details = json_visible(bytes(readable(activity.heartbeat)).decode())
            yield f"  heartbeat   {details}  {_ago(now, activity.heartbeat_time)}".rstrip()
    for timer in pending.timers:
        yield f"timer     due in {span(timer.due - now)}, at {moment(timer.due)}"
    for child in pending.children:
        yield f"child     {one_line(child.id)} of {one_line(child.entry)} {child.status}".rstrip()
    for request in pending.requests:
        yield f"request   {request.verb} {one_line(request.to)}, sent {span(now - request.since)} ago"
    if stack is not None:
        for number, each in enumerate(stack.coroutines, 1):
            frame = one_line(each.frames[0]) if each.frames else "?"
            yield f"coroutine {number} at {frame}{f', waits for {one_line(each.waits)}' if each.waits else ''}"
        for title, names in (
            ("topics", stack.topics),
            ("queries", stack.queries),
            ("updates", stack.updates),
        ):
            if names:
                yield f"{title:<10}{', '.join(map(one_line, names))}"


# --- the whole -------------------------------------------------------------------------------------


class Failing(msgspec.Struct):
    """An activity that has failed, and is tried again."""

    id: str
    entry: str
    attempt: int
    said: str


class Overview(msgspec.Struct):
    """What `saros top` shows. `failing` is of the newest running executions."""

    time: int
    counts: dict[str, int]
    queues: list[Queue]
    workers: list[Worker]
    failing: list[Failing]


async def overview(app: App) -> Overview:
    now = app.clock.now()
    failing: list[Failing] = []
    page = await app.page(f"status = '{RUNNING}'", limit=LOOKED_AT)
    for run in page.items:
        try:
            pending = await app.get(run.id, run.run_id).pending()
        except Error as error:
            if error.kind != NOT_FOUND:  # it has gone meanwhile
                raise
            continue
        failing += [
            Failing(run.id, each.entry, each.attempt, activity_waits(each, now))
            for each in pending.activities
            if each.attempt > 1
        ]
    failing.sort(key=lambda each: -each.attempt)
    return Overview(now, await app.counts(), await app.queues(), await app.workers(), failing)


def overview_lines(found: Overview) -> list[str]:
    counts = ", ".join(f"{count} {status}" for status, count in sorted(found.counts.items())) or "none"
    lines = [f"executions: {counts}", ""]
    failing: list[tuple[str, ...]] = [(each.id, each.said) for each in found.failing[:SHOWN]]
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
