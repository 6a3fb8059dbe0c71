"""What a kind of entry is, and the parts that several kinds share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

from ..model.errors import ALREADY_EXISTS, Error
from .compound import ListOf, Reference, Table
from .entry import WORKER, Entry
from .fields import Choice, Field, Flag, Number, Text
from .problems import Problem
from .registry import Registry

Role = Literal["workflow", "function", "process", "library", "service", "config"]

Check = Callable[[Entry, Registry], Iterable[Problem]]

LIFECYCLE_KEYS: Final[Mapping[str, Field]] = {
    "auto_start": Flag(default=True, doc="Whether it starts with the app."),
    "depends_on": ListOf(Reference(), doc="Entries that must have started before it."),
    "requires": ListOf(Reference(), doc="The same as `depends_on`."),
}

_TEMPORAL_WORKER: Final = Reference(
    kinds=(WORKER,), doc="The worker that runs it; default: the app's only worker."
)

WORKFLOW_META: Final = Table(
    {
        "temporal": Table(
            {
                "workflow": Table(
                    {
                        "worker": _TEMPORAL_WORKER,
                        "name": Text(
                            pattern=r"\S(?:.*\S)?", form="a name", doc="Type name; default: the id."
                        ),
                    }
                )
            }
        )
    },
    open=True,
    doc="Free-form; `temporal.workflow` sets the workflow's worker and type name.",
)
"""The `meta` of workflows."""

ACTIVITY_META: Final = Table(
    {
        "temporal": Table(
            {
                "activity": Table(
                    {
                        "worker": _TEMPORAL_WORKER,
                        "local": Flag(doc="Run as a local activity: no trip through a task queue."),
                    }
                )
            }
        )
    },
    open=True,
    doc="Free-form; `temporal.activity` sets where it runs as an activity.",
)
"""The `meta` of entries that workflows may call."""

POOL: Final = Table(
    {
        "type": Choice(("inline", "lazy", "static", "adaptive")),
        "size": Number(whole=True, least=0),
        "workers": Number(whole=True, least=0),
        "max_size": Number(whole=True, least=0),
        "buffer": Number(whole=True, least=0),
    },
    doc="How many instances are kept ready.",
)

_NO_META: Final = Table({}, open=True, doc="Free-form.")


def no_problems(entry: Entry, registry: Registry) -> Iterable[Problem]:
    """The default check: the keys describe the kind completely."""
    return ()


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of entry.

    :param name: its name in entries, such as ``workflow.lua``.
    :param role: the part that its entries play in the app.
    :param runtime: the runtime that runs its code; empty if it has no code.
    :param fields: its keys, besides ``name`` and ``kind``. ``meta`` and, for services and configuration,
        ``lifecycle`` are there even if they are not listed.
    :param doc: one sentence for editors and documentation.
    :param check: a check beyond single keys. It is called with a registry of valid entries, once the
        entry itself and all that it refers to are valid.
    """

    name: str
    role: Role
    runtime: str = ""
    fields: Mapping[str, Field] = field(default_factory=dict)
    doc: str = ""
    check: Check = no_problems

    @cached_property
    def table(self) -> Table:
        """Return all keys as one table."""
        keys = dict(self.fields)
        keys.setdefault("meta", _NO_META)
        if self.role in ("service", "config"):
            keys.setdefault("lifecycle", Table(LIFECYCLE_KEYS, doc="When it starts."))
        return Table(keys)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of its entries' keys."""
        result = self.table.schema()
        result["type"] = "object"
        if self.doc:
            result["description"] = self.doc
        return result


def by_name(kinds: Iterable[Kind]) -> dict[str, Kind]:
    """Return a mapping of names to kinds.

    :raises Error: of kind ``AlreadyExists``, when two have the same name.
    """
    result: dict[str, Kind] = {}
    for kind in kinds:
        if result.setdefault(kind.name, kind) is not kind:
            raise Error(
                f'the kind "{kind.name}" is declared twice',
                ALREADY_EXISTS,
                retryable=False,
                hint="two plugins supply it; remove one of them",
            )
    return result


def json_schema(kinds: Iterable[Kind]) -> dict[str, Any]:
    """Return a JSON Schema (draft 2020-12) that accepts every file of entries that `load` accepts.

    Only `load` can check references and sources, which go beyond one file. Unknown keys are
    allowed because they are warnings.
    """
    known = by_name(kinds)
    body = {
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in known
        ]
    }
    entry = {
        "type": "object",
        "required": ["name", "kind"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "description": "With the namespace, the entry's id."},
            "kind": {"enum": list(known), "description": "What the entry is."},
        },
        **body,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Saros entries",
        "type": "object",
        "if": {"anyOf": [{"required": ["namespace"]}, {"required": ["entries"]}]},
        "then": {
            "required": ["namespace"],
            "properties": {
                "namespace": {"type": "string", "minLength": 1, "description": "First part of the ids."},
                "version": {"enum": ["1.0", "1", 1.0]},
            },
            "if": {"required": ["entries"]},
            "then": {"properties": {"entries": {"type": "array", "items": {"$ref": "#/$defs/entry"}}}},
            "else": {"$ref": "#/$defs/entry"},
        },
        "$defs": {"entry": entry, **{name: kind.schema() for name, kind in known.items()}},
    }
