"""`saros start`, `call` and `run`, which run an app on memory in their own process."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.app import plugins
from saros.app.hookspecs import ServicePlugin
from saros.app.plugins import Plugins

SKIP = "memory://?time=skip"
COMMAND = [sys.executable, "-c", "import sys; from saros_cli import main; sys.exit(main())"]


def test_start_waits_on_memory_and_shows_what_happens(cli: Any, shop: str) -> None:
    result = cli("start", shop, "app:order", '{"amount": 5}', "--id", "order-1", "--backend", SKIP)
    assert result.status == 0
    assert result.json == {"status": "completed", "payment": {"id": "pay-1", "amount": 5}}
    lines = result.err.splitlines()
    assert (
        lines[0] == f"note: {SKIP} lives in this process only, so this waits for the workflow as with --wait"
    )
    events = [line.split()[1] for line in lines[1:] if line.startswith(" ")]
    assert events == [
        "ExecutionStarted",
        "ActivityScheduled",
        "ActivityCompleted",
        "TimerStarted",
        "TimerFired",
        "ExecutionCompleted",
    ]
    assert any(re.search(r"info +charging 5 \[app:charge", line) for line in lines)
    assert re.search(r"\+2h +TimerFired +2h", result.err)


def test_start_with_json_prints_the_result_only(cli: Any, shop: str) -> None:
    result = cli("start", shop, "app:order", '{"amount": 5}', "--wait", "--backend", SKIP, "--json")
    assert (result.status, result.err) == (0, "")
    assert result.out == '{"payment":{"amount":5,"id":"pay-1"},"status":"completed"}\n'


def test_a_failed_workflow_shows_kind_message_and_details(cli: Any, shop: str) -> None:
    result = cli("start", shop, "app:order", "{}", "--backend", SKIP, "--json", "--log-level", "error")
    assert result.status == 1
    assert result.out == ""
    assert result.err.splitlines() == ["error: Invalid: no amount", 'details: {"field":"amount"}']


@pytest.mark.parametrize("name", ["app:order", "order"])
def test_a_workflow_is_named_by_id_or_by_a_unique_name(cli: Any, shop: str, name: str) -> None:
    assert cli("start", shop, name, '{"amount": 1}', "-b", SKIP, "--json").status == 0


def test_arguments_come_from_files_and_stdin_too(cli: Any, shop: str) -> None:
    Path("order.json").write_text('{"amount": 7}')
    from_file = cli("call", shop, "app:charge", "@order.json", "--json")
    from_stdin = cli("call", shop, "app:charge", "-", "--json", stdin='{"amount": 8}')
    assert [from_file.json["amount"], from_stdin.json["amount"]] == [7, 8]


def test_numbers_keep_their_types_and_keys_are_just_keys(cli: Any, write: Any) -> None:
    app = write(
        {
            "_index.yaml": "namespace: app\nname: echo\nkind: function.lua\nsource: file://echo.lua\n",
            "echo.lua": "return function(a, b, c) return {math.type(a), a, b, c} end",
        }
    )
    result = cli("call", app, "echo", "3.0", "3", '{"$bin": "/wA="}', "--json")
    assert result.out == '["float",3.0,3,{"$bin":"/wA="}]\n'


def test_context_and_options_reach_the_workflow(cli: Any, write: Any) -> None:
    app = write(
        {
            "_index.yaml": "namespace: app\nname: who\nkind: workflow.lua\nsource: file://who.lua\n"
            "modules: [ctx, workflow]\n",
            "who.lua": 'return function() return {require("ctx").get("user"), '
            'require("workflow").info().workflow_id} end',
        }
    )
    options = [
        "--context",
        '{"user": "ann"}',
        "--name",
        "one",
        "-o",
        "run_timeout=1h",
        "-o",
        "task_queue=default",
    ]
    result = cli("start", app, "app:who", "--json", *options)
    assert result.json == ["ann", "one"]


def test_a_wait_ends_after_its_timeout(cli: Any, shop: str) -> None:
    result = cli(
        "start", shop, "app:approval", '{"customer": "c"}', "--id", "a", "--timeout", "50ms", "--json"
    )
    assert (result.status, result.out) == (1, "")
    assert "error: a did not end within 0.05 s" in result.err.splitlines()


def test_call_prints_the_result_of_a_function(cli: Any, shop: str) -> None:
    result = cli("call", shop, "app:charge", '{"amount": 3}')
    assert result.status == 0
    assert result.json == {"id": "pay-1", "amount": 3}
    failed = cli("call", shop, "app:charge", "{}", "--json")
    assert (failed.status, failed.out) == (1, "")
    assert failed.err == 'error: Invalid: no amount\ndetails: {"field":"amount"}\n'


def test_warnings_of_the_app_are_shown_once(cli: Any, write: Any) -> None:
    app = write(
        {
            "_index.yaml": "namespace: app\nname: one\nkind: function.lua\nsource: file://one.lua\nsauce: x\n",
            "one.lua": "return function() return 1 end",
        }
    )
    result = cli("call", app, "one")
    assert (result.status, result.out) == (0, "1\n")
    assert result.err.count("warning: ") == 1
    assert "sauce" in result.err


def test_what_the_apps_code_prints_does_not_mix_with_data(cli: Any, write: Any) -> None:
    app = write(
        {
            "_index.yaml": "namespace: app\nname: loud\nkind: function.python\ncall: loud_code:loud\n",
            "loud_code.py": "def loud():\n    print('a python print')\n    return 1\n",
        }
    )
    result = cli("call", app, "loud", "--json")
    assert (result.out, result.err) == ("1\n", "a python print\n")


def test_a_parked_workflow_is_reported_and_continues_when_its_code_is_repaired(cli: Any, write: Any) -> None:
    app = write(
        {
            "_index.yaml": "namespace: app\nname: one\nkind: workflow.lua\nsource: file://one.lua\n",
            "one.lua": "return function()\n  while true do end\nend\n",
        }
    )
    command = [*COMMAND, "start", app, "one", "--id", "o", "--wait"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
    ) as started:
        assert started.stderr is not None
        assert started.stdout is not None
        line = started.stderr.readline()
        assert "the workflow task of o is parked" in line
        assert "app/one.lua:2" in line
        write({"one.lua": 'return function() return "repaired" end'})
        assert started.stdout.read() == '"repaired"\n'
        started.stderr.read()
    assert started.returncode == 0


class _Refused:
    """A plugin whose service cannot start."""

    @saros.hookimpl
    def saros_services(self) -> list[ServicePlugin]:
        @contextlib.asynccontextmanager
        async def serve(app: saros.App) -> AsyncIterator[None]:
            raise saros.Error("port 80 is taken", "Unavailable", hint="take another one")
            yield

        return [ServicePlugin("refused", serve)]


def test_a_service_that_cannot_start_ends_run_but_not_start(
    cli: Any, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Plugins()
    found.manager.register(_Refused())
    monkeypatch.setattr(plugins, "installed", lambda: found)
    monkeypatch.setattr("saros.app.opening.installed", lambda: found)
    monkeypatch.setattr("saros.app.loading.installed", lambda: found)
    assert cli("start", shop, "app:order", '{"amount": 5}', "-b", SKIP, "--json").status == 0
    result = cli("run", shop)
    assert (result.status, result.out) == (1, "")
    assert result.err.splitlines()[-2:] == ["error: port 80 is taken", "hint: take another one"]


def test_a_terminal_gets_colours_and_a_spinner(cli: Any, shop: str) -> None:
    terminal, end = pty.openpty()
    started = subprocess.Popen(
        [*COMMAND, "start", shop, "app:order", '{"amount": 5}', "-b", SKIP, "--wait"],
        stdout=subprocess.PIPE,
        stderr=end,
        env={**_environment(), "TERM": "xterm-256color", "COLUMNS": "120"},
    )
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # Linux raises it when the other end is closed
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)
    out, _ = started.communicate()
    assert started.returncode == 0
    assert json.loads(out)["status"] == "completed"
    text = shown.decode()
    assert "\x1b[32mActivityCompleted" in text
    assert "\x1b[?25l" in text  # the cursor was hidden
    assert "\x1b[?25h" in text  # and shown again


def _environment() -> dict[str, str]:
    paths = [path for path in sys.path if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_serves_until_it_is_told_to_stop(cli: Any, shop: str, number: signal.Signals) -> None:
    served = subprocess.Popen(
        [*COMMAND, "run", shop, "--log-json"], stderr=subprocess.PIPE, text=True, env=_environment()
    )
    with served:
        assert served.stderr is not None
        first = json.loads(served.stderr.readline())
        served.send_signal(number)
        rest = [json.loads(line) for line in served.stderr]
    assert served.returncode == 0
    assert first["fields"]["task queues"] == ["orders"]
    assert first["fields"]["workflows"] == ["app:order", "app:approval"]
    assert rest[-1]["message"] == "stopped"


def test_run_tells_people_what_it_serves(cli: Any, shop: str) -> None:
    served = subprocess.Popen([*COMMAND, "run", shop], stderr=subprocess.PIPE, text=True, env=_environment())
    with served:
        assert served.stderr is not None
        lines = [served.stderr.readline().split(maxsplit=1) for _ in range(5)]
        served.send_signal(signal.SIGINT)
        served.stderr.read()
    assert [words[0] for words in lines] == ["app", "backend", "task", "workflows", "functions"]
    assert lines[1][1] == "memory://\n"


def test_run_without_services_leaves_the_port_alone(cli: Any, write: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        app = write(
            {
                "_index.yaml": f"""
                namespace: app
                entries:
                  - {{name: web, kind: http.service, addr: "127.0.0.1:{port}", lifecycle: {{auto_start: true}}}}
                  - {{name: fn, kind: function.lua, source: file://fn.lua}}
                """,
                "fn.lua": "return function() end",
            }
        )
        command = [*COMMAND, "run", app]
        done = subprocess.run(command, capture_output=True, text=True, env=_environment(), timeout=60)
        assert done.returncode == 1
        assert f"app:web cannot listen at 127.0.0.1:{port}" in done.stderr
        assert "--no-services" in done.stderr
        served = subprocess.Popen(
            [*command, "--no-services"], stderr=subprocess.PIPE, text=True, env=_environment()
        )
        with served:
            assert served.stderr is not None
            lines = [served.stderr.readline() for _ in range(4)]
            served.send_signal(signal.SIGINT)
            rest = served.stderr.read()
    assert lines[-1].startswith("functions")
    assert "services" not in rest
    assert served.returncode == 0


def test_ctrl_c_ends_a_wait_with_130(cli: Any, shop: str) -> None:
    waiting = subprocess.Popen(
        [*COMMAND, "start", shop, "approval", '{"customer": "c"}', "--id", "a"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
    )
    with waiting:
        assert waiting.stderr is not None
        assert waiting.stdout is not None
        assert any("AttributesUpserted" in line for line in iter(waiting.stderr.readline, ""))
        waiting.send_signal(signal.SIGINT)
        assert waiting.stderr.read().endswith("error: interrupted; the workflow is lost with this process\n")
        assert waiting.stdout.read() == ""
    assert waiting.returncode == 130


def test_a_reader_that_goes_away_is_no_error(cli: Any) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "schema"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
