"""Errors show nothing that may be secret: parts of URLs, values of options and of environment variables."""

from __future__ import annotations

from typing import Any

import pytest

from saros_cli.main import main

SECRET = "s3cret-w0rd"
URLS = [
    f"temporal://ann:{SECRET}@localhost/default",
    f"temporal://localhost/default?key={SECRET}",
    f"memory://{SECRET}@x?time=odd",
    f"memory://?time={SECRET}",
    f"redis://ann:{SECRET}@host:port/0",
    f"redis://ann:{SECRET}/x@host:1/0",
    f"redis://ann:{SECRET}?x@host:1/0",
    f"redis://ann:{SECRET}#x@host:1/0",
    f"redis://host:1/{SECRET}",
    f"redis://host:1/0?lease={SECRET}",
    f"redis://host:1/0?retention={SECRET}",
    f"redis://host:1/0?attempts={SECRET}",
    f"redis://host:1/0?cluster={SECRET}",
    f"redis://host:1/0?prefix={SECRET} {{}}",
    f"redis://host:1/0?{SECRET}=1",
    f"redis://host:{SECRET}/0",
    f"ann:{SECRET}@host",
    f"odd://ann:{SECRET}@host",
]


@pytest.mark.parametrize("url", URLS)
def test_urls_in_errors(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SAROS_BACKEND", raising=False)
    assert main(["list", "--backend", url]) != 0
    told = capsys.readouterr()
    assert SECRET not in told.out + told.err


@pytest.mark.parametrize(
    "entry",
    [
        '{name: c, kind: temporal.client, connection_timeout: "${env:WORD}"}',
        '{name: c, kind: temporal.client, auth: {type: "${env:WORD}"}}',
        '{name: c, kind: "${env:WORD}"}',
        '{name: h, kind: process.host, host: {max_processes: "${env:WORD}"}}',
        '{name: w, kind: workflow.lua, source: "file://${env:WORD}"}',
        '{name: s, kind: schedule, workflow: "${env:WORD}", cron: "${env:WORD}"}',
        '{name: f, kind: function.python, call: "${env:WORD}"}',
        '{name: f, kind: process.service, process: "${env:WORD}", host: "${env:WORD}"}',
    ],
)
def test_values_of_environment_variables_in_errors(
    entry: str, cli: Any, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORD", SECRET)
    app = write({"_index.yaml": f"namespace: app\nentries:\n- {entry}\n"})
    result = cli("check", app)
    assert result.status == 1
    assert SECRET not in result.out + result.err
    assert "WORD" in result.err
