"""The Python API's view of an execution: `Description`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from ..model import values
from ..model.timing import datetime_of

if TYPE_CHECKING:
    from ..model import execution

Status = Literal["running", "completed", "failed", "canceled", "terminated", "timed_out", "continued_as_new"]


@dataclass(frozen=True, slots=True)
class Description:
    """The state of a run of an execution, as returned by `Handle.describe` and `App.list`.

    Search attributes and the memo are plain data. On every backend, a value is the data of its JSON: a search
    attribute of type time is its RFC 3339 text, which `datetime.fromisoformat` reads, and bytes in a memo are
    the object ``{"$bin": "<base64>"}``.

    :param id: the workflow id.
    :param run_id: the run that is described.
    :param pid: the address of the execution; opaque.
    :param type: the type name of the workflow.
    :param entry: the id of its entry; the type name, if the app has no entry of that type.
    :param status: the status of the run.
    :param task_queue: the task queue of its workflow tasks.
    :param start_time: in UTC.
    :param close_time: in UTC; None while it runs.
    :param history_length: events.
    :param history_size: bytes.
    :param attempt: 1 for the first attempt; each retry of the workflow adds one.
    :param parent: the pid of the workflow that started it as its child.
    :param search_attributes: as set by the workflow or its start.
    :param memo: as set by the workflow or its start.
    :param problem: why the run is parked until its code is repaired, if it is. Not every backend includes it
        in lists.
    """

    id: str
    run_id: str
    pid: str
    type: str
    entry: str
    status: Status
    task_queue: str
    start_time: dt.datetime
    close_time: dt.datetime | None
    history_length: int
    history_size: int
    attempt: int
    parent: str | None
    search_attributes: dict[str, Any]
    memo: dict[str, Any]
    problem: str | None


def described(found: execution.Description) -> Description:
    """Convert a backend's description to the public one; only this function turns raw values into plain data."""
    return Description(
        id=found.id,
        run_id=found.run_id,
        pid=found.pid,
        type=found.type,
        entry=found.entry,
        status=cast(Status, found.status),
        task_queue=found.task_queue,
        start_time=datetime_of(found.start_time),
        close_time=None if found.close_time is None else datetime_of(found.close_time),
        history_length=found.history_length,
        history_size=found.history_size,
        attempt=found.attempt,
        parent=found.parent,
        search_attributes=_data(found.search_attributes),
        memo=_data(found.memo),
        problem=found.problem,
    )


def _data(members: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    return {name: values.decode(values.from_plain(bytes(raw))) for name, raw in members.items()}
