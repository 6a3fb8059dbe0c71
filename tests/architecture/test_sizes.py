"""Folders, modules, functions and interfaces are small enough to keep in mind."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from .source import Module, modules, relative

MOST_MODULES = 14
MOST_LINES = 300
MOST_LINES_OF_A_FUNCTION = 64
MOST_MEMBERS = 12

LARGE_FOLDERS: dict[str, str] = {}
"""Folders that may hold more modules, and why; the list only shrinks."""

LONG_MODULES: dict[str, int] = {}
"""Modules that may be longer, and their own limits; the list only shrinks."""

LONG_FUNCTIONS: dict[str, str] = {}
"""Functions that may be longer, and why; the list only shrinks."""

FREE_NAMES = {"__init__", "__main__", "plugin", "store", "backend", "kinds", "errors"}
"""Module names that every package may use: they mean the same everywhere."""

SHARED_NAMES: dict[str, str] = {
    "options": "start options of the kernel, options of a backend's URL, options of a service",
}
"""Other module names that more than two packages use, and why; the list only shrinks."""


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_folders_hold_few_modules() -> None:
    folders: dict[str, int] = defaultdict(int)
    for module in modules().values():
        if module.path.name not in ("__init__.py", "__main__.py"):
            folders[relative(module.path.parent)] += 1
    large = {folder: number for folder, number in folders.items() if number > MOST_MODULES}
    assert set(large) <= set(LARGE_FOLDERS), f"more than {MOST_MODULES} modules: {large}"
    assert set(LARGE_FOLDERS) <= set(large), f"take {set(LARGE_FOLDERS) - set(large)} off the list"


def test_modules_are_short() -> None:
    long = {name: module.lines for name, module in modules().items() if module.lines > MOST_LINES}
    assert set(long) <= set(LONG_MODULES), f"more than {MOST_LINES} lines: {long}"
    assert set(LONG_MODULES) <= set(long), f"take {set(LONG_MODULES) - set(long)} off the list"
    grown = {name: lines for name, lines in long.items() if lines > LONG_MODULES[name]}
    assert not grown, f"these have grown: {grown}"


def test_functions_fit_a_screen() -> None:
    """Lines count from the first statement, since a command's options make its signature long."""
    long = {
        f"{module.name}.{node.name}"
        for module in modules().values()
        for node in functions(module)
        if (node.end_lineno or 0) - node.body[0].lineno + 1 > MOST_LINES_OF_A_FUNCTION
    }
    assert long <= set(LONG_FUNCTIONS), f"more than {MOST_LINES_OF_A_FUNCTION} lines: {long}"
    assert set(LONG_FUNCTIONS) <= long, f"take {set(LONG_FUNCTIONS) - long} off the list"


def test_interfaces_are_small() -> None:
    for module in modules().values():
        if not module.name.startswith("saros.interfaces."):
            continue
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases):
                own = [
                    item
                    for item in node.body
                    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.AnnAssign)
                ]
                assert len(own) <= MOST_MEMBERS, f"{module.name}.{node.name} has {len(own)} members"


def test_module_names_are_distinct() -> None:
    """A reader who looks for a module by name finds it in at most two packages."""
    packages: dict[str, set[str]] = defaultdict(set)
    for module in modules().values():
        packages[module.path.stem].add(module.name.partition(".")[0])
    shared = {name for name, found in packages.items() if len(found) > 2 and name not in FREE_NAMES}
    assert shared <= set(SHARED_NAMES), f"in more than two packages: {shared - set(SHARED_NAMES)}"
    assert set(SHARED_NAMES) <= shared, f"take {set(SHARED_NAMES) - shared} off the list"
