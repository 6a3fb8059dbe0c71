"""The editor definitions of the http module list exactly what a VM provides."""

from __future__ import annotations

from typing import Any

import pytest

from saros_http.plugin import saros_modules
from saros_lua.checking.definitions import Class, parse
from saros_lua.sandbox.chunks import compile_library, library_chunk
from saros_lua.sandbox.vm import CORE, SANDBOX, Vm

MODULE = saros_modules()[0]
OBJECTS = {
    "request": "http.Request",
    "request.file": "http.File",
    "request.stream": "http.Stream",
    "response": "http.Response",
}
WALK = """
local rt = ...
local raw, out = rt.raw, {}
local class = rt.class
for name in raw.string.gmatch(REST, "%S+") do rt.library(name) end
function rt.class(name, methods, meta)
  for method in raw.next, methods do out[#out + 1] = name .. "\\t" .. method end
  return class(name, methods, meta)
end
local http = rt.library("http")
for key in raw.next, http do out[#out + 1] = "http\t" .. key end
rt.library("http_request") rt.library("http_response")
for name, make in raw.next, rt.library("http_constants") do
  out[#out + 1] = "http\t" .. name
  for key, value in raw.next, make() do
    out[#out + 1] = "http." .. name .. "\\t" .. key .. "\\t" .. raw.tostring(value)
  end
end
return {text = raw.table.concat(out, "\\n")}
"""


@pytest.fixture(scope="module")
def defined() -> dict[str, Class]:
    return {found.name: found for found in parse(MODULE.types)}


@pytest.fixture(scope="module")
def actual() -> dict[str, dict[str, str]]:
    """Map each class of the runtime and each table of the module to its members and their values."""
    rest = " ".join(CORE[len(SANDBOX) :])
    sources = {"walk": WALK.replace("REST", f'"{rest}"'), "http": MODULE.source, **MODULE.parts}
    chunks = {name: compile_library(source.encode(), name) for name, source in sources.items()}
    vm = Vm(workflow=False, boot=SANDBOX)
    vm.loaders["library"] = lambda name: chunks.get(name) or library_chunk(name)
    text = vm.call(vm.fn("library"), "walk")[b"text"].decode()
    vm.close()
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        owner, member, *value = line.split("\t")
        found.setdefault(owner, {})[member] = value[0] if value else ""
    return found


@pytest.mark.parametrize("name", OBJECTS)
def test_objects(name: str, actual: dict[str, Any], defined: dict[str, Class]) -> None:
    described = defined[OBJECTS[name]]
    assert described.is_object
    assert {function.name for function in described.functions} == set(actual[name])
    assert all(function.colon for function in described.functions)


def test_the_module_and_its_tables(actual: dict[str, Any], defined: dict[str, Class]) -> None:
    module = defined["http"]
    functions = {function.name for function in module.functions}
    assert functions | {field.name for field in module.fields} == set(actual["http"])
    for table in module.fields:
        values = {field.name: field.text.strip('"') for field in defined[f"http.{table.name}"].fields}
        assert values == actual[f"http.{table.name}"]
    assert set(defined) == {"http", *OBJECTS.values(), *(f"http.{table.name}" for table in module.fields)}
