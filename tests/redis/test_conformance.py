"""Some behaviours of the contract on several partitions; tests/conformance has all of them on one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saros_testing.conformance import BEHAVIOURS, Behaviour, run


@pytest.mark.parametrize("behaviour", BEHAVIOURS[::4], ids=lambda item: item.name)
def test_conforms_with_partitions(behaviour: Behaviour, server: Any, tmp_path: Path) -> None:
    run(behaviour, server.url(partitions=5), tmp_path)
