"""Fixtures that write apps from tables of file names and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from saros.entries import CORE_KINDS, AppError, Kind, Problem, Registry, load
from saros_lua.kinds import LUA_KINDS
from saros_python.kinds import FUNCTION_PYTHON
from saros_services.kinds import PROCESS_SERVICE, SCHEDULE

KINDS: tuple[Kind, ...] = (*CORE_KINDS, *LUA_KINDS, FUNCTION_PYTHON, PROCESS_SERVICE, SCHEDULE)

Load = Callable[..., Registry]
Fail = Callable[..., list[Problem]]

HOST = "- {name: host, kind: process.host}"


def lines(problems: Iterable[Problem]) -> list[str]:
    """Return problems as texts, with their hints."""
    return [f"{problem} | {problem.hint}" if problem.hint else str(problem) for problem in problems]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Mapping[str, str] | str], Path]:
    """Writes files below the app directory; a single text is `_index.yaml`. Lua sources a to c exist already."""

    def write(files: Mapping[str, str] | str) -> Path:
        app = tmp_path / "app"
        app.mkdir(exist_ok=True)
        for name in "abc":
            (app / f"{name}.lua").write_text("return {}")
        for name, text in ({"_index.yaml": files} if isinstance(files, str) else files).items():
            (app / name).parent.mkdir(parents=True, exist_ok=True)
            (app / name).write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return app

    return write


@pytest.fixture
def app(write: Callable[[Mapping[str, str] | str], Path]) -> Load:
    """Writes and loads an app."""

    def app(
        files: Mapping[str, str] | str,
        env: Mapping[str, str] | None = None,
        kinds: tuple[Kind, ...] = KINDS,
        known_modules: set[str] | None = None,
    ) -> Registry:
        return load(write(files), kinds, {} if env is None else env, known_modules)

    return app


@pytest.fixture
def problems(app: Load) -> Fail:
    """Writes an app that cannot be loaded, and returns the reasons."""

    def problems(files: Mapping[str, str] | str, **options: object) -> list[Problem]:
        with pytest.raises(AppError) as caught:
            app(files, **options)
        return caught.value.problems

    return problems
