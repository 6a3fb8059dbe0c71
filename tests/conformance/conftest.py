"""``pytest tests/conformance --backend all`` runs the suite on every installed backend.

``--backend`` takes schemes and URLs, separated by commas, or ``all``. The URL of a scheme comes from the fixture
``SCHEME_url`` (with ``_`` for characters other than letters and digits), defined in a ``conftest.py`` above this
directory or in a pytest plugin, such as one that comes with the backend. Without that fixture, the suite opens an
in-process backend as ``SCHEME://``, and skips any other. ``memory`` is tested in real and in virtual time.
A server given by its URL serves one test process at a time, so do not use ``-n`` with it.
``--write-table`` writes the results to ``docs/conformance.md``.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from saros.app.hookspecs import BackendPlugin
from saros.app.plugins import installed
from saros_testing.conformance import BEHAVIOURS, Behaviour

TABLE = Path(__file__).parents[2] / "docs" / "conformance.md"

VIRTUAL = "memory://?time=skip"

_numbers = itertools.count()

_outcomes: dict[tuple[str, str], tuple[str, str]] = {}  # (behaviour, scheme) -> outcome, reason


def chosen(option: str) -> list[str]:
    """Return the schemes or URLs under test. A backend with several schemes is tested under the first one."""
    if option != "all":
        return option.split(",")
    first: dict[Any, str] = {}
    for scheme, plugin in installed().backends().items():
        first.setdefault(plugin.make, scheme)
    return list(first.values())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames:
        targets = chosen(metafunc.config.getoption("backend", "memory"))
        if "memory" in targets:
            targets.insert(targets.index("memory") + 1, VIRTUAL)
        ids = ["virtual" if target == VIRTUAL else target.partition("://")[0] for target in targets]
        metafunc.parametrize("target", targets, ids=ids)


@pytest.fixture
def url(target: str, behaviour: Behaviour, request: pytest.FixtureRequest) -> str:
    """The URL of the backend under test. Skips a behaviour that the backend cannot support, with its reason."""
    scheme, is_url, _ = target.partition("://")
    plugin: BackendPlugin = installed().backend(target if is_url else f"{scheme}://")
    for need in behaviour.needs:
        if need in plugin.limits:
            pytest.skip(plugin.limits[need])
    if is_url:
        return target
    try:
        found: str = request.getfixturevalue(re.sub(r"\W", "_", scheme) + "_url")
    except pytest.FixtureLookupError:
        if plugin.in_process:
            return f"{scheme}://"
        pytest.skip(f"no server is known for {scheme}; give one with --backend {scheme}://...")
    return found


@pytest.fixture
def shared_url(url: str) -> str:
    """A URL that several deployments share."""
    if not installed().backend(url).in_process:
        return url
    scheme, _, rest = url.partition("://")
    if scheme != "memory":
        pytest.skip(f"no other deployment can share the executions of {scheme}")
    return f"memory://together-{next(_numbers)}{rest}"


# --- the table ----------------------------------------------------------------------------------


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _, bracket, rest = report.nodeid.partition("test_conforms[")
    if not bracket or (report.when != "call" and report.outcome == "passed"):
        return
    scheme, _, behaviour = rest.rstrip("]").partition("-")
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    _outcomes[behaviour, scheme] = report.outcome, reason.removeprefix("Skipped: ")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (
        session.config.getoption("write_table", False)
        and not hasattr(session.config, "workerinput")
        and _outcomes
    ):
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(table(_outcomes), "utf-8")


def table(outcomes: dict[tuple[str, str], tuple[str, str]]) -> str:
    """Return behaviours and backends as a Markdown table, with the reasons for skips as notes."""
    schemes = sorted({scheme for _, scheme in outcomes})
    notes: list[str] = []

    def cell(behaviour: str, scheme: str) -> str:
        outcome, reason = outcomes.get((behaviour, scheme), ("skipped", "not run"))
        if outcome == "skipped":
            if reason not in notes:
                notes.append(reason)
            return f"– [{notes.index(reason) + 1}]"
        return "✓" if outcome == "passed" else "✗"

    rows = [
        "# What every backend does",
        "",
        "Written by `pytest tests/conformance --backend all --write-table`: each behaviour that the contract",
        "asks of a backend, and whether each backend has it.",
        "",
        "| | Behaviour | " + " | ".join(schemes) + " |",
        "|---|---|" + ":-:|" * len(schemes),
    ]
    for item in BEHAVIOURS:
        cells = " | ".join(cell(item.name, scheme) for scheme in schemes)
        rows.append(f"| {item.clause} | {item.text} | {cells} |")
    rows += ["", *(f"[{number}] {note}" for number, note in enumerate(notes, 1))]
    return "\n".join(rows).rstrip() + "\n"
