"""The orders example: all its workflows, in virtual time and without its HTTP API."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from saros import Handle, NonDeterminism
from saros.app.loading import check_app
from saros.engine.replay import replay
from saros_testing import TestApp, eventually

ORDERS = Path(__file__).parents[2] / "examples" / "orders"
HOUR = timedelta(hours=1)

ORDER = {"id": "123", "customer_id": "c-42", "total": 99.5, "shipping_address": "12 High Street"}
SAGA = {
    "items": [{"sku": "lamp"}, {"sku": "bulb"}],
    "payment": {"amount": 20, "customer": "c-42"},
    "shipping": {"order_id": "123", "address": "12 High Street"},
}
CART = {
    "id": "123",
    "customer_id": "c-42",
    "items": [{"sku": "lamp", "price": 40, "count": 2}],
    "shipping_address": "12 High Street",
}
LARGE = {**CART, "items": [{"sku": "sofa", "price": 2000}]}


def in_app(scenario: Callable[[TestApp], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(100), TestApp(ORDERS, services=False) as app:
            await scenario(app)

    asyncio.run(run())


async def ended(app: TestApp, order: Handle) -> Any:
    """Return the result of an execution, and check that its exported history replays."""
    result = await order.result(timeout=90)
    document = await order.export()
    assert replay(document, app.app.deployment) == len(document["events"])
    return result


async def shape(order: Handle) -> list[str]:
    """Return the names of a history's events; those of calls include what is called."""
    names = []
    for line in await order.history():
        called = line.name in ("ActivityScheduled", "ChildStarted")
        names.append(f"{line.name} {line.summary}" if called else line.name)
    return names


async def waits(order: Handle) -> None:
    """Return once the workflow has recorded that it waits for a decision."""
    async for line in order.watch():
        if line.name == "AttributesUpserted" and "waiting" in line.summary:
            return


def test_the_app_has_no_mistakes() -> None:
    registry = check_app(ORDERS).registry
    assert not registry.warnings
    assert {entry.name for entry in registry.of_role("workflow")} == {
        "order_workflow",
        "order_saga",
        "approval",
        "checkout",
    }


def test_an_order_is_charged_and_an_hour_later_shipped() -> None:
    async def scenario(app: TestApp) -> None:
        order = await app.start("app:order_workflow", ORDER, id="order-123")
        assert await ended(app, order) == {
            "status": "completed",
            "payment_id": "pay-c-42",
            "tracking": "TRK-123",
        }
        assert await shape(order) == [
            "ExecutionStarted",
            "AttributesUpserted",
            "ActivityScheduled app:charge_payment",
            "ActivityCompleted",
            "AttributesUpserted",
            "TimerStarted",
            "TimerFired",
            "ActivityScheduled app:ship_order",
            "ActivityCompleted",
            "AttributesUpserted",
            "ExecutionCompleted",
        ]
        told = await order.describe()
        assert told.close_time is not None
        assert told.close_time - told.start_time == HOUR
        assert told.search_attributes == {
            "stage": "shipped",
            "customer_id": "c-42",
            "order_total": 99.5,
        }
        assert told.memo == {"source": "examples/orders"}

    in_app(scenario)


def test_orders_are_found_by_their_search_attributes() -> None:
    async def scenario(app: TestApp) -> None:
        for number, total in enumerate((20, 500, 900)):
            order = {**ORDER, "id": str(number), "total": total}
            await app.run("app:order_workflow", order, id=f"order-{number}")
        query = "customer_id = 'c-42' and order_total > 100 and stage = 'shipped' and status = 'completed'"
        assert [run.id async for run in app.app.list(query)] == ["order-2", "order-1"]

    in_app(scenario)


def test_a_declined_payment_ends_the_order() -> None:
    async def scenario(app: TestApp) -> None:
        order = await app.start("app:order_workflow", {**ORDER, "customer_id": "c-broke"})
        assert await ended(app, order) == {"status": "failed", "error": "card declined"}
        assert "TimerStarted" not in await shape(order)

    in_app(scenario)


def test_a_payment_is_refunded_when_the_order_cannot_be_shipped() -> None:
    async def scenario(app: TestApp) -> None:
        order = await app.start("app:order_workflow", {**ORDER, "shipping_address": None})
        result = await ended(app, order)
        assert result == {"status": "failed", "error": "order 123 has no address"}
        assert "ActivityScheduled app:refund_payment" in await shape(order)
        assert (await order.describe()).search_attributes["stage"] == "refunded"

    in_app(scenario)


def test_a_lost_attempt_is_repeated_from_its_last_heartbeat() -> None:
    async def scenario(app: TestApp) -> None:
        order = await app.start("app:order_workflow", {**ORDER, "shipping_address": "far away"})
        assert (await ended(app, order))["status"] == "completed"
        shipped = [line for line in await order.history() if line.name == "ActivityCompleted"][-1]
        assert shipped.body["ok"] == {
            "tracking_number": "TRK-123",
            "attempts": 2,
            "steps": ["label", "pick-up", "depot"],
        }
        told = await order.describe()
        assert told.close_time is not None
        assert told.close_time - told.start_time == HOUR + timedelta(seconds=5)  # one retry, after 5 s

    in_app(scenario)


@pytest.mark.parametrize(
    ("change", "result", "undone"),
    [
        ({}, {"status": "completed", "tracking": "TRK-123"}, []),
        (
            {"items": [{"sku": "sold-out"}]},
            {"status": "failed", "step": "inventory", "error": "out of stock: sold-out"},
            [],
        ),
        (
            {"payment": {"amount": 20, "customer": "c-broke"}},
            {"status": "failed", "step": "payment", "error": "card declined"},
            ["app:release_inventory"],
        ),
        (
            {"shipping": {"order_id": "123"}},
            {"status": "failed", "step": "shipping", "error": "order 123 has no address"},
            ["app:refund_payment", "app:release_inventory"],
        ),
    ],
    ids=["completed", "inventory", "payment", "shipping"],
)
def test_the_saga_undoes_its_steps_in_reverse_order(
    change: dict[str, Any], result: dict[str, Any], undone: list[str]
) -> None:
    async def scenario(app: TestApp) -> None:
        order = await app.start("app:order_saga", {**SAGA, **change})
        assert await ended(app, order) == result
        calls = [name.split()[1] for name in await shape(order) if name.startswith("ActivityScheduled")]
        assert [call for call in calls if call in ("app:release_inventory", "app:refund_payment")] == undone

    in_app(scenario)


def test_an_approval_waits_for_a_decision_and_answers_queries() -> None:
    async def scenario(app: TestApp) -> None:
        with app.hold_time():
            order = await app.start("app:approval", {"customer_id": "c-42", "total": 5}, id="approval-1")
            await waits(order)
            assert await order.query("decision") == {"status": "waiting"}
            await order.signal("hurry", "please")
            await order.signal("approve", {"approved_by": "admin", "comment": "Looks good"})
            decision = {"status": "approved", "by": "admin", "comment": "Looks good"}
            assert await ended(app, order) == decision
        told = await order.describe()
        assert told.search_attributes["stage"] == "approved"
        assert told.memo == {"notes": "needs a decision", "source": "examples/orders"}

    in_app(scenario)


def test_an_approval_is_cancelled_by_a_signal() -> None:
    async def scenario(app: TestApp) -> None:
        order = await app.start("app:approval", {}, messages=[("cancel", {"reason": "changed my mind"})])
        assert await ended(app, order) == {"status": "cancelled", "reason": "changed my mind"}

    in_app(scenario)


def test_an_approval_expires_after_two_days() -> None:
    async def scenario(app: TestApp) -> None:
        order = await app.start("app:approval", {})
        assert await ended(app, order) == {"status": "expired", "after": "48h"}
        told = await order.describe()
        assert told.close_time is not None
        assert told.close_time - told.start_time == 48 * HOUR

    in_app(scenario)


def test_a_small_checkout_needs_no_approval_and_gets_the_discount() -> None:
    async def scenario(app: TestApp) -> None:
        order = await app.start("app:checkout", CART)
        assert (await ended(app, order))["status"] == "completed"
        assert await shape(order) == [
            "ExecutionStarted",
            "VersionMarked",
            "ActivityScheduled app:price",
            "ActivityCompleted",
            "ChildStarted app:order_workflow",
            "ChildAnswered",
            "ExecutionCompleted",
        ]
        paid = [run async for run in app.app.list("order_total = 72")]
        assert [run.type for run in paid] == ["app:order_workflow"]
        assert paid[0].parent

    in_app(scenario)


def test_a_large_checkout_is_approved_by_a_child_workflow() -> None:
    async def scenario(app: TestApp) -> None:
        with app.hold_time():
            order = await app.start("app:checkout", LARGE)

            async def children() -> list[str]:
                return [run.id async for run in app.app.list("type = 'app:approval'")]

            async def started() -> bool:
                return bool(await children())

            await eventually(started, "the child has started")
            [child] = await children()
            await app.app.get(child).signal("approve", {"approved_by": "admin"})
        assert (await ended(app, order))["status"] == "completed"

    in_app(scenario)


def test_a_large_checkout_that_nobody_approves_is_refused() -> None:
    async def scenario(app: TestApp) -> None:
        order = await app.start("app:checkout", LARGE)
        assert await ended(app, order) == {
            "status": "refused",
            "decision": {"status": "expired", "after": "48h"},
        }

    in_app(scenario)


def test_a_function_starts_the_workflow() -> None:
    async def scenario(app: TestApp) -> None:
        started = await app.call("app:start_order", ORDER)
        assert started["status"] == "started"
        place, _, id = started["workflow_id"].partition("|")
        assert place == "app:worker"
        assert (await app.app.get(id).result(timeout=90))["status"] == "completed"

    in_app(scenario)


def test_checkouts_from_before_the_discount_continue_without_it(tmp_path: Path) -> None:
    """The history of an execution that ran before the change replays on the present code."""
    old = tmp_path / "orders"
    shutil.copytree(ORDERS, old)
    source = (old / "checkout.lua").read_text("utf-8")
    before = source.replace('workflow.version("discount", 1, 2)', "1")
    assert before != source
    (old / "checkout.lua").write_text(before, "utf-8")

    async def scenario() -> None:
        async with asyncio.timeout(100):
            async with TestApp(old, services=False) as app:
                order = await app.start("app:checkout", CART)
                await order.result(timeout=90)
                assert [run.id async for run in app.app.list("order_total = 80")]
                document = await order.export()
            async with TestApp(ORDERS, services=False) as app:
                assert replay(document, app.app.deployment) == len(document["events"])

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("change", "told", "line"),
    [
        (
            ('time.sleep("1h")', 'time.sleep("2h")'),
            r"event 6 is TimerStarted 1h #4, .* TimerStarted 2h #4",
            22,
        ),
        (("amount = order.total", "amount = 1"), r'with .*"amount":99\.5.* with .*"amount":1[,}]', 12),
    ],
    ids=["other command", "other arguments"],
)
def test_code_that_changed_without_a_version_no_longer_replays(
    tmp_path: Path, change: tuple[str, str], told: str, line: int
) -> None:
    new = tmp_path / "orders"
    shutil.copytree(ORDERS, new)
    source = (new / "order_workflow.lua").read_text("utf-8")
    (new / "order_workflow.lua").write_text(source.replace(*change), "utf-8")

    async def scenario() -> None:
        async with asyncio.timeout(100):
            async with TestApp(ORDERS, services=False) as app:
                order = await app.start("app:order_workflow", ORDER)
                await order.result(timeout=90)
                document = await order.export()
            async with TestApp(new, services=False) as app:
                with pytest.raises(NonDeterminism, match=told) as caught:
                    replay(document, app.app.deployment)
                assert caught.value.where == f"orders/order_workflow.lua:{line}"

    asyncio.run(scenario())
