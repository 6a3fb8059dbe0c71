"""Every recorded history replays on the present code, so executions that are running can continue.

If a test of this file fails, your change would stop executions like the recorded one. Keep the old behaviour for
them (in Lua, with `workflow.version`); `record.py` says when a history may be replaced.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from saros import NonDeterminism
from saros.app.loading import load_app
from saros.app.plugins import installed
from saros.engine.replay import replay
from saros.interfaces.deployment import Deployment
from saros.model.presentation import FORMAT

HERE = Path(__file__).parent
ORDERS = HERE.parents[1] / "examples" / "orders"
HISTORIES = sorted(HERE.rglob("*.json"))
MACHINE = re.compile(r"/(tmp|home|root|work|usr|Users)/|\d+@[\w.-]+|localhost")
PAYLOAD = re.compile(r'"data": "([^"]*)"')  # in the format of Temporal


@cache
def app_of(folder: Path) -> Deployment:
    """Return the app whose histories are in a directory."""
    if folder.name == "orders":
        return load_app(ORDERS)
    (index,) = folder.glob("*/_index.yaml")
    return load_app(index.parent)


def replayed(document: Any, app: Deployment) -> int:
    """Replay a history, in our own format or that of a backend, and return the number of its events."""
    if document.get("format") == FORMAT:
        return replay(document, app)
    found = [plugin.replay(document, app) for plugin in installed().backends().values() if plugin.replay]
    (events,) = {events for events in found if events is not None}
    return events


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: str(path.relative_to(HERE).with_suffix("")))
def test_a_recorded_history_replays(path: Path) -> None:
    document = json.loads(path.read_text("utf-8"))
    assert replayed(document, app_of(path.parent)) == len(document["events"])


def test_every_workflow_of_the_example_is_recorded_on_every_backend() -> None:
    recorded = {tuple(path.stem.split("-")[:2]) for path in (HERE / "orders").iterdir()}
    workflows = [entry.name for entry in load_app(ORDERS).registry.of_role("workflow")]
    backends = ("memory", "redis", "temporal")
    assert recorded == {(backend, workflow) for backend in backends for workflow in workflows}


def test_no_history_tells_where_it_was_recorded() -> None:
    for path in HISTORIES:
        text = path.read_text("utf-8")
        data = (base64.b64decode(found).decode("utf-8", "replace") for found in PAYLOAD.findall(text))
        assert not MACHINE.search(" ".join((text, *data))), path


@pytest.mark.parametrize("backend", ["memory", "redis", "temporal"])
def test_code_that_would_break_an_execution_is_caught(backend: str, tmp_path: Path) -> None:
    shutil.copytree(ORDERS, tmp_path / "orders")
    file = tmp_path / "orders" / "order_workflow.lua"
    source = file.read_text("utf-8")
    file.write_text(source.replace('funcs.call("app:charge_payment"', 'funcs.call("app:price"'), "utf-8")
    document = json.loads((HERE / "orders" / f"{backend}-order_workflow-1.json").read_text("utf-8"))
    with pytest.raises(NonDeterminism, match="no longer matches the history"):
        replayed(document, load_app(tmp_path / "orders"))
