"""The example plugin, installed as a separate distribution next to those of this environment."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.app.plugins import Plugins
from saros.model.errors import INVALID
from saros_testing import TestApp, lua_app
from saros_testing.conformance import BEHAVIOURS

HERE = Path(__file__).parent / "extras"
ROOT = Path(__file__).parents[2]
SLUG = (
    'local slug = require("slug") local text, err = slug.make(...) return text or {err:kind(), err:message()}'
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what ``pip install --target`` writes: the package and its metadata."""
    target = tmp_path_factory.mktemp("site")
    project = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]
    shutil.copytree(HERE / "saros_extras", target / "saros_extras")
    info = target / f"saros_extras-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {project['version']}\n", "utf-8"
    )
    points = [
        line
        for group, found in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in found.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(points) + "\n", "utf-8")
    return target


@pytest.fixture
def plugins(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    """The installed plugins, including the example."""
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    plugins = Plugins()
    assert not plugins.broken
    assert plugins.distributions["extras"] == "saros-extras 0.1.0"
    monkeypatch.setattr("saros.app.plugins.installed", lambda: plugins)
    monkeypatch.setattr("saros.app.opening.installed", lambda: plugins)
    monkeypatch.setattr("saros.app.loading.installed", lambda: plugins)
    yield plugins
    for name in [name for name in sys.modules if name.split(".")[0] == "saros_extras"]:
        del sys.modules[name]


def app_with(path: Path, **parts: Any) -> Path:
    """Write an app whose entry `named` may require the module."""
    entry = {"name": "named", "kind": "workflow.lua", "source": "file://named.lua", "modules": ["slug"]}
    source = f"return function(...) {SLUG} end\n"
    return lua_app(path, entries=(entry, *parts.pop("entries", ())), files={"named.lua": source}, **parts)


def command(site: Path, *args: str) -> subprocess.CompletedProcess[str]:
    code = (
        f"import sys; sys.path[:0] = {[str(site), *sys.path]!r}; from saros_cli import main; sys.exit(main())"
    )
    return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=60)


def test_saros_plugins_lists_what_it_supplies(plugins: Plugins) -> None:
    assert plugins.supplies()["extras"] == {
        "backends": ["dict"],
        "kinds": ["ready.file"],
        "modules": ["slug"],
        "services": ["ready"],
        "commands": [],
    }


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Crème brûlée, 2 pieces!", "creme-brulee-2-pieces"),
        ("…", [INVALID, "slug.make: no letter or digit is left"]),
        (5, [INVALID, "slug.make expects a string, not a number"]),
    ],
)
def test_the_module(plugins: Plugins, tmp_path: Path, text: Any, slug: Any) -> None:
    async def scenario() -> None:
        async with TestApp(app_with(tmp_path), plugins=plugins) as app:
            assert await app.run("app:named", text, id="n") == slug
            assert await app.replay("n") == 2

    asyncio.run(scenario())


def test_the_service_runs_while_the_app_is_served(plugins: Plugins, tmp_path: Path) -> None:
    entry = {"name": "ready", "kind": "ready.file", "path": "ready"}

    async def scenario() -> None:
        async with TestApp(app_with(tmp_path, entries=(entry,)), plugins=plugins) as app:
            await app.run("app:named", "x")
            assert (tmp_path / "ready").read_text() == "ready\n"
        assert not (tmp_path / "ready").exists()

    asyncio.run(scenario())


def test_the_kind_is_checked_like_every_other(plugins: Plugins, tmp_path: Path) -> None:
    path = app_with(tmp_path, entries=({"name": "ready", "kind": "ready.file"},))

    async def scenario() -> None:
        with pytest.raises(saros.Error, match="path") as caught:
            async with TestApp(path, plugins=plugins):
                pass
        assert "app:ready" in str(caught.value)

    asyncio.run(scenario())


def test_the_backend_is_selected_by_its_scheme(plugins: Plugins, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with TestApp(app_with(tmp_path), "dict://shop", plugins=plugins) as app:
            assert await app.run("app:named", "x", id="n") == "x"
            async with TestApp(tmp_path, "dict://shop", plugins=plugins, workers=False) as other:
                assert (await other.app.get("n").describe()).status == "completed"

    asyncio.run(scenario())


def test_the_suite_finds_the_backend(site: Path, tmp_path: Path) -> None:
    """A separate process finds the plugin like any other: by the scheme of the URL. `--backend all` runs the rest."""
    command = [sys.executable, "-m", "pytest", str(ROOT / "tests" / "conformance"), "--backend", "dict"]
    command += [
        "-q",
        "-p",
        "no:cacheprovider",
        "--basetemp",
        str(tmp_path / "suite"),
        "-k",
        "values_ or signals_",
    ]
    path = os.pathsep.join([str(site), *(part for part in sys.path if part)])
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    result = subprocess.run(
        command, cwd=ROOT, env={**env, "PYTHONPATH": path}, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    chosen = sum("values_" in behaviour.name or "signals_" in behaviour.name for behaviour in BEHAVIOURS)
    assert re.search(rf"^{chosen} passed", result.stdout, re.MULTILINE), result.stdout


def test_the_command(site: Path) -> None:
    result = command(site, "entries", str(ROOT / "examples" / "orders"), "--kind", "workflow.lua")
    assert result.stderr == ""
    assert result.stdout.split() == [
        word
        for name in ("order_workflow", "order_saga", "approval", "checkout")
        for word in ("workflow.lua", f"app:{name}")
    ]


SHOWN = re.compile(
    r'^```\w+ title="saros_extras/(?P<name>[^"]+)"\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL
)


def test_the_documentation_shows_these_files() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    shown = {match["name"]: match["text"] for match in SHOWN.finditer(page)}
    files = {path.name for path in (HERE / "saros_extras").iterdir() if path.suffix in (".py", ".lua")}
    long = {"dictionary.py", "execution.py"}
    assert set(shown) == files - {"__init__.py", *long}
    assert all(f"`saros_extras/{name}`" in page for name in long), "they are too long to be shown"
    for name, text in shown.items():
        assert (HERE / "saros_extras" / name).read_text("utf-8") == text, name
