"""Every behaviour of the contract, on every backend under test."""

from __future__ import annotations

from pathlib import Path

import pytest

from saros_testing.conformance import BEHAVIOURS, TOGETHER, Behaviour, run


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda item: item.name)
def test_conforms(behaviour: Behaviour, url: str, tmp_path: Path) -> None:
    run(behaviour, url, tmp_path)


@pytest.mark.parametrize("behaviour", TOGETHER, ids=lambda item: item.name)
def test_conforms_with_two_workers(behaviour: Behaviour, shared_url: str, tmp_path: Path) -> None:
    run(behaviour, shared_url, tmp_path, workers=2)
