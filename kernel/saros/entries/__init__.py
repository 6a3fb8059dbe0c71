"""Entries: the YAML of an application, read and checked.

A kind of entry is declared once, with `Kind` and the field types; the declaration checks entries, fills
in defaults and makes the JSON Schema for editors. `load` returns a `Registry`, or raises an `AppError`
that names every problem of the app at once.
"""

from __future__ import annotations

from ..model.timing import parse_duration
from .compound import Ignored, ListOf, MapOf, Reference, Source, Table
from .core import CORE_KINDS
from .entry import Entry
from .fields import Choice, Data, Duration, Field, Flag, Number, Place, Text
from .kinds import ACTIVITY_META, LIFECYCLE_KEYS, POOL, WORKFLOW_META, Kind, json_schema
from .loader import load
from .problems import BAD, Problem, did_you_mean
from .registry import DEFAULT_TASK_QUEUE, AppError, Registry

__all__ = [
    "ACTIVITY_META",
    "BAD",
    "CORE_KINDS",
    "DEFAULT_TASK_QUEUE",
    "LIFECYCLE_KEYS",
    "POOL",
    "WORKFLOW_META",
    "AppError",
    "Choice",
    "Data",
    "Duration",
    "Entry",
    "Field",
    "Flag",
    "Ignored",
    "Kind",
    "ListOf",
    "MapOf",
    "Number",
    "Place",
    "Problem",
    "Reference",
    "Registry",
    "Source",
    "Table",
    "Text",
    "did_you_mean",
    "json_schema",
    "load",
    "parse_duration",
]
