"""Documentation pages that are generated from the code, or that list the tests."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from saros_testing.conformance import BEHAVIOURS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_reference_of_the_surface_is_fresh() -> None:
    spec = importlib.util.spec_from_file_location("generate_surface", DOCS / "generate_surface.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stale = "docs/surface.md is stale: run python docs/generate_surface.py"
    assert (DOCS / "surface.md").read_text("utf-8") == module.page(), stale


def names_in(file: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_test_that_the_contract_names_exists() -> None:
    behaviours = {item.name for item in BEHAVIOURS}
    files: dict[str, set[str]] = {}
    rows = [line for line in (DOCS / "contract.md").read_text("utf-8").splitlines() if line.startswith("| §")]
    assert len(rows) > 100
    for row in rows:
        number, clause, proofs = (cell.strip() for cell in row.strip("|").split(" | "))
        named = re.findall(r"`([^`]+)`", proofs)
        assert named, f"{number} {clause!r} names no test"
        for proof in named:
            file, _, name = proof.partition("::")
            if file == "conformance":
                assert name in behaviours, f"{number} names {proof}"
                continue
            if file not in files:
                files[file] = names_in(ROOT / "tests" / file)
            assert name in files[file], f"{number} names {proof}"


@pytest.mark.skipif(not (DOCS / "conformance.md").exists(), reason="written by --write-table")
def test_the_table_of_behaviours_is_complete() -> None:
    text = (DOCS / "conformance.md").read_text("utf-8")
    assert [item.text for item in BEHAVIOURS if f"| {item.text} |" not in text] == []
