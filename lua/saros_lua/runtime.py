"""The Lua runtime of one app: the code of its entries, compiled once, and the modules that it may require."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from saros.entries import Entry, Problem, Registry
from saros.interfaces.module import HostFunction, Module
from saros.interfaces.program import Facts
from saros.model.errors import PERMISSION_DENIED, CodeError, Error
from saros.model.text import cut, one_line

from .checking.check import NoFacts, check_method
from .library import chunk_files
from .modules import env
from .program import LuaProgram, Source
from .sandbox.chunks import compile_library, compile_user, library_chunk
from .sandbox.pool import VmPool
from .sandbox.vm import Vm


class LuaRuntime:
    """See `saros.interfaces.runtime.Runtime`."""

    def __init__(self, registry: Registry, modules: Mapping[str, Module]) -> None:
        self.registry = registry
        self.modules = {name: module for name, module in modules.items() if module.runtime == "lua"}
        self._root = Path(registry.root).resolve()
        self._sources: dict[tuple[str, bool], Source] = {}
        self._host: dict[str, HostFunction] = {}
        self._plugged: dict[str, str] = {}  # chunks that plugins supply: name -> source
        for module in self.modules.values():
            self._host.update(module.host)
            self._plugged.update({module.name: module.source, **module.parts})
        self._host.update(env.host(registry))
        self._pool = VmPool()
        self._chunks: dict[str, bytes] = {}
        self._numbers = itertools.count(1)

    def check(self, entry: Entry) -> None:
        if entry.role == "library":
            self.source(entry, workflow=False)
        else:
            workflow = entry.role == "workflow"
            check_method(self.program(entry, workflow=workflow, facts=NoFacts()), entry)

    def findings(self, entry: Entry, *, complete: bool) -> list[Problem]:
        from .checking.findings import assigned, findings

        others = [other for other in self.registry.entries.values() if other.runtime == entry.runtime]
        try:
            elsewhere = {name for other in others for name in assigned(other)}
            return list(findings(self, entry, elsewhere, complete=complete))
        except OSError:  # `check` reports it
            return []

    def refresh(self) -> None:
        """Read the sources again: a parked execution goes on once its code has been repaired."""
        self._sources.clear()

    def program(self, entry: Entry, *, workflow: bool, facts: Facts, trace: bool = False) -> LuaProgram:
        number = self.source(entry, workflow=workflow)[0]
        vm = self._pool.take(workflow, source=number, trace=trace)
        vm.loaders["library"] = self._chunk
        return LuaProgram(self, entry, vm, facts)

    def give_back(self, vm: Vm) -> None:
        """Take the VM of a program that has ended and was not stopped."""
        self._pool.give_back(vm)

    def _chunk(self, name: str) -> bytes:
        """Return the bytecode of a chunk of the library, or of a module that a plugin supplies."""
        found = self._chunks.get(name)
        if found is None:
            source = None if name in chunk_files() else self._plugged.get(name)
            found = library_chunk(name) if source is None else compile_library(source.encode(), name)
            self._chunks[name] = found
        return found

    def entry(self, id: str) -> Entry | None:
        return self.registry.get(id)

    def source(self, entry: Entry, *, workflow: bool) -> Source:
        """Return an entry's code, for a workflow or for another program.

        :raises CodeError: for a missing file or bad syntax, with file:line.
        """
        key = entry.id, workflow
        found = self._sources.get(key)
        if found is None:
            found = self._sources[key] = self._compile(entry, workflow)
        return found

    def _compile(self, entry: Entry, workflow: bool) -> Source:
        path = entry.source_path
        if path is None:
            raise CodeError(f"{entry.id} has no source", where=entry.where())
        try:
            text = path.read_bytes()
        except OSError as exc:
            raise CodeError(
                f"cannot read the source of {entry.id}: {exc}", where=entry.where("source")
            ) from exc
        bytecode = compile_user(text, self.name_of(path))
        imports = "\n".join(f"{alias}={id}" for alias, id in entry.imports.items())
        return (
            next(self._numbers),
            bytecode,
            (entry.method or "").encode(),
            "\n".join(name for name in entry.modules if self._may_require(name, workflow)).encode(),
            imports.encode(),
            entry.id.encode(),
        )

    def usable(self, entry: Entry) -> set[str]:
        """Return the modules and imports that an entry lists and may use."""
        workflow = entry.role == "workflow"
        return {*entry.imports, *(name for name in entry.modules if self._may_require(name, workflow))}

    def name_of(self, path: Path) -> str:
        """Return the name of a source in errors."""
        try:
            return str(path.relative_to(self._root.parent))
        except ValueError:
            return path.name

    def _may_require(self, name: str, workflow: bool) -> bool:
        module = self.modules.get(name)
        return module is not None and (module.workflows if workflow else module.functions)

    def refusal(self, name: str, entry_id: str, *, workflow: bool) -> Error:
        """Return the reason why an entry's code may not require a module."""
        module = self.modules.get(name)
        entry = self.registry.get(entry_id)
        if module is None:
            known = ", ".join(sorted(self.modules))
            name = one_line(cut(name))
            text = f'there is no module "{name}"; installed are {known}'
        elif entry is None or name not in entry.modules:
            text = f'module "{name}" is not listed by {entry_id}; add it to the entry\'s modules, or to its imports'
        elif workflow:
            text = f'workflow code may not require "{name}"; {module.instead}'
        else:
            text = f'only workflow code may require "{name}"; {module.instead}'
        return Error(text, PERMISSION_DENIED)

    def host_function(self, name: str) -> Callable[..., Any]:
        found = self._host.get(name)
        if found is None:
            raise Error(f"no installed module supplies the host function {name}", PERMISSION_DENIED)
        return found
