"""Imports point one way: there are no circles, and a room imports only rooms below it."""

from __future__ import annotations

import tomllib

from .source import ROOT, modules, targets

ROOMS = ("app", "engine | processes", "insight", "interfaces", "entries", "model")
"""The kernel's rooms from top to bottom. Each may import only those below it."""


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import one another, directly or indirectly (Tarjan's algorithm)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    trail: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        trail.append(node)
        for target in sorted(graph[node]):
            if target not in number:
                visit(target)
            if target in trail:
                lowest[node] = min(lowest[node], lowest[target])
        if lowest[node] == number[node]:
            group = trail[trail.index(node) :]
            del trail[trail.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in number:
            visit(node)
    return found


UNDER_WAY = {}
"""Packages that still have circles, and how they will be removed; the list only shrinks."""


def test_no_import_circles() -> None:
    found = circles({name: targets(module) for name, module in modules().items()})
    owners = {next((name for name in UNDER_WAY if group[0].startswith(name)), None) for group in found}
    unknown = [group for group in found if not group[0].startswith(tuple(UNDER_WAY))]
    assert not unknown, f"these import one another: {unknown}"
    assert owners == set(UNDER_WAY), f"take {set(UNDER_WAY) - owners} off the list"


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}
    assert circles(graph) == [["b", "c"]]


def test_the_kernels_rooms_import_downwards_only() -> None:
    floor = {room: number for number, rooms in enumerate(ROOMS) for room in rooms.split(" | ")}
    for module in modules().values():
        own = module.name.split(".")
        if own[0] != "saros" or len(own) < 3 or own[1] not in floor:
            continue
        for target in targets(module):
            room = [*target.split("."), ""][1]
            if room in floor and room != own[1]:
                assert floor[room] > floor[own[1]], f"{module.name} imports {target}"


def test_the_contract_of_import_linter_has_the_same_rooms() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract.get("containers") == ["saros"])
    assert tuple(layers["layers"]) == ROOMS
