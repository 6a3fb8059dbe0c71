"""Commands about apps, and about what is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema_rs
import pytest
import typer
import yaml

import saros
from saros.app import plugins

COMMANDS = [
    *("run", "start", "call", "list", "describe", "history", "signal", "query", "update", "cancel"),
    *("terminate", "result", "replay", "check", "new", "schema", "plugins", "version"),
]


def test_a_new_app_passes_the_check_and_runs(cli: Any) -> None:
    made = cli("new", "shop")
    assert made.status == 0
    assert sorted(os.listdir("shop")) == [
        "README.md",
        "_index.yaml",
        "order.json",
        "order_workflow.lua",
        "payments.lua",
        "shipping.lua",
    ]
    checked = cli("check", "shop")
    assert (checked.status, checked.out, checked.err) == (0, "shop is fine: 5 entries\n", "")
    started = cli(
        "start", "shop", "app:order_workflow", "@shop/order.json", "-b", "memory://?time=skip", "--json"
    )
    assert started.json["status"] == "completed"
    refunded = cli("start", "shop", "order_workflow", '{"total": 1}', "-b", "memory://?time=skip")
    assert refunded.json["step"] == "shipping"
    assert "app:refund_payment" in refunded.err


def test_new_fills_an_empty_directory(cli: Any) -> None:
    Path("empty").mkdir()
    assert cli("new", "empty").status == 0
    assert Path("empty/_index.yaml").is_file()


def test_check_accepts_an_app_without_problems(cli: Any, shop: str) -> None:
    assert cli("check", shop).out == f"{shop} is fine: 4 entries\n"
    assert cli("check", shop, "--json").json == {"ok": True, "errors": [], "warnings": []}


def test_schema_accepts_an_app(cli: Any, shop: str) -> None:
    schema = cli("schema").json
    app = yaml.safe_load(Path(shop, "_index.yaml").read_text())
    assert jsonschema_rs.is_valid(schema, app)
    app["entries"][0]["task_queue"] = []
    assert not jsonschema_rs.is_valid(schema, app)


def test_version(cli: Any) -> None:
    assert cli("version").out == f"saros {saros.__version__}\n"
    assert cli("--version").out == f"saros {saros.__version__}\n"
    assert cli("version", "--json").json["saros"] == saros.__version__


def test_plugins_are_listed_with_what_they_supply(cli: Any) -> None:
    result = cli("plugins")
    assert result.status == 0
    assert "  backend   memory://  in this process; nothing survives it\n" in result.out
    assert "workflow.lua" in result.out
    listed = {plugin["name"]: plugin for plugin in cli("plugins", "--json").json["plugins"]}
    assert listed["memory"]["backends"] == ["memory"]
    assert "function.lua" in listed["lua"]["kinds"]
    assert "channel" in listed["lua"]["modules"]


class _Commands:
    """A plugin that adds one command, and tries to replace one of ours."""

    @saros.hookimpl
    def saros_commands(self, cli: typer.Typer) -> None:
        @cli.command()
        def greet(name: str) -> None:
            """Say hello."""
            typer.echo(f"hello {name}")

        @cli.command()
        def version() -> None:
            typer.echo("not ours")


class _Failing:
    @saros.hookimpl
    def saros_kinds(self) -> list[Any]:
        raise OSError("no kinds today")


def _installed(monkeypatch: pytest.MonkeyPatch, **points: Any) -> None:
    found = plugins.Plugins([])
    for name, plugin in points.items():
        if isinstance(plugin, EntryPoint):
            found._load(plugin)
        else:
            found._load(SimpleNamespace(name=name, dist=None, load=lambda plugin=plugin: plugin))  # type: ignore[arg-type]
    monkeypatch.setattr(plugins, "installed", lambda: found)


def test_plugins_add_commands_and_replace_none(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, extra=_Commands())
    assert cli("greet", "ann").out == "hello ann\n"
    assert cli("version").out.startswith("saros ")
    assert "Say hello." in cli("--help").out


def test_a_plugin_that_fails_is_reported_and_the_others_work(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _installed(
        monkeypatch,
        bad=EntryPoint("bad", "saros_nowhere.plugin", "saros"),
        failing=_Failing(),
        extra=_Commands(),
    )
    result = cli("plugins")
    assert result.status == 0
    assert "extra\n  commands  yes\n" in result.out
    assert result.err.splitlines() == [
        "warning: the plugin failing fails to supply its kinds: OSError: no kinds today",
        "warning: the plugin bad failed to load: ModuleNotFoundError: No module named 'saros_nowhere'",
    ]
    told = cli("plugins", "--json").json
    assert told["failed"][0]["name"] == "bad"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(cli: Any, command: str) -> None:
    result = cli(command, "--help")
    assert (result.status, result.err) == (0, "")
    assert f"saros {command}" in result.out.split("Example", 1)[1]


def test_help_lists_every_command(cli: Any) -> None:
    help_text = cli("--help").out
    assert [command for command in COMMANDS if f" {command} " not in help_text] == []
    bare = cli()
    assert bare.status == 2
    assert bare.out == help_text


@pytest.mark.parametrize("args", [["version"], ["--help"], ["start", "--help"]])
def test_commands_that_print_little_import_little(args: list[str]) -> None:
    """Imports dominate the start-up time, so this checks them and needs no stopwatch."""
    code = (
        "import sys; from saros_cli import main; "
        f"main({args!r}); "
        "print({'saros.app.app', 'saros.engine', 'lupa'} & set(sys.modules), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stderr == "set()\n"


def test_new_and_types_list_what_they_wrote_as_json(cli: Any) -> None:
    written = cli("new", "shop", "--json").json["written"]
    assert "shop/_index.yaml" in written
    assert "shop/.luarc.json" in cli("types", "shop", "--json").json["written"]


def test_the_module_runs_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "saros", "version"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("saros ")
