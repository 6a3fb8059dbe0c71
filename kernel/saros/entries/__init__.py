"""Entries: the YAML of an application, read and checked.

A kind of entry is declared once, with `Kind` and the field types; the declaration checks entries, fills
in defaults and makes the JSON Schema for editors. `load` gives a `Registry`, or raises an `AppError`
that names every problem of the app at once.
"""

from __future__ import annotations

from ..model.durations import parse_duration
from .core import CORE_KINDS
from .entry import Entry
from .field import Field
from .fields import ListOf, MapOf, Reference, Source, Table
from .kinds import ACTIVITY_META, LIFECYCLE_KEYS, POOL, WORKFLOW_META, Kind
from .loader import load
from .problems import AppError, Problem
from .registry import Registry
from .scalars import Choice, Data, Duration, Flag, Number, Text
from .schema import json_schema

__all__ = [
    "ACTIVITY_META",
    "CORE_KINDS",
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
    "Kind",
    "ListOf",
    "MapOf",
    "Number",
    "Problem",
    "Reference",
    "Registry",
    "Source",
    "Table",
    "Text",
    "json_schema",
    "load",
    "parse_duration",
]
