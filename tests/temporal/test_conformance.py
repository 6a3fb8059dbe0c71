"""The conformance suite on a Temporal dev server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saros.testing.conformance import BEHAVIOURS, Behaviour, run

ATTRIBUTES = {
    "customer": "keyword",
    "total": "float",
    "items": "integer",
    "vip": "boolean",
    "tags": "keyword_list",
}
"""What the suite's apps upsert; they declare no client, so whoever runs the server has registered it."""


@pytest.fixture(scope="module")
def url(server: Any, shared: Any) -> str:
    """A namespace of the suite's own."""
    from temporalio.client import Client

    from saros_temporal.search import register

    async def prepare() -> None:
        client = await Client.connect(server.address, namespace="conformance")
        await register(client, ATTRIBUTES)

    shared.run(prepare())
    return f"temporal://{server.address}/conformance"


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda item: item.name)
def test_conforms(behaviour: Behaviour, url: str, tmp_path: Path) -> None:
    run(behaviour, url, tmp_path)
