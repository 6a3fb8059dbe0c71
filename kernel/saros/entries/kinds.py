"""What a kind of entry is, and the parts that several kinds share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from .field import Field
from .fields import ListOf, Reference, Table
from .scalars import Choice, Duration, Flag, Number, Text

if TYPE_CHECKING:
    from .entry import Entry
    from .problems import Problem
    from .registry import Registry

Role = Literal["workflow", "function", "process", "library", "service", "config"]

WORKER: Final = "temporal.worker"
CLIENT: Final = "temporal.client"
HOST: Final = "process.host"

Check = Callable[["Entry", "Registry"], Iterable["Problem"]]

LIFECYCLE_KEYS: Final[Mapping[str, Field]] = {
    "auto_start": Flag(default=True, doc="Whether it starts together with the app."),
    "depends_on": ListOf(Reference(), doc="Entries that must have started before."),
    "requires": ListOf(Reference(), doc="The same as `depends_on`."),
}

_TEMPORAL_WORKER: Final = Reference(
    kinds=(WORKER,), doc="The worker that runs it; with a single worker in the app, that one."
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
    doc="Free-form; `temporal.workflow` says where the workflow runs and what its type is called.",
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
    doc="Free-form; `temporal.activity` says where it runs as an activity.",
)
"""The `meta` of what workflows may call."""

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

RESTART: Final = Table(
    {
        "max_attempts": Number(whole=True, least=0, default=0, doc="0: without limit."),
        "initial_delay": Duration(default="1s"),
        "max_delay": Duration(default="90s"),
        "backoff_factor": Number(least=1, default=2.0),
        "jitter": Number(
            least=0, most=1, default=0.0, doc="By what part a delay varies at random: 0.1 is 10 % up or down."
        ),
    },
    doc="What happens when the process fails.",
)

_NO_META: Final = Table({}, open=True, doc="Free-form.")


def no_problems(entry: Entry, registry: Registry) -> Iterable[Problem]:
    """The check of a kind that its keys describe completely."""
    return ()


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of entry.

    :param name: as entries give it, such as ``workflow.lua``.
    :param role: what its entries are to the rest of the app.
    :param runtime: who runs its code; empty if it has none.
    :param fields: its keys, besides ``name`` and ``kind``. ``meta`` and, for services and configuration,
        ``lifecycle`` are there even if they are not listed.
    :param doc: one sentence for editors and documentation.
    :param check: what the keys alone cannot say. Called with a registry of valid entries, once the
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
        """All keys, as one table."""
        keys = dict(self.fields)
        keys.setdefault("meta", _NO_META)
        if self.role in ("service", "config"):
            keys.setdefault("lifecycle", Table(LIFECYCLE_KEYS, doc="When it starts."))
        return Table(keys)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its entries' keys."""
        result = self.table.schema()
        result["type"] = "object"
        if self.doc:
            result["description"] = self.doc
        return result
