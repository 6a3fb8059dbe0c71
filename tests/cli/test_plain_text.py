"""Text of programs and clients cannot control a terminal or forge a line of a log."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import saros
from saros.model.errors import INVALID, Error
from saros.model.execution import check_id
from saros.model.text import CUT, json_visible, one_line, shown, visible, without_secrets
from saros_cli import logs, output

EVIL = "a\x1b[2J\x07\x9b\u2028\u202e\r\nerror: forged\t\x00\x7f"
DANGEROUS = [
    chr(code) for code in (*range(9), *range(11, 32), *range(127, 160), 0x2028, 0x2029, 0x202E, 0x2066)
]


def test_control_characters_are_escaped() -> None:
    assert visible(EVIL) == "a\\x1b[2J\\x07\\x9b\\u2028\\u202e\\r\nerror: forged\t\\x00\\x7f"
    assert one_line(EVIL) == "a\\x1b[2J\\x07\\x9b\\u2028\\u202e\\r\\nerror: forged\\t\\x00\\x7f"


@given(st.text())
def test_nothing_that_controls_a_terminal_is_left(text: str) -> None:
    for made in (visible(text), one_line(text), json_visible(json.dumps(text, ensure_ascii=False))):
        assert not any(character in made for character in DANGEROUS)
    assert one_line(text).splitlines() in ([], [one_line(text)])
    assert json.loads(json_visible(json.dumps(text, ensure_ascii=False))) == text


def written(handler: type[logging.Handler], capsys: pytest.CaptureFixture[str], *args: Any) -> str:
    logger = logging.Logger("test")
    logger.addHandler(handler())
    capsys.readouterr()
    logger.warning(*args)
    return capsys.readouterr().err


def test_log_lines(capsys: pytest.CaptureFixture[str]) -> None:
    text = written(logs.Lines, capsys, "%s", EVIL)
    first, second = text.splitlines()
    assert first.endswith("a\\x1b[2J\\x07\\x9b\\u2028\\u202e\\r")
    assert second.startswith("  error: forged")


def test_log_objects(capsys: pytest.CaptureFixture[str]) -> None:
    text = written(logs.Objects, capsys, "%s", EVIL)
    assert len(text.splitlines()) == 1
    assert json.loads(text)["message"] == EVIL


def test_errors_and_data(capsys: pytest.CaptureFixture[str]) -> None:
    output.label("error", EVIL)
    output.data({EVIL: EVIL}, compact=True)
    output.table(("ID",), [(EVIL,)], {})
    told = capsys.readouterr()
    assert not any(character in told.out + told.err for character in DANGEROUS)
    assert "\nerror: forged" not in told.out + told.err
    assert json.loads(told.out.splitlines()[0]) == {EVIL: EVIL}


def test_output_of_a_program_cannot_control_the_terminal(cli: Any, write: Any) -> None:
    app = write(
        {
            "_index.yaml": "namespace: app\nname: evil\nkind: function.lua\nsource: file://evil.lua\n",
            "evil.lua": """
            return function()
              print("said\\27[2J\\nforged")
              local message = "why\\27[2J\\nerror: forged"
              return nil, errors.new{message = message, kind = "Odd\\7", details = {a = "\\u{202e}"}}
            end
            """,
        }
    )
    result = cli("call", app, "evil")
    assert result.status == 1
    assert not any(character in result.err for character in DANGEROUS)
    assert not any(line.startswith(("forged", "error: forged")) for line in result.err.splitlines())


def test_no_command_lets_a_workflow_control_the_terminal(cli: Any, write: Any, tmp_path: Path) -> None:
    app = write(
        {
            "_index.yaml": "namespace: app\nname: evil\nkind: workflow.lua\n"
            "source: file://evil.lua\nmodules: [workflow]\n"
            "meta: {temporal: {workflow: {worker: app:worker}}}\n",
            "worker.yaml": "namespace: app\nname: worker\nkind: temporal.worker\ntask_queue: main\n",
            "evil.lua": """
            return function(evil)
              require("workflow").attrs{search = {color = evil}, memo = {[evil] = evil}}
              return nil, errors.new{message = evil, kind = evil, details = {[evil] = evil}}
            end
            """,
        }
    )
    url = ("--backend", f"sqlite:///{tmp_path}/evil\x1b.db")

    async def started() -> None:
        async with saros.open(app, backend=url[1]) as opened:
            with pytest.raises(Error):
                await (await opened.start("app:evil", EVIL, id="evil")).result(60)

    asyncio.run(started())
    progress = cli("start", app, "evil", json.dumps(EVIL), "--wait")
    assert not any(character in progress.out + progress.err for character in DANGEROUS)
    ways: tuple[tuple[str, ...], ...] = (("describe", "evil"), ("history", "evil"), ("trace", "evil"))
    ways += (("result", "evil"), ("list", "--wide"), ("top", "--once"))
    for way in (*ways, *((*way, "--json") for way in ways[:3])):
        result = cli(*way, *url)
        assert "forged" in result.out + result.err or way[0] in ("list", "top"), way
        assert not any(character in result.out + result.err for character in DANGEROUS), way
    for more in ((), ("--json",)):
        told = cli("db", "info", url[1], *more)
        assert not any(character in told.out + told.err for character in DANGEROUS)


def test_long_values_are_cut() -> None:
    assert len(shown("x" * 10_000_000)) < CUT + 10
    assert len(shown(list(range(1000)))) < CUT + 40
    with pytest.raises(Error) as raised:
        check_id("x" * 10_000_000)
    assert raised.value.kind == INVALID
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    "url",
    [
        "temporal://ann:s3cret@host/ns",
        "memory://s3cret@x?time=s3cret",
        "s3cret@host",
        "redis://a:s3cret@h,h2/0?x=s3cret",
        "postgresql://host=h password=s3cret dbname=d",
        "sslpassword = s3cret host=h",
    ],
)
def test_urls_are_shown_without_secrets(url: str) -> None:
    assert "s3cret" not in without_secrets(url)
