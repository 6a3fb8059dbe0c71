"""Activities: results, errors, retries, timeouts, heartbeats, cancellation, local ones."""

from __future__ import annotations

from typing import Any

import pytest

from saros.model.errors import Error


def call(shared: Any, id: str, *args: Any, **more: Any) -> Any:
    return shared.call("app:calls", {"id": id, "args": list(args), **more})


def test_values_cross_unchanged(shared: Any) -> None:
    value = {"int": 3, "float": 3.0, "bytes": b"\xff\x00", "empty": [], "text": "ü", "big": 2**53 + 1}
    found = call(shared, "app:echo", value)["ok"]
    assert found == value
    assert isinstance(found["float"], float)
    assert isinstance(found["int"], int)


def test_bytes_alone_and_nothing_cross(shared: Any) -> None:
    assert call(shared, "app:echo", b"\xff\x00")["ok"] == b"\xff\x00"
    assert "ok" not in call(shared, "app:echo")


def test_an_error_keeps_everything(shared: Any) -> None:
    error = {"kind": "CardDeclined", "message": "no funds", "retryable": False, "details": {"code": 51}}
    found = call(shared, "app:fail", error)
    assert found == {**error, "open": False}


def test_an_open_retryable_stays_open(shared: Any) -> None:
    assert call(shared, "app:fail", {"kind": "Odd", "message": "hm"})["open"] is True


def test_a_raised_text_is_internal(shared: Any) -> None:
    found = call(shared, "app:fail", {"raise": "boom"})
    assert found["kind"] == "Internal"
    assert found["retryable"] is False
    assert "boom" in found["message"]


def test_a_transient_error_is_retried(shared: Any) -> None:
    policy = {"activity.retry_policy": {"initial_interval": 10}}
    assert call(shared, "app:flaky", 3, options=policy)["ok"] == 3


def test_attempts_are_limited(shared: Any) -> None:
    policy = {"activity.retry_policy": {"initial_interval": 10, "maximum_attempts": 2}}
    found = call(shared, "app:flaky", 5, options=policy)
    assert (found["kind"], found["message"]) == ("Unavailable", "attempt 2")


def test_error_types_can_be_excluded_from_retries(shared: Any) -> None:
    policy = {"activity.retry_policy": {"non_retryable_error_types": ["Unavailable"]}}
    assert call(shared, "app:flaky", 5, options=policy)["message"] == "attempt 1"


def test_an_unknown_function_comes_back_at_once(shared: Any) -> None:
    found = call(shared, "app:nowhere")
    assert (found["kind"], found["retryable"]) == ("NotFound", True)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"activity.start_to_close_timeout": 100}, "start_to_close"),
        ({"activity.schedule_to_close_timeout": 100}, "schedule_to_close"),
        ({"activity.schedule_to_start_timeout": 100, "activity.task_queue": "nobody"}, "schedule_to_start"),
        ({"activity.heartbeat_timeout": 200}, "heartbeat"),
    ],
)
def test_a_timeout_says_which(shared: Any, options: dict[str, Any], kind: str) -> None:
    once = {"activity.retry_policy": {"maximum_attempts": 1}, **options}
    found = call(shared, "app:beats", options=once)
    assert found["kind"] == "Timeout"
    assert found["details"] == {"timeout_type": kind}


def test_the_next_attempt_sees_the_heartbeat(shared: Any) -> None:
    options = {"activity.heartbeat_timeout": 1000, "activity.retry_policy": {"initial_interval": 10}}
    assert call(shared, "app:beats", options=options)["ok"] == {"attempt": 2, "seen": {"step": 7}}


def test_a_future_can_be_cancelled(shared: Any) -> None:
    assert call(shared, "app:waits", cancel_after="200ms")["kind"] == "Canceled"


def test_cancellation_can_be_waited_for(shared: Any) -> None:
    async def scenario() -> Any:
        handle = await shared.app.start("app:stuck", {
            "id": "app:waits",
            "options": {"activity.wait_for_cancellation": True, "activity.heartbeat_timeout": 2000},
        })  # fmt: skip
        await started(handle)
        await handle.cancel("enough")
        return await handle.result(90), (await handle.describe()).status

    found, status = shared.run(scenario())
    assert found["kind"] == "Canceled"
    assert status == "completed"


async def started(handle: Any) -> None:
    async for line in handle.watch():
        if line.name == "ActivityScheduled":
            return


def test_an_activity_knows_itself(shared: Any) -> None:
    info = call(shared, "app:info", options={"activity.id": "mine"})["ok"]
    assert (info["activity_id"], info["attempt"], info["task_queue"]) == ("mine", 1, "saros-tests")


def test_a_local_activity_has_no_task(shared: Any) -> None:
    async def scenario() -> Any:
        handle = await shared.app.start("app:calls", {"id": "app:near"})
        await handle.result(90)
        return [event["eventType"] for event in (await handle.export())["events"]]

    types = shared.run(scenario())
    assert "EVENT_TYPE_MARKER_RECORDED" in types
    assert "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED" not in types


def test_an_oversized_result_is_an_error(shared: Any) -> None:
    found = call(shared, "app:big", 1_600_000)
    assert found["kind"] == "Invalid"
    assert "too large for Temporal" in found["message"]


def test_oversized_details_of_an_error_are_not_lost_unnoticed(shared: Any) -> None:
    error = {"kind": "Full", "message": "too much", "fill": 3_000_000}
    assert call(shared, "app:fail", error)["kind"] == "Invalid"
    with pytest.raises(Error) as caught:
        shared.call("app:child", {"fail": error})
    assert caught.value.kind == "Invalid"


def test_a_failed_workflow_fails_with_its_error(shared: Any) -> None:
    with pytest.raises(Error, match="no such child") as caught:
        shared.call("app:child", {"fail": {"kind": "Custom", "message": "no such child", "details": [1, 2]}})
    assert (caught.value.kind, caught.value.details, caught.value.retryable) == ("Custom", [1, 2], None)
