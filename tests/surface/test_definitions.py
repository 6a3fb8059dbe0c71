"""The editor definitions list exactly what a VM provides."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from saros.interfaces.module import Module
from saros.model.errors import Error
from saros_cli import main
from saros_lua.checking import definitions
from saros_lua.checking.definitions import Class, parse, read
from saros_lua.checking.editor import FOLDER, SETTINGS, write
from saros_lua.modules import SURFACE
from saros_lua.sandbox.chunks import compile_library, library_chunk
from saros_lua.sandbox.vm import CORE, SANDBOX, Vm

OBJECTS = {
    "error": "saros.Error", "channel": "saros.Channel", "channel.case": "saros.ChannelCase",
    "payload": "saros.Payload", "message": "saros.Message", "spawner": "saros.Spawner", "future": "saros.Future",
    "executor": "saros.Executor", "time": "saros.Time", "duration": "saros.Duration", "location": "saros.Location",
    "timer": "saros.Timer", "ticker": "saros.Ticker", "logger": "saros.Logger",
    "http_client.stream": "saros.HttpStream",
}  # fmt: skip
"""Classes of the runtime -> their definitions."""

WALK = """
local rt = ...
local raw, out = rt.raw, {}
local function put(...) out[#out + 1] = raw.table.concat({...}, "\\t") end
local class = rt.class
function rt.class(name, methods, meta)
  for method in raw.next, methods do put("object", name, method) end
  put("object", name, "")
  return class(name, methods, meta)
end
for name in raw.string.gmatch(REST, "%S+") do rt.library(name) end
local function members(path, t)
  for key, value in raw.next, t do
    local kind = rt.env.type(value)
    put("member", path, key, kind, kind == "string" and value or kind == "number" and raw.tostring(value) or "")
    if kind == "table" then members(path .. "." .. key, value) end
  end
end
for name in raw.string.gmatch(NAMES, "%S+") do members(name, rt.library(name)) end
for _, part in raw.ipairs({"time_object", "time_timer", "spawner"}) do rt.library(part) end
for name, t in raw.next, {table = rt.env.table, math = rt.library("math"), coroutine = rt.env.coroutine} do
  for key in raw.next, t do put("extra", name, key) end
  for key in raw.next, raw[name] or {} do put("plain", name, key) end
end
return {text = raw.table.concat(out, "\\n")}
"""


@pytest.fixture(scope="module")
def surface() -> dict[str, Any]:
    """``objects``: class -> methods; ``members``: path -> name -> (kind, value)."""
    names = " ".join(module.name for module in SURFACE)
    rest = " ".join(CORE[len(SANDBOX) :])  # loaded by the walk, which hears of every class that is made
    vm = Vm(workflow=False, boot=SANDBOX)
    source = WALK.replace("NAMES", f'"{names}"').replace("REST", f'"{rest}"')
    walk = compile_library(source.encode(), "walk")
    vm.loaders["library"] = lambda name: walk if name == "walk" else library_chunk(name)
    text = vm.call(vm.fn("library"), "walk")[b"text"].decode()
    vm.close()
    found: dict[str, Any] = {"objects": {}, "members": {}, "extra": set(), "plain": set()}
    for line in text.splitlines():
        what, *rest = line.split("\t")
        if what == "object":
            found["objects"].setdefault(rest[0], set()).update({rest[1]} - {""})
        elif what == "member":
            found["members"].setdefault(rest[0], {})[rest[1]] = (rest[2], rest[3])
        else:
            found[what].add(tuple(rest))
    return found


@pytest.fixture(scope="module")
def defined() -> dict[str, Class]:
    return {found.name: found for name in definitions.modules() for found in parse(read(name))}


def test_every_module_has_definitions() -> None:
    assert definitions.modules() == sorted(module.name for module in SURFACE)


def test_every_object_has_its_methods_and_no_others(
    surface: dict[str, Any], defined: dict[str, Class]
) -> None:
    assert set(surface["objects"]) == set(OBJECTS)
    objects = {found.name for found in defined.values() if found.is_object}
    assert objects == set(OBJECTS.values())
    for name, methods in surface["objects"].items():
        assert {function.name for function in defined[OBJECTS[name]].functions} == methods, name
        assert all(function.colon for function in defined[OBJECTS[name]].functions)


def check(path: str, described: Class, members: dict[str, Any], defined: dict[str, Class]) -> None:
    actual = members[path]
    functions = {function.name for function in described.functions}
    assert functions == {name for name, (kind, _) in actual.items() if kind == "function"}, path
    assert {field.name for field in described.fields} == set(actual) - functions, path
    for field in described.fields:
        kind, value = actual[field.name]
        shape = field.text.split()[0]
        if kind == "table":
            check(f"{path}.{field.name}", defined[shape], members, defined)
        elif kind == "userdata":
            assert shape in OBJECTS.values()
        elif shape.startswith('"'):
            assert json.loads(shape) == value
        else:
            assert shape == (value if kind == "number" else kind), f"{path}.{field.name}"


@pytest.mark.parametrize("name", definitions.modules())
def test_every_module_has_its_members_and_no_others(
    name: str, surface: dict[str, Any], defined: dict[str, Class]
) -> None:
    check(name, defined[name], surface["members"], defined)


def test_every_type_that_is_named_is_defined(defined: dict[str, Class]) -> None:
    known = {*defined, "saros.Destination", "saros.DurationLike"}
    for name in definitions.modules():
        for word in (
            read(name).replace("|", " ").replace("[", " ").replace("?", " ").replace(")", " ").split()
        ):
            word = word.strip("`,.:;{}()\"'")
            if word.startswith("saros."):
                assert word in known, f"{word} in {name}"


def test_every_function_is_described_by_parameters_and_returns(defined: dict[str, Class]) -> None:
    for found in defined.values():
        for function in found.functions:
            for param in function.params:
                assert param.text


def test_the_additions_to_luas_libraries_are_complete(surface: dict[str, Any]) -> None:
    added = {
        item for item in surface["extra"] - surface["plain"] if item[0] != "coroutine" or item[1] == "spawn"
    }
    text = read("globals")
    for library, name in added:
        assert f"function {library}.{name}(" in text, name
    assert text.count("\nfunction ") == len(added)


def test_types_writes_definitions_and_settings(tmp_path: Path) -> None:
    (tmp_path / SETTINGS).write_text('{"diagnostics.globals": ["mine", "time"], "hint.enable": true}')
    plugged = Module(name="mail", source="", types="---@meta mail\n")
    written = write(tmp_path, [plugged])
    assert {path.name for path in written} >= {"time.lua", "globals.lua", "mail.lua", SETTINGS}
    assert (tmp_path / FOLDER / "mail.lua").read_text() == "---@meta mail\n"
    settings = json.loads((tmp_path / SETTINGS).read_text())
    assert settings["hint.enable"] is True
    assert settings["workspace.library"] == [FOLDER]
    assert settings["diagnostics.globals"][0] == "mine"
    assert settings["diagnostics.globals"].count("time") == 1
    assert "mail" in settings["diagnostics.globals"]
    before = (tmp_path / SETTINGS).read_text()
    write(tmp_path, [plugged])
    assert (tmp_path / SETTINGS).read_text() == before


def test_types_is_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["types", str(tmp_path)]) == 0
    assert str(tmp_path / FOLDER / "process.lua") in capsys.readouterr().out
    assert main(["types", str(tmp_path / "nothing")]) == 1


@pytest.mark.parametrize("text", ["{", "[]"])
def test_settings_that_cannot_be_read_are_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / SETTINGS).write_text(text)
    with pytest.raises(Error) as caught:
        write(tmp_path, [])
    assert "luarc" in caught.value.message
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.skipif(shutil.which("lua-language-server") is None, reason="needs lua-language-server")
def test_the_language_server_finds_nothing_wrong(tmp_path: Path) -> None:
    write(tmp_path, [])
    (tmp_path / "main.lua").write_text(
        'local time = require("time")\nreturn { main = function() time.sleep("1s") end }\n'
    )
    done = subprocess.run(
        ["lua-language-server", "--check", str(tmp_path), "--logpath", os.devnull],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
