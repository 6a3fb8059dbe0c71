"""A plugin of pytest: where ``pytest tests/conformance --backend audit`` finds the backend."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def audit_url(tmp_path: Path) -> str:
    """A URL of a test's own."""
    return f"audit://{tmp_path}/commits.jsonl"
