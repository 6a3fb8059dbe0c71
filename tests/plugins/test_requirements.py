"""The lower bounds of the dependencies exclude versions with known vulnerabilities."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAFE = {
    "cryptography": (44, 0, 1),  # CVE-2024-12797
    "h11": (0, 16),  # CVE-2025-43859
    "python-multipart": (0, 0, 18),  # CVE-2024-53981
    "starlette": (0, 49, 1),  # CVE-2025-62727
}


def bounds(file: Path) -> dict[str, tuple[int, ...]]:
    required = tomllib.loads(file.read_text("utf-8"))["project"]["dependencies"]
    found = [re.match(r"([\w-]+)(?:\[[\w,]+\])?>=(\d+(?:\.\d+)*)", text) for text in required]
    return {each[1]: tuple(map(int, each[2].split("."))) for each in found if each}


@pytest.mark.parametrize("name", SAFE)
def test_lower_bounds_keep_known_holes_out(name: str) -> None:
    files = [
        ROOT / "pyproject.toml",
        *ROOT.glob("backends/*/pyproject.toml"),
        *ROOT.glob("plugins/*/pyproject.toml"),
    ]
    asked = [found[name] for found in map(bounds, files) if name in found]
    assert asked, "some distribution asks for it"
    assert all(bound >= SAFE[name] for bound in asked)
