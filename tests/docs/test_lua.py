"""docs/lua.md names everything that the Lua modules have, and nothing else."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from saros.app.plugins import installed
from saros_testing import TestApp, lua_app

PAGE = Path(__file__).parents[2] / "docs" / "lua.md"
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL))
MODULES = [installed().modules()[name] for name in installed().supplies()["lua"]["modules"]]
NAMES = """
local names = {}
for name, value in pairs(require("%s")) do
  names[#names + 1] = name
  if type(value) == "table" then
    for inner in pairs(value) do
      names[#names + 1] = inner
    end
  end
end
return names
"""


def names_of(path: Path, module: Any) -> set[str]:
    """Return the names of a module's fields, and of the fields of its tables."""
    role = "workflow" if module.workflows and not module.functions else "function"
    source = f"return function() {NAMES % module.name} end\n"
    entry = {"name": "names", "kind": f"{role}.lua", "source": "file://names.lua", "modules": [module.name]}
    lua_app(path, entries=(entry,), files={"names.lua": source})

    async def scenario() -> set[str]:
        async with TestApp(path) as app:
            run = app.run if role == "workflow" else app.call
            return set(await run("app:names"))

    return asyncio.run(scenario())


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_the_page_names_exactly_what_a_module_has(module: Any, tmp_path: Path) -> None:
    section = SECTIONS[module.name]
    names = names_of(tmp_path, module)
    missing = sorted(name for name in names if not re.search(rf"\b{name}\b", section))
    assert not missing, f"docs/lua.md does not mention {module.name}.{missing}"
    code = " ".join(re.findall(r"`[^`]+`", re.sub(r"```.*?```", "", section, flags=re.DOTALL)))
    told = set(re.findall(rf"\b{module.name}[.:](\w+)", code))
    assert told <= names, f"docs/lua.md mentions {sorted(told - names)}, which {module.name} does not have"


def test_every_section_is_a_module() -> None:
    assert set(SECTIONS) == {"Globals", *(module.name for module in MODULES)}
