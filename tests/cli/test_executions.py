"""Commands that read executions or send requests to them, on a memory store that the tests share by name."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import saros
from saros_testing import eventually

ID = "approval-1"


@pytest.fixture
def backend(shop: str, cli: Any) -> str:
    """A backend on which ``approval-1`` waits for a message."""
    url = f"memory://{uuid.uuid4()}"

    async def start() -> None:
        async with saros.open(shop, backend=url) as app:
            handle = await app.start("app:approval", {"customer": "c-42"}, id=ID, context={"user": "ann"})
            async for line in handle.watch():
                if line.name == "AttributesUpserted":
                    return

    asyncio.run(start())
    return url


@pytest.fixture
def ask(cli: Any, backend: str) -> Callable[..., Any]:
    return lambda *args: cli(*args, "--backend", backend)


def _finish(app_path: str, backend: str) -> Any:
    async def finish() -> Any:
        async with saros.open(app_path, backend=backend) as app:
            return await app.get(ID).result(timeout=90)

    return asyncio.run(finish())


def test_list_finds_executions(ask: Any) -> None:
    lines = ask("list").out.splitlines()
    assert lines[0].split() == ["ID", "TYPE", "STATUS", "STARTED", "TOOK"]
    assert lines[1].split()[:3] == [ID, "app:approval", "running"]
    found = ask("list", "--query", "customer = 'c-42'", "--status", "running", "--json").json
    assert [(item["id"], item["search_attributes"]) for item in found] == [(ID, {"customer": "c-42"})]
    assert found[0]["start_time"].endswith("Z")
    assert ask("list", "--query", "customer = 'c-43'", "--json").json == []
    assert ask("list", "--status", "failed").err == "note: no executions found\n"


def test_list_says_that_there_is_more(ask: Any, shop: str, backend: str) -> None:
    async def start() -> None:
        async with saros.open(shop, backend=backend, workers=False) as app:
            for number in range(3):
                await app.start("app:approval", {}, id=f"more-{number}")

    asyncio.run(start())
    result = ask("list", "--limit", "2", "--json")
    assert len(result.json) == 2
    note, _, cursor = result.err.strip().rpartition(" ")
    assert note == "note: there are more than 2: use --limit, --query, or --cursor"
    rest = ask("list", "--limit", "2", "--json", "--cursor", cursor)
    assert not {each["id"] for each in result.json} & {each["id"] for each in rest.json}


def test_a_bad_query_is_reported(ask: Any) -> None:
    result = ask("list", "--query", "customer ~ 'c-42'")
    assert result.status == 1
    assert result.err.startswith("error: bad query \"customer ~ 'c-42'\": cannot read \"~ 'c-42'\"")


def test_a_misspelt_status_or_name_gets_a_suggestion(ask: Any) -> None:
    for args, message, hint in (
        (["--status", "runing"], '"runing" is not a status of an execution', '"running"'),
        (["--query", "status = 'runing'"], '"runing" is not a status of an execution', '"running"'),
        (["--query", "statsu = 'running'"], "there is no field statsu", "did you mean status?"),
        (["--query", "custmer = 'c-42'"], "no execution has the search attribute custmer", '"customer"'),
    ):
        result = ask("list", *args)
        assert (result.status, result.out) == (1, ""), args
        error, told = result.err.splitlines()
        assert message in error
        assert hint in told
    result = ask("list", "--query", "region = 'eu'")
    assert (result.status, result.out) == (0, "")
    assert "none of the newest executions has the search attribute region" in result.err


def test_count(ask: Any) -> None:
    assert ask("count").out == "1\n"
    assert ask("count", "--query", "customer = 'c-42' or customer = 'x'", "--json").json == {"count": 1}
    assert ask("count", "--status", "failed").out == "0\n"
    assert ask("count", "--status", "parked").out == "0\n"


def test_describe_shows_how_an_execution_has_ended(ask: Any, shop: str, backend: str) -> None:
    assert "result" not in ask("describe", ID, "--json").json
    ask("signal", ID, "approve", "5")
    _finish(shop, backend)
    assert ask("describe", ID, "--json").json["result"] == {"topic": "approve", "data": 5, "user": "ann"}
    assert 'result            {"data":5,"topic":"approve","user":"ann"}\n' in ask("describe", ID).out

    async def fail() -> None:
        async with saros.open(shop, backend=backend) as app:
            order = await app.start("app:order", {}, id="bad")
            with pytest.raises(saros.Error):
                await order.result(timeout=90)

    asyncio.run(fail())
    told = ask("describe", "bad", "--json").json["error"]
    assert (told["kind"], told["message"], told["details"]) == ("Invalid", "no amount", {"field": "amount"})
    assert "error             no amount (Invalid)\n" in ask("describe", "bad").out


def test_list_and_describe_agree_on_what_is_parked(cli: Any, write: Any) -> None:
    files = {
        "_index.yaml": "namespace: app\nname: broken\nkind: workflow.lua\nsource: file://a.lua\n",
        "a.lua": "return function() end",
    }
    app, url = write(files), f"memory://{uuid.uuid4()}"

    async def start() -> None:
        async with saros.open(app, backend=url) as opened:
            (Path(app) / "a.lua").write_text("this is not Lua")
            order = await opened.start("app:broken", id="b-1")

            async def is_parked() -> bool:
                return bool((await order.describe()).problem)

            await eventually(is_parked, "the execution is parked")

    asyncio.run(start())
    backend = ("--backend", url)
    assert cli("list", *backend).out.splitlines()[1].split()[2] == "parked"
    assert "status            parked\n" in cli("describe", "b-1", *backend).out
    assert [item["id"] for item in cli("list", "--status", "parked", "--json", *backend).json] == ["b-1"]
    assert cli("count", "--status", "parked", *backend).out == "1\n"


def test_an_update_without_a_worker_says_so(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saros_cli.commands.requests.SLOW_S", 0.05)
    result = ask("update", ID, "rename", '"x"', "--timeout", "200ms")
    assert (result.status, result.out) == (1, "")
    note, error, hint = result.err.splitlines()
    assert note.startswith(f"note: no worker has answered for {ID} yet")
    assert error.startswith(f"error: no worker has answered for {ID} within 0.2 s")
    assert "saros run" in hint


def test_a_start_that_joins_says_so(ask: Any, shop: str) -> None:
    result = ask("start", shop, "approval", "{}", "--id", ID, "--timeout", "100ms")
    assert f"note: {ID} is already running: joined it" in result.err
    result = ask("start", shop, "approval", "{}", "--id", ID, "-o", "id_conflict_policy=fail")
    assert result.status == 1
    assert "already running: joined it" not in result.err


def test_commands_that_only_do_something_say_so_as_json_too(ask: Any) -> None:
    assert ask("signal", ID, "note", "1", "--json").json == {"id": ID, "topic": "note", "sent": True}
    assert ask("cancel", ID, "--json").json == {"id": ID, "cancel_requested": True}
    assert ask("terminate", ID, "--json").json == {"id": ID, "terminated": True}


def test_describe(ask: Any) -> None:
    told = ask("describe", ID).out
    assert f"id                {ID}\n" in told
    assert 'search attribute  customer = "c-42"\n' in told
    assert 'memo              source = "test"\n' in told
    found = ask("describe", ID, "--json").json
    assert (found["status"], found["memo"], found["task_queue"]) == ("running", {"source": "test"}, "orders")


def test_history_is_a_timeline_or_an_export(ask: Any) -> None:
    lines = ask("history", ID).out.splitlines()
    assert [line.split()[1] for line in lines] == ["ExecutionStarted", "AttributesUpserted"]
    assert ask("history", ID, "--last", "1").out.splitlines() == lines[-1:]
    assert ask("history", ID, "-n", "9").out.splitlines() == lines
    for option in ("--json", "--follow"):
        assert ask("history", ID, "-n", "1", option).status == 2
    document = ask("history", ID, "--json").json
    assert document["format"] == "saros.history/1"
    assert [event["op"] for event in document["events"]] == ["start", "attrs"]


def test_a_signal_reaches_the_workflow(ask: Any, shop: str, backend: str) -> None:
    assert ask("signal", ID, "approve", '{"by": "ann"}').out == f"sent approve to {ID}\n"
    assert _finish(shop, backend) == {"topic": "approve", "data": {"by": "ann"}, "user": "ann"}
    assert ask("result", ID, "--json").json["topic"] == "approve"
    history = ask("history", ID, "--follow").out
    assert history.splitlines()[-1].split()[1] == "ExecutionCompleted"
    late = ask("signal", ID, "approve")
    assert (late.status, late.err.splitlines()[0]) == (1, f"error: workflow {ID} not found, or it has ended")


def test_query_runs_the_apps_code(ask: Any, shop: str) -> None:
    assert ask("query", ID, "state", '"is "', "--app", shop, "--json").out == '"is waiting"\n'
    without = ask("query", ID, "state")
    assert without.status == 1
    assert "the app has no workflow app:approval" in without.err
    assert without.err.endswith("hint: name the app's directory with --app DIR\n")


def test_the_app_of_the_working_directory_is_used(
    ask: Any, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    assert ask("query", ID, "state", "--json").json == "waiting"
    Path("_index.yaml").write_text("namespace: app\nentries: 3\n")
    result = ask("describe", ID, "--json")
    assert result.json["id"] == ID
    assert result.err.splitlines() == [
        "warning: the app in this directory is not used: it has 1 problem",
        "hint: `saros check .` shows what is wrong",
    ]


def test_update_prints_the_answer(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update needs a worker; here the command's own client starts one."""
    from saros.app.app import App

    opened = App.get

    def get(self: App, id: str, run_id: str = "") -> saros.Handle:
        self.start_workers()
        return opened(self, id, run_id)

    monkeypatch.setattr(App, "get", get)
    app = ["--app", "../app"]
    assert ask("update", ID, "rename", '"new"', "--json", *app).json == {"renamed": "new"}
    refused = ask("update", ID, "rename", '""', *app)
    assert (refused.status, refused.err) == (1, "error: Invalid: a name is needed\n")
    unknown = ask("update", "nobody", "rename", *app)
    assert (unknown.status, unknown.err) == (1, "error: workflow nobody not found\n")


def test_cancel_and_terminate(ask: Any, shop: str, backend: str) -> None:
    assert ask("cancel", ID, "--reason", "no need").out == f"asked {ID} to end\n"
    with pytest.raises(saros.Error, match="no need"):
        _finish(shop, backend)
    failed = ask("result", ID)
    assert failed.status == 1
    assert failed.err.startswith("error: Canceled: ")


def test_terminate(ask: Any) -> None:
    assert ask("terminate", ID, "--reason", "wrong").out == f"ended {ID}\n"
    assert ask("result", ID).err == "error: Canceled: terminated: wrong\n"
    assert ask("terminate", ID).status == 1


def test_result_waits_no_longer_than_asked(ask: Any) -> None:
    result = ask("result", ID, "--timeout", "0.05")
    assert (result.status, result.err.splitlines()[0]) == (1, f"error: {ID} did not end within 0.05 s")


@pytest.mark.parametrize(
    "args",
    [
        *(["list"], ["describe", "x"], ["history", "x"], ["history", "x", "--json"], ["signal", "x", "t"]),
        *(["cancel", "x"], ["terminate", "x"], ["result", "x"], ["query", "x", "q"], ["update", "x", "u"]),
    ],
)
def test_memory_of_another_process_cannot_be_seen(cli: Any, args: list[str]) -> None:
    result = cli(*args)
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "error: memory:// lives in one process, and this one has started nothing (--backend)\n"
        "hint: run it with `saros start --wait`, or give --backend, or set SAROS_BACKEND, "
        "to a server such as redis://localhost\n"
    )


# --- replay -----------------------------------------------------------------------------------


@pytest.fixture
def exported(cli: Any, shop: str) -> str:
    """A file with the exported history of an order."""
    url = f"memory://{uuid.uuid4()}?time=skip"
    assert cli("start", shop, "app:order", '{"amount": 5}', "--id", "o", "-b", url, "--json").status == 0
    Path("order.json").write_text(cli("history", "o", "-b", url, "--json").out)
    return "order.json"


def test_replay_of_code_that_still_matches(cli: Any, shop: str, exported: str) -> None:
    result = cli("replay", shop, exported, exported)
    assert (result.status, result.out) == (0, f"{exported}: 6 events match\n" * 2)
    assert cli("replay", shop, exported, "--json").json == [{"file": exported, "ok": True, "events": 6}]


def test_replay_reports_the_first_divergence(cli: Any, shop: str, write: Any, exported: str) -> None:
    write(
        {
            "order.lua": """\
            local time = require("time")
            return {main = function(order)
              time.sleep("1h")
            end}
            """
        }
    )
    result = cli("replay", shop, exported)
    assert (result.status, result.out) == (1, "")
    assert result.err.splitlines() == [
        "error: order.json: the code of app:order no longer matches the history of o: event 2 is "
        "ActivityScheduled app:charge #1, but the code asks for TimerStarted 1h #1 (app/order.lua:3)",
        "hint: restore the old order of commands, or guard the change with workflow.version()",
    ]
    told = cli("replay", shop, exported, "--json")
    assert told.status == 1
    assert told.json[0]["event"] == 2
    assert told.json[0]["where"] == "app/order.lua:3"


def test_replay_of_a_file_that_is_no_history(cli: Any, shop: str) -> None:
    Path("x.json").write_text("{}")
    result = cli("replay", shop, "x.json")
    assert (result.status, result.err) == (
        1,
        "error: x.json: this is not a history of format saros.history/1\n",
    )
    Path("x.json").write_text("{")
    assert cli("replay", shop, "x.json").status == 2
    missing = cli("replay", shop, "nowhere.json")
    assert missing.err == 'error: cannot read "nowhere.json": No such file or directory (HISTORY)\n'
