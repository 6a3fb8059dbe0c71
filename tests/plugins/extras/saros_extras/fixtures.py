"""A plugin of pytest: where ``pytest tests/conformance --backend dict`` finds the backend."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def dict_url(tmp_path: Path) -> str:
    """A URL of a test's own."""
    return f"dict://{tmp_path.name}"
