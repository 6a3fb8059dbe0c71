"""Runs commands in this process, on small apps."""

from __future__ import annotations

import io
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from saros_cli import main


class Result(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output, which must be a single JSON text."""
        return msgspec.json.decode(self.out)


Cli = Callable[..., Result]

INDEX = """\
version: "1.0"
namespace: app
entries:
  - name: worker
    kind: temporal.worker
    task_queue: orders
  - name: order
    kind: workflow.lua
    source: file://order.lua
    method: main
    modules: [funcs, time]
  - name: approval
    kind: workflow.lua
    source: file://approval.lua
    modules: [workflow, ctx]
  - name: charge
    kind: function.lua
    source: file://charge.lua
    method: main
"""
ORDER = """\
local funcs = require("funcs")
local time = require("time")
local function main(order)
  local payment, err = funcs.call("app:charge", {amount = order.amount})
  if err then
    return nil, err
  end
  time.sleep("2h")
  return {status = "completed", payment = payment}
end
return {main = main}
"""
APPROVAL = """\
local workflow = require("workflow")
local ctx = require("ctx")
return function(order)
  workflow.attrs({search = {customer = order.customer}, memo = {source = "test"}})
  workflow.on_query("state", function(prefix) return (prefix or "") .. "waiting" end)
  workflow.on_update("rename", function(name)
    if name == "" then
      error(errors.new({message = "a name is needed", kind = errors.INVALID}))
    end
    return {renamed = name}
  end)
  local message, closed = process.inbox():receive()
  return {topic = message:topic(), data = message:payload():data(), user = (ctx.get("user"))}
end
"""
CHARGE = """\
return {main = function(request)
  if not request.amount then
    return nil, errors.new({message = "no amount", kind = errors.INVALID, details = {field = "amount"}})
  end
  print("charging " .. request.amount)
  return {id = "pay-1", amount = request.amount}
end}
"""


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """``cli("start", ...)`` runs a command, in an empty directory."""
    monkeypatch.delenv("SAROS_BACKEND", raising=False)
    monkeypatch.delenv("SAROS_DEBUG", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def run(*args: str, stdin: str = "") -> Result:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        status = main(list(args))
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """``write({"_index.yaml": ...})`` writes an app, and returns its path relative to the working directory."""

    def app(files: dict[str, str], name: str = "app") -> str:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for path, text in files.items():
            (root / path).write_text(textwrap.dedent(text), encoding="utf-8")
        return f"../{name}"

    return app


@pytest.fixture
def shop(write: Callable[..., str]) -> str:
    """An app without problems."""
    return write({"_index.yaml": INDEX, "order.lua": ORDER, "approval.lua": APPROVAL, "charge.lua": CHARGE})
