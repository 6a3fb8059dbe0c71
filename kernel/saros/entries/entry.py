"""One entry of an application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from .problems import Problem

WORKER: Final = "temporal.worker"
CLIENT: Final = "temporal.client"
HOST: Final = "process.host"


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """One entry, read and checked.

    :param id: ``namespace:name``.
    :param kind: the name of its kind, such as ``workflow.lua``.
    :param role: what it is to the rest of the app (see `Kind`).
    :param runtime: the runtime that runs its code; empty if it has no code.
    :param data: its keys besides ``name`` and ``kind``: defaults filled in, ``${env:…}`` resolved, references
        as full ids, durations as given. ``meta`` is always there.
    :param file: the YAML file.
    :param line: the line where the entry begins.
    :param label: the file's name in errors.
    :param lines: dotted path of each key -> line.
    :param paths: dotted path of each key that names a file or directory of the app -> where that is.
    """

    id: str
    namespace: str
    name: str
    kind: str
    role: str
    runtime: str
    data: dict[str, Any]
    file: Path
    line: int
    label: str
    lines: Mapping[str, int]
    paths: Mapping[str, Path]

    def __repr__(self) -> str:
        return f"<{self.kind} {self.id}>"

    @property
    def meta(self) -> dict[str, Any]:
        """The entry's `meta`."""
        meta: dict[str, Any] = self.data["meta"]
        return meta

    def get(self, path: str, default: Any = None) -> Any:
        """Return the value at a dotted path such as ``meta.temporal.workflow.name``."""
        value: Any = self.data
        for key in path.split("."):
            if not isinstance(value, dict) or key not in value:
                return default
            value = value[key]
        return value

    def where(self, path: str | None = None) -> str:
        """Return ``file:line`` of the entry, or of the key at a dotted path (if absent, of its nearest parent)."""
        return f"{self.label}:{nearest_line(self.lines, path or '')}"

    def problem(
        self, message: str, path: str | None = None, hint: str | None = None, *, warning: bool = False
    ) -> Problem:
        """Return a problem with this entry, at the key at `path`."""
        return Problem(message, self.where(path), self.id, hint, warning)

    @property
    def source_path(self) -> Path | None:
        """The file that ``source`` names."""
        return self.paths.get("source")

    @property
    def method(self) -> str | None:
        """The function to run in the table that the source returns; ``None`` if the source returns a function."""
        method: str | None = self.data.get("method")
        return method

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that the code may require."""
        return tuple(self.data.get("modules", ()))

    @property
    def imports(self) -> dict[str, str]:
        """Alias -> id of the entry that ``require(alias)`` returns."""
        return dict(self.data.get("imports", {}))

    @property
    def type_name(self) -> str:
        """The type name of a workflow: the name in its `meta`, else its id."""
        name: str = self.get("meta.temporal.workflow.name", self.id) if self.role == "workflow" else self.id
        return name

    @property
    def dependencies(self) -> tuple[str, ...]:
        """Ids of the entries that must have started before it."""
        return (*self.get("lifecycle.depends_on", ()), *self.get("lifecycle.requires", ()))

    @cached_property
    def worker(self) -> str | None:
        """Id of the worker that the entry itself names (see `Registry.worker_of`)."""
        if self.kind == "schedule":
            worker: str | None = self.data.get("worker")
        else:
            part = "workflow" if self.role == "workflow" else "activity"
            worker = self.get(f"meta.temporal.{part}.worker")
        return worker

    @cached_property
    def local(self) -> bool:
        """Whether the entry runs as a local activity."""
        return self.get("meta.temporal.activity.local") is True


def nearest_line(lines: Mapping[str, int], path: str) -> int:
    """Return the line of the key at `path`, or of its nearest parent; ``""`` is the whole entry."""
    while path and path not in lines:
        path = path.rpartition(".")[0]
    return lines[path]
