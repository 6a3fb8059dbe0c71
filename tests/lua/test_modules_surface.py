"""The list of modules that come with the runtime."""

from __future__ import annotations

import lupa.lua54
import pytest

from saros_lua.modules import SURFACE

NAMES = {
    "process", "channel", "payload", "errors", "funcs", "workflow", "time", "ctx", "json", "uuid", "logger",
    "hash", "base64", "crypto", "http_client", "env", "activity",
}  # fmt: skip
BY_NAME = {module.name: module for module in SURFACE}


def test_the_surface_is_complete() -> None:
    assert len(BY_NAME) == len(SURFACE)
    assert set(BY_NAME) == NAMES


def test_some_modules_are_for_workflows_or_functions_only() -> None:
    assert {name for name, module in BY_NAME.items() if not module.workflows} == {
        "http_client",
        "env",
        "activity",
    }
    assert {name for name, module in BY_NAME.items() if not module.functions} == {"workflow"}
    for module in SURFACE:
        assert bool(module.instead) == (not module.workflows or not module.functions)


def test_host_functions_of_one_name_are_one_function() -> None:
    known: dict[str, object] = {}
    for module in SURFACE:
        for name, function in module.host.items():
            assert known.setdefault(name, function) is function


def test_services_are_not_for_workflows(failure) -> None:
    assert [module.name for module in SURFACE if module.services] == ["crypto", "http_client"]
    assert not BY_NAME["http_client"].workflows
    kind, _, message = failure("require('crypto').pbkdf2('p', 's', 100001, 32)", workflow=True)
    assert kind == "Invalid"
    assert "the limit is 100000 in a workflow" in message


@pytest.mark.parametrize("name", sorted(NAMES))
def test_sources_compile(name: str) -> None:
    lua = lupa.lua54.LuaRuntime(encoding=None)
    source = BY_NAME[name].source.encode()
    assert source.startswith(b"--")
    lua.compile(source)
