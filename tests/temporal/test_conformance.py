"""The conformance suite on a Temporal dev server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saros.testing.conformance import BEHAVIOURS, Behaviour, run


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda item: item.name)
def test_conforms(behaviour: Behaviour, server: Any, shared: Any, tmp_path: Path) -> None:
    run(behaviour, server.url, tmp_path)
