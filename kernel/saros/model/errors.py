"""One exception family for everything that can go wrong.

A `saros.Error` is what Lua code sees as ``err``: it crosses every boundary (Lua, history, wire,
another SDK) as an `ErrorData` record, and keeps its kind, message, retryable and details.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .raw import ABSENT, Raw

NOT_FOUND: Final = "NotFound"
ALREADY_EXISTS: Final = "AlreadyExists"
INVALID: Final = "Invalid"
PERMISSION_DENIED: Final = "PermissionDenied"
UNAVAILABLE: Final = "Unavailable"
INTERNAL: Final = "Internal"
CANCELED: Final = "Canceled"
CONFLICT: Final = "Conflict"
TIMEOUT: Final = "Timeout"
RATE_LIMITED: Final = "RateLimited"
UNKNOWN: Final = ""

#: Kinds that are retried if the error itself does not say whether it is retryable.
TRANSIENT_KINDS: Final = frozenset({TIMEOUT, UNAVAILABLE, RATE_LIMITED})


MAX_TEXT: Final = 10_000
"""Bytes (UTF-8) of each text of an error that crosses a boundary; what is longer is cut and tells its size."""


def _bounded(text: str) -> str:
    data = text.encode(errors="backslashreplace")
    if len(data) <= MAX_TEXT:
        return text
    marker = f"... ({len(data)} bytes)"
    return data[: MAX_TEXT - len(marker)].decode(errors="ignore") + marker


class ErrorData(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as a boundary sees it; `details` is the JSON of a value (see `saros.model.values`).

    Its texts have `MAX_TEXT` bytes at most.
    """

    message: str
    kind: str = UNKNOWN
    retryable: bool | None = None
    details: Raw = ABSENT
    stack: str | None = None
    context: str = ""  # the text that `errors.wrap` put in front of the message

    def __post_init__(self) -> None:
        for name in ("message", "kind", "stack", "context"):
            text = getattr(self, name)
            if text and len(text) > MAX_TEXT // 4:  # a character has four bytes at most
                msgspec.structs.force_setattr(self, name, _bounded(text))

    def may_retry(self) -> bool:
        """True if a retry policy applies (see "Failure semantics" in the documentation)."""
        return self.kind in TRANSIENT_KINDS if self.retryable is None else self.retryable


class Error(Exception):
    """A failure with a kind, as in Lua's ``errors.new{...}``.

    :param message: what went wrong, for a human.
    :param kind: one of the constants of this module, or the application's own word.
    :param retryable: ``None`` leaves the decision to the kind.
    :param details: any value that can cross a boundary.
    :param context: the text that `errors.wrap` put in front of the message.
    :param where: the place of a user's mistake, such as ``app/_index.yaml:12``.
    :param hint: what to do about it.
    """

    def __init__(
        self,
        message: str,
        kind: str = UNKNOWN,
        *,
        retryable: bool | None = None,
        details: Any = None,
        where: str | None = None,
        hint: str | None = None,
        stack: str | None = None,
        context: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.context = context
        self.kind = kind
        self.retryable = retryable
        self.details = details
        self.where = where
        self.hint = hint
        self.stack = stack

    def __str__(self) -> str:
        text = f"{self.context}: {self.message}" if self.context else f"{self.message}"
        return f"{text} ({self.where})" if self.where else text

    def __repr__(self) -> str:
        return f"saros.Error({self.message!r}, kind={self.kind!r}, retryable={self.retryable!r})"


class NonDeterminism(Error):
    """Replayed code issued other commands than its history records; the workflow task is parked."""

    def __init__(self, message: str, *, event: int, expected: str, actual: str, where: str | None) -> None:
        super().__init__(
            message,
            INTERNAL,
            retryable=False,
            details={"event": event, "expected": expected, "actual": actual},
            where=where,
            hint="restore the old order of commands, or guard the change with workflow.version()",
        )


class CodeError(Error):
    """The code of an entry cannot run (a syntax error, a missing file or method) until it is repaired."""
