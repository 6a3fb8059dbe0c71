"""Search attributes: which values they may have."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from . import values
from .values import Json

STRING: Final = "string"
INTEGER: Final = "integer"
FLOAT: Final = "float"
BOOLEAN: Final = "boolean"
TIME: Final = "time"
LIST: Final = "list"


def type_of(value: Any) -> str | None:
    """The search attribute type of a value; None when it can be none."""
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return INTEGER
    if isinstance(value, float):
        return FLOAT
    if isinstance(value, str):
        return TIME if parse_time(value) else STRING
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return LIST
    return None


def parse_time(text: str) -> dt.datetime | None:
    """The time that an RFC 3339 text with a time zone is, else None."""
    if len(text) < 20 or text[4] != "-" or text[10] not in "Tt ":
        return None
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else None


def refused_values(search: Json) -> dict[str, str]:
    """Which of these attributes (a JSON object) have values that no search attribute can have, and why."""
    found = values.decode(search)
    return {
        name: f"the search attribute {name} must be a text, a number, true or false, a time or a list of texts"
        for name, value in found.items()
        if value is not None and type_of(value) is None
    }


def check_search(search: Json) -> str | None:
    """Say why these attributes cannot all be stored; None when they can."""
    if not isinstance(values.decode(search), dict):
        return "search attributes must be a table with names as keys"
    return _reasons(refused_values(search))


def admitted(search: Json, refused: Mapping[str, str]) -> tuple[Json, str | None]:
    """Split attributes into those that are stored, and the reasons why the refused ones are not.

    :param refused: name -> reason.
    """
    if not refused:
        return search, None
    kept = {name: value for name, value in values.decode(search).items() if name not in refused}
    return values.encode(kept), _reasons(refused)


def _reasons(refused: Mapping[str, str]) -> str | None:
    return "; ".join(dict.fromkeys(refused.values())) or None


def upserted(old: Mapping[str, msgspec.Raw], new: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Attributes after an upsert: a null removes its name. Nothing given is changed: runs share attributes."""
    merged = {**old, **{name: msgspec.Raw(bytes(value)) for name, value in new.items()}}
    return {name: value for name, value in merged.items() if bytes(value) != b"null"}
