"""The HTTP API of the orders example, on a free port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import saros
from saros.app.loading import load_app
from saros_http import serving

ORDERS = Path(__file__).parents[2] / "examples" / "orders"
ORDER = {"id": "7", "customer_id": "c-42", "total": 1200}
DECISION = {"status": "approved", "by": "admin", "comment": "Looks good"}


def served(scenario: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def run() -> None:
        async with (
            asyncio.timeout(100),
            saros.open(ORDERS, "memory://", env={"ORDERS_ADDR": "127.0.0.1:0"}) as app,
        ):
            urls = await serving(app)
            async with httpx.AsyncClient(base_url=urls["app.api:web"], timeout=20) as client:
                await scenario(client)

    asyncio.run(run())


async def messages(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The server-sent events of a response, each as its fields."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields
            fields = {}


def test_an_order_is_placed_shown_and_approved() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        placed = await client.post("/orders", json=ORDER)
        assert placed.status_code == 201
        assert placed.headers["location"] == "/orders/7"
        assert placed.json() == {"id": "7", "workflow_id": "order-7", "status": "started"}

        names: list[str] = []
        async with client.stream("GET", "/orders/7/events") as stream:
            assert stream.headers["content-type"] == "text/event-stream"
            async for message in messages(stream):
                names.append(message["event"])
                if message["event"] == "TimerStarted":  # it waits now
                    shown = (await client.get("/orders/7")).json()
                    assert (shown["status"], shown["stage"]) == ("running", "waiting")
                    decision = {"approved_by": "admin", "comment": "Looks good"}
                    approved = await client.post("/orders/7/approve", json=decision)
                    assert (approved.status_code, approved.json()) == (202, {"status": "approving"})
        assert names[0] == "ExecutionStarted"
        assert names[-2:] == ["ExecutionCompleted", "end"]
        assert "SignalReceived" in names
        assert json.loads(message["data"]) == {"status": "completed"}

        shown = (await client.get("/orders/7")).json()
        assert (shown["status"], shown["stage"], shown["result"]) == ("completed", "approved", DECISION)

    served(scenario)


def test_an_id_is_used_once() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        assert (await client.post("/orders", json=ORDER)).status_code == 201
        again = await client.post("/orders", json=ORDER)
        assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
        assert again.json() == {"status": 409, "detail": "the order 7 exists already"}

        assert (await client.post("/orders/7/approve")).status_code == 202
        async with client.stream("GET", "/orders/7/events") as stream:
            await stream.aread()  # until it has ended
        assert (await client.post("/orders", json=ORDER)).status_code == 409
        assert (await client.post("/orders/7/approve")).status_code == 404

    served(scenario)


def test_events_go_on_after_the_last_one() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        await client.post("/orders", json=ORDER)
        last = ""
        async with client.stream("GET", "/orders/7/events") as stream:
            async for message in messages(stream):
                last = message.get("id", "")
                if last:
                    break
        await client.post("/orders/7/approve")
        rest = await client.get("/orders/7/events", headers={"Last-Event-ID": last})
        assert "ExecutionStarted" not in rest.text
        assert "ExecutionCompleted" in rest.text

        unknown = await client.get("/orders/7/events", headers={"Last-Event-ID": "nonsense"})
        assert unknown.status_code == 400

    served(scenario)


BAD: list[tuple[str, str, Any, int]] = [
    ("POST", "/orders", {}, 422),
    ("POST", "/orders", {"id": "a|b"}, 422),
    ("POST", "/orders", [1], 422),
    ("POST", "/orders", {"id": "1", "total": "much"}, 422),
    ("POST", "/orders", {"id": "1", "customer_id": 42}, 422),
    ("GET", "/orders/unknown", None, 404),
    ("GET", "/orders/unknown/events", None, 404),
    ("POST", "/orders/unknown/approve", None, 404),
    ("POST", "/orders/unknown/approve", 5, 400),
    ("PUT", "/orders", {"id": "1"}, 405),
]


def test_bad_requests() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        for method, path, body, status in BAD:
            answer = await client.request(method, path, json=body)
            assert answer.status_code == status, (method, path, body, answer.text)
        text = await client.post("/orders", content=b"id=1", headers={"Content-Type": "text/plain"})
        assert (text.status_code, text.json()["detail"]) == (415, "The body must be application/json.")

    served(scenario)


def test_an_invalid_port_is_a_problem_of_the_app() -> None:
    with pytest.raises(saros.Error, match="addr"):
        load_app(ORDERS, env={"ORDERS_ADDR": "nowhere"})
