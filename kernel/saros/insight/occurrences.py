"""The times of schedules, and the start request of each occurrence."""

from __future__ import annotations

import datetime as dt
import itertools
import zoneinfo
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec

from ..entries import Entry, Registry, did_you_mean, parse_duration
from ..interfaces.deployment import Deployment
from ..model import values
from ..model.errors import CONFLICT, NOT_FOUND, Error
from ..model.execution import Description, StartRequest
from ..model.records import StartOptions
from ..model.text import one_line
from ..model.timing import SECOND, Cron

MARK = "SarosSchedule"
"""The search attribute that names a run's schedule."""
BESIDE = "allow_all"
"""The overlap policy that starts runs beside others."""


class Occurrences:
    """The times of a schedule, which are the same on every worker.

    ``every`` means the multiples of the duration since 1970, UTC; `Cron` computes the times of ``cron``.
    """

    def __init__(self, entry: Entry) -> None:
        every = entry.get("every")
        self._every = 0 if every is None else parse_duration(every)
        self._cron = None if self._every else Cron(entry.get("cron"))
        self._zone = zoneinfo.ZoneInfo(entry.get("timezone") or "UTC")

    def after(self, now: int) -> int | None:
        """Return the first time after `now`, both in nanoseconds since 1970; None if no time is left."""
        if self._cron is not None:
            return self._cron.after(now, self._zone)
        return (now // self._every + 1) * self._every

    def newest(self, first: int, now: int) -> int:
        """Return the last time up to `now`; `first` is one."""
        following = self.after(first)
        if following is None or following > now:
            return first
        low, high = first, now  # the time after `low` has come by `now`, the one after `high` has not
        while high - low > 1:
            middle = (low + high) // 2
            found = self.after(middle)
            if found is not None and found <= now:
                low, following = middle, found
            else:
                high = middle
        return following


def name_of(time: int) -> str:
    """Return a time as part of a workflow id: ``2026-01-31T09:00:00Z``, with as many decimals as it needs."""
    text = dt.datetime.fromtimestamp(time // SECOND, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    rest = f"{time % SECOND:09d}".rstrip("0")
    return f"{text}.{rest}Z" if rest else f"{text}Z"


def schedule_entry(registry: Registry, id: str) -> Entry:
    """Return the schedule with an entry id.

    :raises Error: NOT_FOUND.
    """
    entry = registry.get(id)
    if entry is not None and entry.kind == "schedule":
        return entry
    if not registry.entries:
        what, hint = (
            f"there is no app at hand that would have the schedule {one_line(id)}",
            "give the app's directory",
        )
    else:
        what = f"the app has no schedule {one_line(id)}"
        hint = did_you_mean(id, [each.id for each in registry.of_kind("schedule")]) or ""
    raise Error(what, NOT_FOUND, retryable=False, hint=hint or None)


def start_request(deployment: Deployment, entry: Entry, id: str) -> StartRequest:
    """Return the request that starts a schedule's workflow for one occurrence; its id can start only once."""
    workflow = deployment.registry.workflow(entry.get("workflow"))
    worker, queue = deployment.registry.worker_and_queue(workflow, entry.worker or "@")
    given = entry.get("input")
    return StartRequest(
        id,
        workflow.id,
        workflow.type_name,
        worker,
        queue,
        msgspec.Raw(values.encode_args([] if given is None else [given])),
        options=StartOptions(
            id_conflict_policy="fail",
            id_reuse_policy="reject_duplicate",
            search_attributes=msgspec.Raw(values.encode({MARK: entry.id})),
        ),
        request_id=id,
    )


async def open_run(
    executions: Callable[[str], AsyncIterator[Description]], entry: Entry, own: str = ""
) -> Description | None:
    """Return a running run of a schedule, beside which its policy starts no other; None if there is none.

    :param executions: lists what a query selects.
    :param own: the id of the occurrence that is about to start, which does not count.
    """
    if entry.get("overlap") != BESIDE:
        async for found in executions(f"status = 'running' and {MARK} = '{entry.id}'"):
            if found.id != own:
                return found
    return None


def still_runs(entry: Entry, id: str) -> Error:
    """Return the error of a trigger while a run of the schedule goes on, beside which its policy starts nothing."""
    return Error(
        f"{entry.id} starts nothing beside {id}, which it has started and which is still running",
        CONFLICT,
        retryable=False,
        hint=f"end it first: `saros cancel {id}`; or give the schedule overlap: allow_all",
    )


def following(entry: Entry, now: int, count: int) -> list[int]:
    """Return the next times of a schedule, in nanoseconds since 1970."""
    occurrences = Occurrences(entry)

    def times() -> Iterator[int]:
        time = occurrences.after(now)
        while time is not None:
            yield time
            time = occurrences.after(time)

    return list(itertools.islice(times(), count))


def spec_of(entry: Entry) -> str:
    """Return the times of a schedule in short form, such as ``every 5m``."""
    every = entry.get("every")
    return f"every {every}" if every is not None else str(entry.get("cron"))
