"""The source of our packages: modules and their imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

PACKAGES = {
    "saros": ROOT / "kernel/saros",
    "saros_lua": ROOT / "lua/saros_lua",
    **{f"saros_{path.name}": path / f"saros_{path.name}" for path in sorted((ROOT / "backends").iterdir())},
    **{f"saros_{path.name}": path / f"saros_{path.name}" for path in sorted((ROOT / "plugins").iterdir())},
}
"""Package -> directory."""


class Imported(NamedTuple):
    """One imported name.

    :param module: the module that it comes from, ours or not.
    :param name: the imported name; empty if the module itself is imported.
    :param alias: its name in the importing module.
    """

    module: str
    name: str
    alias: str
    line: int


class Module(NamedTuple):
    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    @property
    def lines(self) -> int:
        return len(self.path.read_text("utf-8").splitlines())

    def imports(self) -> Iterator[Imported]:
        """Yield all imports, including those for type checkers and those inside functions."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for item in node.names:
                    alias = item.asname or item.name.partition(".")[0]
                    yield Imported(item.name, "", alias, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                parts = self.package.split(".")
                above = parts[: len(parts) - node.level + 1] if node.level else []
                source = ".".join([*above, *([node.module] if node.module else [])])
                for item in node.names:
                    yield Imported(source, item.name, item.asname or item.name, node.lineno)


def read(name: str, folder: Path) -> dict[str, Module]:
    """Return the modules of the package `name` in `folder`, by name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = [name, *path.relative_to(folder).with_suffix("").parts]
        full = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[full] = Module(full, path, ast.parse(path.read_text("utf-8")))
    return found


@cache
def modules() -> dict[str, Module]:
    """Return all modules of our packages, by name."""
    return {name: module for package in PACKAGES.items() for name, module in read(*package).items()}


def targets(module: Module) -> set[str]:
    """Return the names of our modules that a module imports."""
    known = modules()
    found = set()
    for item in module.imports():
        inner = f"{item.module}.{item.name}"
        found |= {name for name in (inner if inner in known else item.module,) if name in known}
    return found - {module.name}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
