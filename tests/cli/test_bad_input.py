"""Mistakes of users: each gives one clear message with place and hint, and leaves nothing half-done."""

from __future__ import annotations

import os
import re
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from saros.app import plugins

ONE = "namespace: app\nname: one\nkind: {kind}\nsource: file://one.lua\n{more}"


def _one(write: Any, code: str = "return function() end", kind: str = "function.lua", more: str = "") -> str:
    path: str = write({"_index.yaml": ONE.format(kind=kind, more=more), "one.lua": code})
    return path


@pytest.mark.parametrize("command", [["check"], ["call"], ["start"], ["run"]])
def test_bad_yaml(cli: Any, write: Any, command: list[str]) -> None:
    app = write({"_index.yaml": "namespace: app\nentries: [\n"})
    more = ["app:one"] if command[0] in ("call", "start") else []
    result = cli(*command, app, *more)
    assert (result.status, result.out) == (1, "")
    error = result.err.splitlines()[0]
    assert error.startswith("error: ")
    assert f"({app}/_index.yaml:" in error


def test_an_unknown_kind(cli: Any, write: Any) -> None:
    result = cli("check", _one(write, kind="function.lau"))
    assert result.status == 1
    assert result.err.splitlines() == [
        'error: app:one: the kind "function.lau" is unknown (../app/_index.yaml:3)',
        'hint: did you mean "function.lua"?',
    ]


def test_a_kind_of_a_plugin_that_is_not_installed(
    cli: Any, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = plugins.Plugins([EntryPoint("lua", "saros_lua.plugin", "saros")])
    monkeypatch.setattr(plugins, "installed", lambda: only)
    monkeypatch.setattr("saros.app.loading.installed", lambda: only)
    result = cli("check", write({"_index.yaml": "namespace: app\nname: web\nkind: http.service\n"}))
    assert result.status == 1
    assert result.err.splitlines() == [
        'error: app:web: the kind "http.service" is unknown (../app/_index.yaml:3)',
        "hint: install the plugin saros-http, which supplies the kinds http.*",
    ]


def test_a_dangling_reference(cli: Any, write: Any) -> None:
    more = "meta: {temporal: {workflow: {worker: app:wroker}}}\n"
    result = cli("check", _one(write, kind="workflow.lua", more=more))
    assert result.status == 1
    assert result.err.count("error: ") == 1
    assert "app:wroker" in result.err
    assert "(../app/_index.yaml:5)" in result.err


@pytest.mark.parametrize("command", ["check", "call", "run"])
def test_a_lua_syntax_error(cli: Any, write: Any, command: str) -> None:
    app = _one(write, code="return function()\n  local = 3\nend")
    result = cli(command, app, *(["app:one"] if command == "call" else []))
    assert (result.status, result.out) == (1, "")
    assert result.err.splitlines()[0].startswith("error: app:one: ")
    assert result.err.splitlines()[0].endswith("(app/one.lua:2)")


def test_a_missing_method(cli: Any, write: Any) -> None:
    result = cli("check", _one(write, code="return {}", more="method: main\n"))
    assert result.status == 1
    assert result.err.count("error: ") == 1
    assert "main" in result.err


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("def other(): pass\n", "has no attribute 'run'"),
        ("def run(:\n", "SyntaxError: "),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_python_function_that_cannot_be_imported(cli: Any, write: Any, code: str, error: str) -> None:
    module = f"code_{abs(hash(code))}"
    app = write(
        {
            "_index.yaml": f"namespace: app\nname: one\nkind: function.python\ncall: {module}:run\n",
            f"{module}.py": code,
        }
    )
    result = cli("check", app)
    assert result.status == 1
    assert result.err.count("error: ") == 1
    assert error in result.err
    assert result.err.endswith("(../app/_index.yaml:4)\n")


def test_all_problems_of_yaml_and_lua_come_at_once(cli: Any, write: Any) -> None:
    app = write(
        {
            "_index.yaml": """\
            namespace: app
            entries:
              - name: one
                kind: function.lua
                source: file://one.lua
              - name: two
                kind: function.lau
              - name: three
                kind: function.lua
                source: file://gone.lua
              - name: odd
                kind: temporal.worker
                queue: orders
            """,
            "one.lua": "return function(",
        }
    )
    result = cli("check", app)
    assert result.status == 1
    assert result.err.count("error: ") == 3
    assert result.err.count("warning: ") == 1
    told = cli("check", app, "--json")
    assert told.err == ""
    assert told.json["ok"] is False
    assert [(error["entry"], error["file"], error["line"]) for error in told.json["errors"]] == [
        ("app:two", "../app/_index.yaml", 7),
        ("app:three", "../app/_index.yaml", 10),
        ("app:one", "app/one.lua", 1),
    ]
    assert told.json["warnings"][0]["line"] == 13


@pytest.mark.parametrize(
    ("text", "error", "hint"),
    [
        (
            "{'id': 1}",
            "this is not JSON: expecting property name enclosed in double quotes at line 1, column 2 (argument 1)",
            'JSON needs double quotes; put single quotes around it for the shell: \'{"id": "1"}\'',
        ),
        (
            "hello",
            "this is not JSON: expecting value at line 1, column 1 (argument 1)",
            "a text needs quotes: '\"hello\"'",
        ),
        (
            '{"id": }',
            "this is not JSON: expecting value at line 1, column 8 (argument 1)",
            'put single quotes around it for the shell: \'{"id": "1"}\'',
        ),
        (
            "",
            "this is not JSON: expecting value at line 1, column 1 (argument 1)",
            "write null for a missing value",
        ),
    ],
)
def test_wrong_json(cli: Any, shop: str, text: str, error: str, hint: str) -> None:
    for command in (["start", shop, "app:order"], ["call", shop, "app:charge"], ["signal", "x", "topic"]):
        result = cli(*command, text)
        assert (result.status, result.out) == (2, "")
        assert result.err.splitlines() == [f"error: {error}", f"hint: {hint}"]


def test_wrong_json_elsewhere(cli: Any, shop: str) -> None:
    Path("bad.json").write_text('{\n  "a": 1,\n}')
    in_file = cli("call", shop, "app:charge", "@bad.json")
    assert in_file.status == 2
    # The place depends on the version of Python: the comma, or what follows it.
    assert re.search(r"at line [23], column \d+ \(bad\.json\)", in_file.err.splitlines()[0])
    in_stdin = cli("call", shop, "app:charge", "-", stdin="[1,")
    assert in_stdin.err.splitlines()[0].endswith("(stdin)")
    missing = cli("call", shop, "app:charge", "@nowhere.json")
    assert (missing.status, missing.err) == (
        2,
        'error: cannot read "nowhere.json": No such file or directory (argument 1)\n',
    )
    context = cli("call", shop, "app:charge", "--context", "[1]")
    assert context.err.splitlines()[0] == "error: this must be a JSON object, not [1] (--context)"
    assert cli("call", shop, "app:charge", "NaN").status == 2


def test_an_unknown_entry(cli: Any, shop: str) -> None:
    near = cli("start", shop, "app:odrer")
    assert (near.status, near.out) == (1, "")
    assert near.err.splitlines() == [
        'error: the app has no workflow "app:odrer" (../app)',
        'hint: did you mean "app:order"?',
    ]
    far = cli("call", shop, "elsewhere", "--json")
    assert far.err.splitlines() == [
        'error: the app has no function "elsewhere" (../app)',
        "hint: its functions are app:charge",
    ]
    wrong = cli("start", shop, "app:charge", "--json")
    assert wrong.err.splitlines() == [
        "error: app:charge is a function.lua, not a workflow (../app/_index.yaml:16)",
        "hint: call it with `saros call`",
    ]


@pytest.mark.parametrize(
    ("url", "status", "error", "hint"),
    [
        (
            "memroy://",
            1,
            "no installed plugin supplies the backend memroy:// (--backend)",
            "did you mean memory://?",
        ),
        (
            "localhost",
            2,
            "'localhost' is not a backend URL (--backend)",
            "for example memory:// or redis://localhost",
        ),
        (
            "memory://?time=fast",
            1,
            "memory:// has an unknown option",
            "use memory:// or memory://?time=skip",
        ),
    ],
)
def test_an_unknown_backend(cli: Any, shop: str, url: str, status: int, error: str, hint: str) -> None:
    result = cli("start", shop, "app:order", "--backend", url, "--json")
    assert (result.status, result.out) == (status, "")
    assert result.err.splitlines() == [f"error: {error}", f"hint: {hint}"]


def test_a_backend_of_a_plugin_that_is_not_installed(
    cli: Any, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = plugins.Plugins([EntryPoint("memory", "saros_memory.plugin", "saros")])
    monkeypatch.setattr(plugins, "installed", lambda: only)
    monkeypatch.setenv("SAROS_BACKEND", "redis://localhost")
    result = cli("list")
    assert (result.status, result.out) == (1, "")
    assert result.err.splitlines() == [
        "error: no installed plugin supplies the backend redis:// (--backend)",
        "hint: pip install saros-redis",
    ]


def test_no_app(cli: Any) -> None:
    for command in (
        ["check", "nowhere"],
        ["run", "nowhere"],
        ["start", "nowhere", "a:b"],
        ["replay", "nowhere", "x"],
    ):
        Path("x").write_text("{}")
        result = cli(*command)
        assert (result.status, result.out) == (1, "")
        assert 'error: there is no app directory "nowhere"\nhint: `saros new DIR` makes one\n' in result.err


@pytest.mark.parametrize(
    ("args", "error", "hint"),
    [
        (["list", "--nope"], "error: no such option: --nope", "hint: saros list --help"),
        (["nope"], "error: no such command 'nope'", "hint: saros --help"),
        (["start"], "error: missing argument 'APP'", "hint: saros start --help"),
        (["list", "--limit", "x"], "error: invalid value for '--limit'", "hint: saros list --help"),
    ],
)
def test_wrong_usage(cli: Any, args: list[str], error: str, hint: str) -> None:
    result = cli(*args)
    assert (result.status, result.out) == (2, "")
    lines = result.err.splitlines()
    assert lines[0].startswith(error)
    assert lines[1].startswith("usage: saros ")
    assert lines[2] == hint


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["--option", "run_timeout"], 'error: "run_timeout" is not a valid option (--option)'),
        (["--timeout", "soon"], "error: "),
        (["--log-level", "loud"], 'error: "loud" is not a log level (--log-level)'),
        (["--option", "run_timeout=soon"], "error: "),
    ],
)
def test_wrong_options_of_start(cli: Any, shop: str, args: list[str], error: str) -> None:
    result = cli("start", shop, "app:order", *args)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(error)


def test_an_unknown_start_option(cli: Any, shop: str) -> None:
    result = cli("start", shop, "app:order", "-o", "speed=9", "--json")
    assert (result.status, result.err) == (1, "error: unknown start option speed\n")


def test_an_unexpected_error_is_one_line_and_a_traceback_on_demand(
    cli: Any, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("saros.app.loading.check_app", broken)
    result = cli("check", shop)
    assert result.status == 1
    assert result.err.splitlines() == [
        "error: RuntimeError: boom",
        "hint: this is unexpected; `saros --debug ...` shows where it happened",
    ]
    assert "Traceback" in cli("--debug", "check", shop).err


def test_new_leaves_existing_files_alone(cli: Any) -> None:
    os.makedirs("full")
    Path("full/file").write_text("mine")
    result = cli("new", "full")
    assert (result.status, result.out) == (1, "")
    assert result.err == 'error: the directory "full" is not empty\nhint: name a new directory\n'
    assert os.listdir("full") == ["file"]
    assert cli("new", "full/file").status == 1


def test_what_is_no_text_is_refused(cli: Any, write: Any, tmp_path: Path) -> None:
    """A shell passes any bytes; those that are no UTF-8 arrive as lone surrogates."""
    app, wrong = _one(write, kind="workflow.lua"), "a\udcffb"
    for command in (
        ("describe", wrong),
        ("describe", "one", "--run-id", wrong),
        ("history", wrong),
        ("signal", "one", wrong),
        ("query", "one", wrong),
        ("cancel", "one", "--reason", wrong),
        ("list", "--query", f"id = '{wrong}'"),
        ("list", "--query", "id = 'a\0b'"),
        ("start", app, "app:one", "--id", wrong),
    ):
        result = cli(*command, "--backend", f"sqlite:///{tmp_path}/odd.db")
        assert result.status != 0, command
        assert result.err.startswith("error: "), command
        assert "unexpected" not in result.err, command
