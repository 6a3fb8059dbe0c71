"""The plugin door: docs/plugins.md lists exactly the names that plugins import from the kernel.

``python -m tests.architecture.test_plugin_door`` rewrites the list.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Mapping

import pytest

from .source import ROOT, Module, modules, read

PAGE = ROOT / "docs" / "plugins.md"
PLUGINS = (
    "saros_console",
    "saros_http",
    "saros_lua",
    "saros_memory",
    "saros_python",
    "saros_redis",
    "saros_services",
    "saros_sql",
    "saros_temporal",
    "saros_watchdog",
)
"""The packages held to the list. The command line and the test kit are exempt: they are released with the kernel."""
EXAMPLE = "saros_extras"
FRONT = "saros"

ROW = re.compile(r"^\| `(?P<module>saros(?:\.\w+)*)` \| (?P<names>.*) \|$", re.MULTILINE)
BEGIN, END = "<!-- names: begin -->\n", "<!-- names: end -->\n"


def listed() -> dict[str, set[str]]:
    """Return the names that the page lists, by module."""
    part = PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    return {row["module"]: set(re.findall(r"`(\w+)`", row["names"])) for row in ROW.finditer(part)}


def used(module: Module) -> dict[str, set[str]]:
    """Return the names that a plugin's module uses, by module of the kernel."""
    found: dict[str, set[str]] = defaultdict(set)
    aliases: dict[str, str] = {}  # of modules that are imported as a whole
    for item in module.imports():
        if item.module.partition(".")[0] != FRONT:
            continue
        inner = f"{item.module}.{item.name}"
        if not item.name:
            aliases[item.alias] = item.module if item.alias != FRONT else FRONT
        elif inner in modules():
            aliases[item.alias] = inner
        else:
            found[item.module].add(item.name)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            found[aliases[node.value.id]].add(node.attr)
    return found


def used_by(names: tuple[str, ...] = PLUGINS) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    example = read(EXAMPLE, ROOT / "tests/plugins/extras" / EXAMPLE)
    for module in [*modules().values(), *example.values()]:
        if module.name.partition(".")[0] in (*names, EXAMPLE):
            for source, what in used(module).items():
                found[source] |= what
    return found


def table(found: Mapping[str, set[str]]) -> str:
    rows = [
        f"| `{module}` | {', '.join(f'`{name}`' for name in sorted(found[module]))} |"
        for module in sorted(found)
    ]
    return "\n".join(["| module | names |", "|---|---|", *rows]) + "\n"


def test_plugins_import_only_what_the_page_lists() -> None:
    page = listed()
    missing = {module: names - page.get(module, set()) for module, names in used_by().items()}
    assert not {module: names for module, names in missing.items() if names}, "the page does not list them"


def test_the_page_lists_nothing_that_no_plugin_uses() -> None:
    found = used_by()
    idle = {module: names - found.get(module, set()) for module, names in listed().items()}
    assert not {module: names for module, names in idle.items() if names}, "take them off the page"


@pytest.mark.parametrize("module", sorted(listed()))
def test_the_names_on_the_page_exist(module: str) -> None:
    found = importlib.import_module(module)
    missing = [name for name in listed()[module] if not hasattr(found, name)]
    assert not missing
    private = [part for part in [*module.split("."), *listed()[module]] if part.startswith("_")]
    assert not private


def test_plugins_do_not_import_one_another() -> None:
    """The example plugin imports the kernel, but none of our plugins."""
    for module in read(EXAMPLE, ROOT / "tests/plugins/extras" / EXAMPLE).values():
        ours = {
            item.module.partition(".")[0] for item in module.imports() if item.module.startswith("saros_")
        }
        assert ours <= {EXAMPLE}


if __name__ == "__main__":
    text = PAGE.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    PAGE.write_text(before + begin + table(used_by()) + END + rest.partition(END)[2], "utf-8")
