"""``pytest tests/conformance --backend all`` runs the suite on every installed backend."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        default="memory",
        help="scheme or URL of the backend under test, or all (default: memory)",
    )
