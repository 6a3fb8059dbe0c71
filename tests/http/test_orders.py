"""The user's handler as it was written, and the API of orders."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
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
    result = site.on_loop(handle.result(timeout=10))
    assert result == {"id": "1", "status": "approved", "by": "admin", "request_id": "r-1"}


def test_life_of_an_order(site: Any) -> None:
    created = site.post("/orders", json={"id": "7"}, headers={"X-Request-ID": "r-7"})
    assert created.status_code == 201
    assert created.headers["location"] == "/orders/7"
    assert created.json() == {"id": "7", "workflow_id": "order-7", "status": "started"}
    duplicate = site.post("/orders", json={"id": "7"})
    assert (duplicate.status_code, duplicate.headers["content-type"]) == (409, "application/problem+json")

    with ThreadPoolExecutor(1) as pool:
        with site.stream("GET", "/orders/7/events") as stream:
            assert stream.headers["content-type"] == "text/event-stream"
            lines = stream.iter_lines()
            assert next(lines) == "event: ExecutionStarted"
            approving = pool.submit(site.post, "/orders/7/approve", json={"approved_by": "admin"})
            rest = list(lines)
        assert approving.result().status_code == 202
    names = [line.removeprefix("event: ") for line in rest if line.startswith("event: ")]
    assert names[-2:] == ["ExecutionCompleted", "end"]
    assert "SignalReceived" in names
    assert json.loads(rest[-2].removeprefix("data: ")) == {"status": "completed"}

    shown = site.get("/orders/7").json()
    assert shown["status"] == "completed"
    assert shown["order_status"] == "approved"
    assert shown["result"] == {"id": "7", "status": "approved", "by": "admin", "request_id": "r-7"}
    assert site.post("/orders", json={"id": "7"}).status_code == 409  # also when it has ended
    assert site.post("/orders/7/approve").status_code == 404


def test_events_go_on_after_the_last_one(site: Any) -> None:
    site.post("/orders", json={"id": "8"})
    with site.stream("GET", "/orders/8/events") as stream:
        last = next(line for line in stream.iter_lines() if line.startswith("id: ")).removeprefix("id: ")
    site.post("/orders/8/approve")
    answer = site.get("/orders/8/events", headers={"Last-Event-ID": last})
    assert "ExecutionStarted" not in answer.text
    assert "ExecutionCompleted" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/orders", {}, 422),
        ("POST", "/orders", {"id": "a|b"}, 422),
        ("POST", "/orders", [1], 422),
        ("GET", "/orders/unknown", None, 404),
        ("GET", "/orders/unknown/events", None, 404),
        ("POST", "/orders/unknown/approve", None, 404),
        ("POST", "/orders/unknown/approve", 5, 400),
        ("PUT", "/orders", {"id": "1"}, 405),
    ],
)
def test_bad_orders(site: Any, method: str, path: str, body: Any, status: int) -> None:
    assert site.request(method, path, json=body).status_code == status


def test_orders_are_json(site: Any) -> None:
    answer = site.post("/orders", content=b"id=1", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["detail"]) == (415, "The body must be application/json.")


def test_bad_cursor(site: Any) -> None:
    site.post("/orders", json={"id": "9"})
    assert site.get("/orders/9/events", headers={"Last-Event-ID": "nonsense"}).status_code == 400
