"""docs/architecture.md names files that exist, and its walks pass few of them."""

from __future__ import annotations

import re

import pytest

from .source import ROOT

PAGE = ROOT / "docs" / "architecture.md"
MOST_FILES = {"memory": 12, "SQLite": 12, "Redis": 18, "Temporal": 18}


def walk(backend: str) -> list[str]:
    """Return the files of a backend's walk, in order."""
    part = PAGE.read_text(encoding="utf-8").partition(f"### On {backend}\n")[2]
    return re.findall(
        r"^\d+\. `([^`]+)`", re.split(r"^##", part, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE
    )


def test_the_files_are_there() -> None:
    named = re.findall(r"`((?:kernel|lua|backends|plugins)/[^`]*)`", PAGE.read_text(encoding="utf-8"))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("backend", MOST_FILES)
def test_a_walk_is_short(backend: str) -> None:
    assert 8 <= len(walk(backend)) <= MOST_FILES[backend]
