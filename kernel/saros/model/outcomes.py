"""Outcomes: what a call, a child or a run ends with."""

from __future__ import annotations

from typing import Any

import msgspec

from . import values
from .errors import INTERNAL, Error, ErrorData
from .records import Outcome
from .values import Json


def value_of(body: Json) -> Json:
    """The value in an `Outcome`.

    :raises Error: what it failed with.
    """
    outcome = msgspec.json.decode(body, type=Outcome)
    if outcome.err is not None:
        raise values.to_error(outcome.err)
    return bytes(outcome.ok) if outcome.ok else values.NULL


def error_of(raised: BaseException) -> ErrorData:
    """What an exception that a function raised is to its caller (see "Failure semantics"). It raises nothing."""
    if isinstance(raised, Error):
        try:
            return values.error_data(raised)
        except Exception:  # a class of the user's own, without what an Error has
            return ErrorData(
                f"{values.text_of(type(raised).__name__)} is not a whole saros.Error", INTERNAL, False
            )
    kind: str
    if isinstance(raised, TimeoutError):
        kind = "Timeout"
    elif isinstance(raised, OSError):
        kind = "Unavailable"
    else:
        kind = "Internal"
    name = values.text_of(type(raised).__name__)
    text = values.text_of(raised) or name
    retryable: Any = None if kind != "Internal" else False
    return ErrorData(f"{name}: {text}" if kind == "Internal" else text, kind, retryable)
