"""Fixtures that run Lua code where users' code runs: in workflows, functions and processes, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saros_testing import TestApp, lua_app, refused

Run = Callable[..., Any]


def run_as(role: str, path: Path, main: str, args: tuple[Any, ...], parts: dict[str, Any]) -> Any:
    """The result of ``main`` as a workflow, a function or a process; an error is raised as `saros.Error`."""
    context = parts.pop("context", None)
    options = parts.pop("options", {})
    group = {"workflow": "workflows", "function": "functions", "process": "processes"}[role]
    parts[group] = {"main": main, **parts.get(group, {})}
    if role == "process":
        execs = "return process.with_context(ctx.all()):exec('app:main', 'app:host', ...)"
        parts["functions"] = {"execs": execs, **parts.get("functions", {})}

    async def scenario() -> Any:
        async with asyncio.timeout(100), TestApp(lua_app(path, **parts)) as app:
            if role == "workflow":
                return await app.run("app:main", *args, context=context, **options)
            name = "app:main" if role == "function" else "app:execs"
            return await app.call(name, *args, context=context)

    return asyncio.run(scenario())


@pytest.fixture
def workflow(tmp_path: Path) -> Run:
    """``workflow(main, *args, functions=..., ...)``: the result of a workflow."""
    return lambda main, *args, **parts: run_as("workflow", tmp_path, main, args, parts)


@pytest.fixture
def function(tmp_path: Path) -> Run:
    """Like `workflow`, for a function that is called from Python."""
    return lambda main, *args, **parts: run_as("function", tmp_path, main, args, parts)


@pytest.fixture(params=["workflow", "function", "process"])
def everywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Like `workflow`; the test runs once for each kind of code."""
    return lambda main, *args, **parts: run_as(request.param, tmp_path, main, args, parts)


@pytest.fixture
def raised(everywhere: Run) -> Run:
    """The text of the error that a chunk raises inside of its program, everywhere."""
    return lambda code: everywhere(f"local ok, err = pcall(function() {code} end) return ok or tostring(err)")


@pytest.fixture
def failing(tmp_path: Path) -> Run:
    """The error of a workflow that must fail."""

    def fails(main: str, *args: Any, **parts: Any) -> Any:
        async def scenario() -> Any:
            async with TestApp(lua_app(tmp_path, workflows={"main": main}, **parts)) as app:
                return await refused((await app.start("app:main", *args)).result(90))

        return asyncio.run(scenario())

    return fails
