"""The kinds ``process.service`` and ``schedule``."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from typing import Final

from saros.entries import (
    LIFECYCLE_KEYS,
    Choice,
    Data,
    Duration,
    Entry,
    Kind,
    ListOf,
    Number,
    Problem,
    Reference,
    Registry,
    Table,
    Text,
)
from saros.model.errors import Error
from saros.model.timing import SECOND, Cron, parse_duration

RESTART: Final = Table(
    {
        "max_attempts": Number(whole=True, least=0, default=0, doc="0 means no limit."),
        "initial_delay": Duration(default="1s"),
        "max_delay": Duration(default="90s"),
        "backoff_factor": Number(least=1, default=2.0),
        "jitter": Number(
            least=0,
            most=1,
            default=0.0,
            doc="The fraction by which a delay varies at random: 0.1 is 10 % up or down.",
        ),
    },
    doc="What happens when the process fails.",
)

PROCESS_SERVICE: Final = Kind(
    "process.service",
    role="service",
    doc="A supervised process.",
    fields={
        "process": Reference(roles=("process",), required=True, doc="The process to run."),
        "host": Reference(kinds=("process.host",), doc="The host that runs it; default: the app's own host."),
        "input": ListOf(Data(), doc="The arguments of the process."),
        "lifecycle": Table(
            {
                **LIFECYCLE_KEYS,
                "start_timeout": Duration(
                    default="10s", positive=True, doc="A start that takes longer is a failure."
                ),
                "stop_timeout": Duration(
                    default="10s", doc="How long the process may take to end after its cancellation."
                ),
                "stable_threshold": Duration(
                    default="5s", doc="After a run of this length, earlier failures no longer count."
                ),
                "restart": RESTART,
            },
            doc="When it starts, stops and restarts.",
        ),
    },
)


def _check_schedule(entry: Entry, registry: Registry) -> Iterator[Problem]:
    cron, every, timezone = entry.get("cron"), entry.get("every"), entry.get("timezone")
    if (cron is None) == (every is None):
        what = "neither `cron` nor `every`" if cron is None else "both `cron` and `every`"
        yield entry.problem(
            f"the schedule has {what}", hint='write for example cron: "0 9 * * 1-5", or every: 15m'
        )
    if cron is not None:
        try:
            Cron(cron)
        except Error as error:
            yield entry.problem(f"`cron`: {error.message}", "cron", error.hint)
    if every is not None and parse_duration(every) % SECOND:
        yield entry.problem(
            f"`every` is not a whole number of seconds: {every}",
            "every",
            hint="write for example 15m or 30s",
        )
    if timezone is not None:
        try:
            zoneinfo.ZoneInfo(timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            yield entry.problem(
                f'`timezone` is unknown: "{timezone}"',
                "timezone",
                hint='write a name such as "Europe/Berlin"',
            )


SCHEDULE: Final = Kind(
    "schedule",
    role="service",
    doc="Starts a workflow at regular times.",
    check=_check_schedule,
    fields={
        "workflow": Reference(roles=("workflow",), required=True, doc="The workflow to start."),
        "worker": Reference(kinds=("temporal.worker",), doc="Default: the workflow's worker."),
        "cron": Text(doc="Minute, hour, day, month, weekday."),
        "every": Duration(positive=True),
        "input": Data(doc="The argument of the workflow."),
        "overlap": Choice(
            ("skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all"),
            default="skip",
            doc="What happens if the previous run is still running.",
        ),
        "timezone": Text(doc="The time zone of `cron`; default: UTC."),
    },
)
