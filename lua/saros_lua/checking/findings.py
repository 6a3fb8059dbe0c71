"""The faults in an entry's code that reading it can find (see `reading`)."""

from __future__ import annotations

import pathlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Protocol

from saros.entries import Entry, Problem, Registry, did_you_mean
from saros.interfaces.module import Module
from saros.interfaces.program import Facts
from saros.model.errors import Error

from ..program import LuaProgram
from .check import NoFacts
from .reading import Code, Path, Use, read

_FUNCTIONS: Final = frozenset({("funcs", "call"), ("funcs", "async")})
_STARTS: Final = frozenset(
    {
        *(("workflow", name) for name in ("call", "exec")),
        *(("process", name) for name in ("exec", "spawn", "spawn_monitored", "spawn_linked")),
        ("process", "spawn_linked_monitored"),
    }
)


class CheckedRuntime(Protocol):
    """The part of the runtime that reading an entry's code needs."""

    @property
    def registry(self) -> Registry: ...

    @property
    def modules(self) -> Mapping[str, Module]: ...

    def program(self, entry: Entry, *, workflow: bool, facts: Facts) -> LuaProgram: ...

    def name_of(self, path: pathlib.Path) -> str: ...

    def usable(self, entry: Entry) -> set[str]: ...

    def refusal(self, name: str, entry_id: str, *, workflow: bool) -> Error: ...


class _Surface:
    """The names that an entry's code can use, looked up in a VM that does not run the code."""

    def __init__(self, runtime: CheckedRuntime, entry: Entry) -> None:
        self._program = runtime.program(entry, workflow=entry.role == "workflow", facts=NoFacts())

    def probe(self, name: str, field: str = "") -> tuple[str, str]:
        """Return the type of a global or of a module's field, and the message of the error on access."""
        kind, said = self._program.probe(name, field)
        return kind, said

    def fields(self, name: str) -> list[str]:
        return self._program.probe(name, "*")[1].split()

    def close(self) -> None:
        self._program.close()


def findings(
    runtime: CheckedRuntime, entry: Entry, elsewhere: Collection[str], *, complete: bool
) -> Iterator[Problem]:
    """Yield the certain faults.

    :param elsewhere: globals that other sources of the app assign.
    :param complete: whether all entries of the app are known.
    """
    yield from _modules(runtime, entry)
    source = entry.source_path
    code = None if source is None else read(source.read_bytes())
    if source is None or code is None:
        return
    surface = _Surface(runtime, entry)
    try:
        found = _Findings(runtime, entry, code, surface, elsewhere, complete)
        told: set[tuple[str, int]] = set()
        for use in code.uses:
            for message, hint in found.of(use):
                if (message, use.line) not in told:
                    told.add((message, use.line))
                    yield Problem(message, f"{runtime.name_of(source)}:{use.line}", entry.id, hint)
    finally:
        surface.close()


def assigned(entry: Entry) -> set[str]:
    """Return the globals that an entry's source assigns."""
    code = None if entry.source_path is None else read(entry.source_path.read_bytes())
    return set() if code is None else code.assigned


def _modules(runtime: CheckedRuntime, entry: Entry) -> Iterator[Problem]:
    """Yield a problem for each listed module that the entry may not use."""
    if entry.role == "library":
        return
    for index, name in enumerate(entry.modules):
        module = runtime.modules.get(name)
        workflow = entry.role == "workflow"
        if module is not None and not (module.workflows if workflow else module.functions):
            yield entry.problem(
                f'the module "{name}" is not for {"workflows" if workflow else "functions"}',
                f"modules.{index}",
                module.instead,
            )


class _Findings:
    def __init__(
        self,
        runtime: CheckedRuntime,
        entry: Entry,
        code: Code,
        surface: _Surface,
        elsewhere: Collection[str],
        complete: bool,
    ) -> None:
        self._runtime = runtime
        self._complete = complete
        self._entry = entry
        self._code = code
        self._surface = surface
        self._assigned = {*code.assigned, *elsewhere}
        # Other entries may run other functions of the same file: a module that one of them lists is not missing.
        entries = [
            other for other in runtime.registry.entries.values() if other.source_path == entry.source_path
        ]
        self._listed = {name for other in entries for name in runtime.usable(other)}
        # The code may know that a value is missing if it tests the value or passes it on.
        self._unsure = {use.path for use in code.uses if use.tested}
        self._unsure |= {
            use.path for use in code.uses if len(use.path) == 1 and not (use.called or use.indexed)
        }

    def of(self, use: Use) -> Iterator[tuple[str, str]]:
        """Yield the faults at one place: message and hint."""
        name = use.path[0]
        if name in self._entry.imports:
            return
        if use.path == ("require",) and use.called and use.text is not None:
            yield from self._require(use.text)
        elif len(use.path) == 1:
            if not use.required:
                yield from self._global(name)
        elif use.required or name not in self._assigned:
            if len(use.path) == 2:
                yield from self._member(use)
            if use.called and use.text is not None:
                yield from self._target(use.path, use.text)

    def _require(self, name: str) -> Iterator[tuple[str, str]]:
        entry = self._entry
        if name in self._listed or self._surface.probe(name)[0] == "table":
            return
        workflow = entry.role == "workflow"
        yield self._runtime.refusal(name, entry.id, workflow=workflow).message, ""

    def _global(self, name: str) -> Iterator[tuple[str, str]]:
        if name in self._assigned or name in self._listed or (name,) in self._unsure:
            return
        kind, said = self._surface.probe(name)
        if kind == "error":
            yield said, ""
        elif kind == "nil" and not self._code.opaque:
            module = self._runtime.modules.get(name)
            if module is None:
                yield (
                    f"the global {name} is never assigned",
                    "a local function is visible only below the line that declares it",
                )
            elif name not in self._entry.modules:
                yield f'module "{name}" is not listed by {self._entry.id}', "add it to the entry's modules"

    def _member(self, use: Use) -> Iterator[tuple[str, str]]:
        module, field = use.path
        if use.path in self._code.own_fields or use.path in self._unsure:
            return
        if self._surface.probe(module)[0] != "table":
            return
        kind, said = self._surface.probe(module, field)
        if kind == "error":
            yield said, ""
        elif kind == "nil":
            yield f"{module} has no field {field}", did_you_mean(field, self._surface.fields(module)) or ""

    def _target(self, path: Path, id: str) -> Iterator[tuple[str, str]]:
        """Yield the literal ids of entries that the app lacks, or that cannot be called this way."""
        registry: Any = self._runtime.registry
        if ":" not in id or (path not in _FUNCTIONS and path not in _STARTS):
            return
        found = registry.get(id) or (registry.by_type(id) if path in _STARTS else None)
        if found is None and self._complete:
            yield f"the app has no entry {id}", did_you_mean(id, registry.entries) or ""
        elif found is not None and path in _FUNCTIONS and found.role not in ("function", "process"):
            yield f"{id} is a {found.kind}, which cannot be called as a function", ""
