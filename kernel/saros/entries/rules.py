"""Rules between entries, and the kinds and modules that only other runtimes have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from .entry import CLIENT, WORKER, Entry
from .problems import Problem, did_you_mean, listing


def one_type_one_workflow(entries: Collection[Entry]) -> Iterator[Problem]:
    """Check that no two workflows have the same type name."""
    first: dict[str, Entry] = {}
    for entry in entries:
        if entry.role != "workflow":
            continue
        other = first.setdefault(entry.type_name, entry)
        if other is not entry:
            yield entry.problem(
                f'the workflow type "{entry.type_name}" already belongs to {other.id}, at {other.where()}',
                "meta.temporal.workflow.name",
                "give each workflow a name of its own",
            )


def every_workflow_has_a_worker(entries: Collection[Entry]) -> Iterator[Problem]:
    """Check that each workflow names a worker if there are several."""
    workers = [entry.id for entry in entries if entry.kind == WORKER]
    if len(workers) < 2:
        return
    for entry in entries:
        if entry.role == "workflow" and entry.worker is None:
            yield entry.problem(
                "`meta.temporal.workflow.worker` is missing, and the app has several workers",
                "meta.temporal.workflow",
                f"name {listing(workers[:5], 'or')}",
            )


def modules_exist(
    entries: Collection[Entry], known: Collection[str], absent: Mapping[str, str]
) -> Iterator[Problem]:
    """Check that `modules` lists known modules; report modules of other runtimes once."""
    told: set[str] = set()
    for entry in entries:
        for index, name in enumerate(entry.modules):
            if name in known or name in entry.imports:
                continue
            foreign = foreign_module(name)
            if name in absent:
                yield entry.problem(absent[name], f"modules.{index}")
            elif foreign and name not in told:
                told.add(name)
                yield entry.problem(foreign[0], f"modules.{index}", foreign[1])
            elif not foreign:
                yield entry.problem(
                    f'there is no module "{name}"',
                    f"modules.{index}",
                    did_you_mean(name, [*known, *entry.imports]),
                )


def every_worker_has_a_client(entries: Collection[Entry]) -> Iterator[Problem]:
    """Check that each worker names a Temporal client if there are several."""
    clients = [entry.id for entry in entries if entry.kind == CLIENT]
    if len(clients) < 2:
        return
    for entry in entries:
        if entry.kind == WORKER and entry.get("client") is None:
            yield entry.problem(
                "`client` is missing, and the app has several clients",
                "client",
                f"name {listing(clients[:5], 'or')}",
            )


def no_import_cycles(entries: Mapping[str, Entry]) -> Iterator[Problem]:
    """Check that libraries do not import each other in a circle."""
    libraries = {entry_id: entry for entry_id, entry in entries.items() if entry.role == "library"}
    graph = {
        entry_id: [target for target in entry.imports.values() if target in libraries]
        for entry_id, entry in libraries.items()
    }
    for circle in circles(graph):
        yield _circle(libraries, circle, "the library imports itself", "imports")


def no_dependency_cycles(entries: Mapping[str, Entry]) -> Iterator[Problem]:
    """Check that services do not wait for each other in a circle."""
    graph = {
        entry_id: [target for target in entry.dependencies if target in entries]
        for entry_id, entry in entries.items()
    }
    for circle in circles(graph):
        path = "depends_on" if entries[circle[0]].get("lifecycle.depends_on") else "requires"
        yield _circle(entries, circle, "the entry waits for itself to start", f"lifecycle.{path}")


def _circle(entries: Mapping[str, Entry], circle: Sequence[str], what: str, path: str) -> Problem:
    return entries[circle[0]].problem(f"{what}: {' → '.join([*circle, circle[0]])}", path)


def circles(graph: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Yield one circle per edge that closes one, in the order of the graph, which must hold every target."""
    done: set[str] = set()
    for start in graph:
        trail: list[str] = []
        on_trail: set[str] = set()
        todo: list[tuple[str, bool]] = [(start, True)]
        while todo:
            node, entering = todo.pop()
            if not entering:
                on_trail.discard(trail.pop())
                done.add(node)
            elif node in on_trail:
                yield trail[trail.index(node) :]
            elif node not in done:
                trail.append(node)
                on_trail.add(node)
                todo.append((node, False))
                todo.extend((target, True) for target in reversed(graph[node]))


# --- other runtimes, with the same files ---

_DATABASES: Final = "databases"
_FILES: Final = "files"
_QUEUES: Final = "queues"
_STORES: Final = "stores"
_SECURITY: Final = "security policies"
_TEMPLATES: Final = "templates"
_REGISTRY: Final = "writes to the registry"
_PROGRAMS: Final = "other programs"

_WORDS: Final = {
    "sql": _DATABASES, "db": _DATABASES, "fs": _FILES, "queue": _QUEUES, "store": _STORES,
    "security": _SECURITY, "template": _TEMPLATES, "templates": _TEMPLATES, "registry": _REGISTRY,
    "exec": _PROGRAMS,
}  # fmt: skip
"""A module, or the first word of a kind -> its purpose."""

META: Final = "ns"
"""The first words of kinds that only describe their namespace."""

_INSTEAD: Final = "do this in a function.python entry, and call it with funcs.call; see docs/coming.md"


def foreign_kind(kind: str) -> tuple[str, str] | None:
    """Return message and hint for a kind of another runtime, or ``None``."""
    what = _WORDS.get(kind.partition(".")[0])
    return (
        None
        if what is None
        else (f'the kind "{kind}" belongs to another runtime; Saros has no {what}', _INSTEAD)
    )


def foreign_module(name: str) -> tuple[str, str] | None:
    """Return message and hint for a module of another runtime, or ``None``."""
    what = _WORDS.get(name)
    return (
        None
        if what is None
        else (f'the module "{name}" belongs to another runtime; Saros has no {what}', _INSTEAD)
    )
