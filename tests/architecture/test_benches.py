"""What the benches import from the product exists: nobody runs them with the tests."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

BENCHES = Path(__file__).parents[2] / "bench"


@pytest.mark.parametrize("path", sorted(BENCHES.glob("*.py")), ids=lambda path: path.name)
def test_imports_exist(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("saros"):
            for name in node.names:
                if not hasattr(importlib.import_module(node.module), name.name):
                    importlib.import_module(f"{node.module}.{name.name}")
