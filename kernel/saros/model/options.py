"""The start options. All backends accept and refuse the same values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from . import values
from .errors import INVALID, Error
from .execution import check_id, check_text
from .records import RetryPolicy, StartOptions
from .search import check_search
from .timing import next_cron

MAX_MS: Final = 100 * 366 * 86_400_000
"""The longest duration of an option: a hundred years, in milliseconds."""
MAX_ATTEMPTS: Final = 2**31 - 1
MAX_NAME: Final = 1_000
"""Bytes of an id or of a name, such as that of a task queue or of a topic."""

MAX_REGISTERED: Final = 900
"""Bytes of a registered name; on Temporal it is a part of an id."""

_DURATIONS: Final = ("execution_timeout", "run_timeout", "task_timeout", "start_delay")
_CHOICES: Final = {
    "id_conflict_policy": ("use_existing", "fail", "terminate_existing"),
    "id_reuse_policy": ("allow_duplicate", "allow_duplicate_failed_only", "reject_duplicate"),
    "parent_close_policy": ("terminate", "abandon", "request_cancel"),
}


def check_start(options: StartOptions, id: str) -> None:
    """Check the start options of a workflow.

    :param id: the workflow id.
    :raises Error: INVALID, naming the option and its valid values.
    """
    check_id(id)
    for name in _DURATIONS:
        _check_duration(name, getattr(options, name))
    for name, choices in _CHOICES.items():
        if getattr(options, name) not in choices:
            raise _wanted(name, f"one of {', '.join(choices)}")
    if options.id_conflict_policy == "terminate_existing" and options.id_reuse_policy == "reject_duplicate":
        raise Error(
            "options id_conflict_policy terminate_existing and id_reuse_policy reject_duplicate cannot be combined",
            INVALID,
            retryable=False,
        )
    if len(options.task_queue.encode()) > MAX_NAME:
        raise _wanted("task_queue", f"a name of at most {MAX_NAME} bytes")
    if options.retry_policy is not None:
        check_retry(options.retry_policy)
    if options.cron_schedule:
        _check_cron(options)
    _check_attributes(options)


def check_name(name: str) -> str:
    """Return a name that a workflow can be registered under, or the empty string.

    :raises Error: INVALID when it is too long, or as `check_text` does.
    """
    if len(check_text(name, "name").encode()) > MAX_REGISTERED:
        raise Error(f"a name has at most {MAX_REGISTERED} bytes", INVALID, retryable=False)
    return name


def check_retry(policy: RetryPolicy) -> None:
    """:raises Error: INVALID, naming the key of the retry policy and its valid values."""
    for name in ("initial_interval", "maximum_interval"):
        _check_duration(f"retry_policy.{name}", getattr(policy, name))
    if not policy.backoff_coefficient >= 1:
        raise _wanted("retry_policy.backoff_coefficient", "a number of at least 1")
    if not 0 <= policy.maximum_attempts <= MAX_ATTEMPTS:
        raise _wanted("retry_policy.maximum_attempts", f"a whole number from 0 to {MAX_ATTEMPTS}")


def _check_duration(name: str, ms: int) -> None:
    if not 0 <= ms <= MAX_MS:
        raise _wanted(name, "a duration that is not negative and at most 100 years")


def _check_attributes(options: StartOptions) -> None:
    if options.memo and not bytes(options.memo).startswith(b"{"):
        raise _wanted("memo", "a table with names as keys")
    why = check_search(bytes(options.search_attributes)) if options.search_attributes else None
    if why:
        raise Error(why, INVALID, retryable=False)


def _check_cron(options: StartOptions) -> None:
    next_cron(options.cron_schedule, 0)
    if options.start_delay:
        raise Error(
            "options start_delay and cron_schedule cannot be combined; the schedule determines the first start",
            INVALID,
            retryable=False,
        )


def _wanted(name: str, what: str) -> Error:
    return Error(f"option {name} must be {what}", INVALID, retryable=False)


def parse_start_options(options: Mapping[str, Any]) -> StartOptions:
    """Start options from plain values, as Lua's ``process.with_options`` takes them.

    :raises Error: INVALID, naming the option.
    """
    if not options:
        return StartOptions()
    plain: dict[str, Any] = {}
    for key, value in options.items():
        name = key.removeprefix("temporal.").removeprefix("workflow.")
        plain[name] = value
    unknown = set(plain) - set(StartOptions.__struct_fields__)
    if unknown:
        raise Error(f"unknown start option {sorted(unknown)[0]}", INVALID, retryable=False)
    try:
        return msgspec.json.decode(values.encode(plain), type=StartOptions)
    except msgspec.ValidationError as exc:
        raise Error(f"bad start option: {exc}", INVALID, retryable=False) from exc
