"""The handler from the user's document, unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def site(serve: Any) -> Any:
    return serve(path=Path(__file__).parent / "app")


def test_the_documents_handler(site: Any) -> None:
    answer = site.post("/seed", json={"id": "1"}, headers={"X-Request-ID": "r-1"})
    assert answer.status_code == 200
    told = answer.json()
    assert told["status"] == "started"
    worker, _, workflow_id = told["workflow_id"].partition("|")
    assert worker == "app:worker"
    handle = site.app.get(workflow_id)
    site.on_loop(handle.signal("approve", {"approved_by": "admin"}))
    result = site.on_loop(handle.result(timeout=90))
    assert result == {"id": "1", "status": "approved", "by": "admin", "request_id": "r-1"}
