"""The dashboard and the alert rules only name metrics that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from saros_otel.metrics import METRICS

FOLDER = Path(__file__).parents[2] / "docs" / "operations"
PAGE = FOLDER.parent / "observability.md"
SERIES = {name for metric in METRICS for name in metric.exposed}


def _named(expressions: list[str]) -> set[str]:
    assert expressions
    return {name for text in expressions for name in re.findall(r"\bsaros_\w+", text)}


def test_every_metric_of_the_dashboard_exists() -> None:
    board = json.loads((FOLDER / "dashboard.json").read_text())
    assert _named([target["expr"] for panel in board["panels"] for target in panel["targets"]]) <= SERIES


def test_every_metric_of_the_alerts_exists() -> None:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    assert _named([rule["expr"] for group in groups for rule in group["rules"]]) <= SERIES


def test_the_page_lists_every_metric() -> None:
    told = set(re.findall(r"`(saros_\w+)`", PAGE.read_text()))
    assert {metric.name for metric in METRICS} <= told
