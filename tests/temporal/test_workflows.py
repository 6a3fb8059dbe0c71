"""Workflows: signals, children, cancellation, continue-as-new, queries and updates, facts."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from saros.model.errors import Error


def fresh(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


def test_an_order_waits_for_its_approval(shared: Any) -> None:
    async def scenario() -> Any:
        handle = await shared.app.start("app:order", {"id": "7", "total": 3}, id=fresh("order"))
        await handle.signal("approve", {"by": "admin"})
        lines = [line.name async for line in handle.watch()]
        return handle, await handle.result(90), lines, await handle.describe()

    handle, result, lines, description = shared.run(scenario())
    assert result == {
        "id": "7",
        "charged": {"charged": 3, "ratio": 3.0},
        "topic": "approve",
        "by": {"by": "admin"},
        "from": "",
        "pid": f"app:worker|{handle.id}",
    }
    assert lines[0] == "ExecutionStarted"
    assert lines[-1] == "ExecutionCompleted"
    assert {"ActivityScheduled", "ActivityCompleted", "TimerStarted", "TimerFired", "SignalReceived"} <= set(
        lines
    )
    assert (description.status, description.entry, description.pid) == ("completed", "app:order", handle.pid)


def test_first_messages_come_first_and_once(shared: Any) -> None:
    async def scenario() -> Any:
        id = fresh("inbox")
        messages = [("a", 1), ("b", False), ("c", [3])]
        handle = await shared.app.start("app:child", {"inbox": 5}, id=id, messages=messages)
        await handle.signal("d", 4)
        again = await shared.app.start("app:child", {"inbox": 9}, id=id, messages=[("e", 5)])
        assert again.run_id == handle.run_id
        return await handle.result(90)

    found = shared.run(scenario())
    assert [(topic, data) for topic, data, _ in found] == [
        ("a", 1),
        ("b", False),
        ("c", [3]),
        ("d", 4),
        ("e", 5),
    ]


def test_a_childs_result_and_error(shared: Any) -> None:
    assert shared.call("app:parent", {"exec": {"value": [1.0, 2]}}) == {"value": [1.0, 2]}
    error = {"kind": "Sad", "message": "no", "details": {"a": 1}}
    assert shared.call("app:parent", {"exec": {"fail": error}}) == {"error": error}


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ({"args": {"value": 5}}, {"value": 5}),
        ({"args": {"fail": {"kind": "Sad", "message": "no"}}}, {"error": {"kind": "Sad", "message": "no"}}),
        (
            {"args": {"forever": True}, "act": "cancel"},
            {"error": {"kind": "Canceled", "message": "canceled"}},
        ),
        (
            {"args": {"forever": True}, "act": "terminate"},
            {"error": {"kind": "Canceled", "message": "terminated"}},
        ),
    ],
)
def test_a_childs_exit_is_heard(shared: Any, what: dict[str, Any], told: dict[str, Any]) -> None:
    found = shared.call("app:parent", what)
    heard = found["exit"]
    if what.get("args") == {"forever": True}:
        assert heard["error"]["kind"] == "Canceled"
        heard["error"]["message"] = told["error"]["message"]
    assert heard == {"kind": "EXIT", "from": found["pid"], **told}
    assert found["why"] == "NotFound"


def test_a_parent_sends_and_its_first_messages_come_first(shared: Any) -> None:
    found = shared.call("app:parent", {"args": {"inbox": 3}, "message": True, "act": "send"})
    me = found["me"]
    assert found["exit"]["value"] == [["hello", 1, me], ["hello", 2, me], ["go", "on", me]]


@pytest.mark.parametrize(
    ("policy", "status"),
    [("terminate", "terminated"), ("abandon", "running"), ("request_cancel", "canceled")],
)
def test_parent_close_policies(shared: Any, until: Any, policy: str, status: str) -> None:
    id = fresh("child")
    options = {"workflow.id": id, "workflow.parent_close_policy": policy}
    args = {"args": {"forever": True}, "leave": True, "options": options}
    assert shared.call("app:parent", args)["pid"] == f"app:worker|{id}"

    async def ended() -> bool:
        return (await shared.app.get(id).describe()).status == status

    shared.run(until(ended))
    if policy == "abandon":
        shared.run(shared.app.get(id).terminate())


def test_a_child_that_runs_already_is_reached(shared: Any) -> None:
    async def scenario() -> Any:
        id = fresh("existing")
        handle = await shared.app.start("app:child", {"inbox": 3}, id=id)
        parent = await shared.app.start(
            "app:parent",
            {"args": {"inbox": 1}, "message": True, "act": "send", "options": {"workflow.id": id}},
        )
        return handle.pid, await parent.result(90), await handle.result(90)

    pid, found, child = shared.run(scenario())
    assert found["pid"] == pid
    assert [item[:2] for item in child] == [["hello", 1], ["hello", 2], ["go", "on"]]
    assert found["exit"]["value"] == child


def test_a_child_under_a_taken_id_can_be_refused(shared: Any) -> None:
    async def scenario() -> Any:
        id = fresh("taken")
        handle = await shared.app.start("app:child", {"forever": True}, id=id)
        options = {"workflow.id": id, "workflow.id_conflict_policy": "fail"}
        parent = await shared.app.start("app:parent", {"args": {"value": 1}, "options": options})
        found = await parent.result(90)
        await handle.terminate()
        return found

    assert shared.run(scenario())["error"]["kind"] == "AlreadyExists"


def test_cancel_is_an_event_for_who_asks(shared: Any) -> None:
    async def scenario() -> Any:
        handle = await shared.app.start("app:waiting", "event")
        await handle.cancel("enough")
        return await handle.result(90)

    assert shared.run(scenario()) == {"kind": "CANCEL", "reason": "enough", "from": ""}


def test_cancel_is_cooperative_for_who_does_not(shared: Any) -> None:
    async def scenario() -> Any:
        handle = await shared.app.start("app:waiting", "cooperative")
        await handle.cancel("enough")
        with pytest.raises(Error) as caught:
            await handle.result(90)
        return caught.value.kind, (await handle.describe()).status

    assert shared.run(scenario()) == ("Canceled", "canceled")


def test_terminate(shared: Any) -> None:
    async def scenario() -> Any:
        handle = await shared.app.start("app:child", {"forever": True})
        await handle.terminate("out")
        with pytest.raises(Error, match="terminated: out"):
            await handle.result(90)
        with pytest.raises(Error, match="not found"):
            await handle.signal("late")
        return (await handle.describe()).status

    assert shared.run(scenario()) == "terminated"


def test_no_mail_is_lost_when_a_workflow_starts_over(shared: Any) -> None:
    async def scenario() -> Any:
        handle = await shared.app.start("app:again", None, 5, messages=[("m", 0)])
        for number in range(1, 5):
            await handle.signal("m", number)
        return await handle.result(90), await shared.app.get(handle.id, handle.run_id).describe()

    found, first = shared.run(scenario())
    assert found == {"seen": list(range(5)), "from": ""}
    assert first.status == "continued_as_new"


def test_queries_and_updates(shared: Any) -> None:
    async def scenario() -> Any:
        handle = await shared.app.start("app:counter", 5)
        assert await handle.query("count") == 5
        assert await handle.update("add", 2) == 7
        assert await handle.query("count", 10) == 70
        with pytest.raises(Error, match="refused") as refused:
            await handle.update("add", "two")
        assert refused.value.kind == "Invalid"
        with pytest.raises(Error, match="bad factor") as bad:
            await handle.query("count", "bad")
        assert bad.value.kind == "BadFactor"
        with pytest.raises(Error, match="no query nothing"):
            await handle.query("nothing")
        with pytest.raises(Error, match="no update nothing") as unknown:
            await handle.update("nothing")
        assert unknown.value.kind == "NotFound"
        await handle.signal("stop")
        assert await handle.result(90) == 7
        assert await handle.query("count", 2) == 14

    shared.run(scenario())


def test_a_type_name_of_its_own(shared: Any) -> None:
    async def scenario() -> Any:
        handle = await shared.app.start("NamedWorkflow", 1, messages=[("stop", None)])
        return await handle.result(90), (await handle.describe()).type, (await handle.describe()).entry

    assert shared.run(scenario()) == (1, "NamedWorkflow", "app:named")


def test_id_policies(shared: Any) -> None:
    async def scenario() -> None:
        id, start = fresh("once"), shared.app.start
        handle = await start("app:child", {"forever": True}, id=id)
        for options in ({"id_conflict_policy": "fail"}, {"execution_error_when_already_started": True}):
            with pytest.raises(Error) as taken:
                await start("app:child", {"value": 1}, id=id, options=options)
            assert taken.value.kind == "AlreadyExists"
        assert (await start("app:child", {"value": 1}, id=id)).run_id == handle.run_id
        other = await start(
            "app:child", {"value": 1}, id=id, options={"id_conflict_policy": "terminate_existing"}
        )
        assert other.run_id != handle.run_id
        assert await other.result(90) == 1
        for policy in ("reject_duplicate", "allow_duplicate_failed_only"):
            with pytest.raises(Error) as again:
                await start("app:child", {"value": 2}, id=id, options={"id_reuse_policy": policy})
            assert again.value.kind == "AlreadyExists"
        assert await (await start("app:child", {"value": 3}, id=id)).result(90) == 3

    shared.run(scenario())


def test_a_function_hears_of_its_workflows_end(shared: Any) -> None:
    found = shared.run(shared.app.call("app:starter", "app:child", {"value": 9}))
    assert found == {"kind": "EXIT", "from_it": True, "value": 9}
    found = shared.run(
        shared.app.call("app:starter", "app:child", {"fail": {"kind": "Sad", "message": "no"}})
    )
    assert found["error"] == "Sad"


def test_a_workflow_talks_with_a_process(shared: Any) -> None:
    assert shared.call("app:talk", {"value": {"n": 1}}) == {
        "topic": "pong",
        "data": {"n": 1},
        "from_it": True,
        "exit": "stopped",
        "gone": "NotFound",
    }


def test_a_workflow_monitors_one_that_it_did_not_start(shared: Any) -> None:
    async def scenario() -> Any:
        other = await shared.app.start("app:child", {"inbox": 1})
        handle = await shared.app.start("app:talk", {"monitor": other.pid})
        return other.pid, await handle.result(90), handle.pid

    pid, found, me = shared.run(scenario())
    assert found == {"kind": "EXIT", "from": pid, "value": [["go", "on", me]]}
    assert shared.call("app:talk", {"monitor": "app:worker|nobody"}) == {"error": "NotFound"}


def test_attributes_are_upserted_and_listed(shared: Any, until: Any) -> None:
    customer = fresh("c")
    search = {
        "customer": customer,
        "total": 12,
        "paid": True,
        "tags": ["a", "b"],
        "due": "2030-01-02T03:04:05Z",
        "score": 2.5,
    }

    async def scenario() -> Any:
        given = {"search": search, "memo": {"note": {"n": 1.0}}, "wait": True}
        handle = await shared.app.start("app:attrs", given)

        async def listed() -> list[str]:
            query = f"customer = '{customer}' and total > 11 and paid = true and tags = 'b' and status = 'running'"
            return [found.id async for found in shared.app.list(query)]

        assert await until(listed) == [handle.id]
        description = await handle.describe()
        await handle.signal("stop")
        return await handle.result(90), description

    result, description = shared.run(scenario())
    assert result == {"ok": True}
    assert description.search_attributes == search
    assert description.memo == {"note": {"n": 1.0}}


@pytest.mark.parametrize(
    ("search", "text"),
    [
        ({"nowhere": "x", "total": 1}, "no search attribute nowhere"),
        ({"total": "many"}, "total is an integer"),
    ],
)
def test_attributes_that_the_server_lacks_are_refused(shared: Any, search: dict[str, Any], text: str) -> None:
    found = shared.call("app:attrs", {"search": search})
    assert found["kind"] == "Invalid"
    assert text in found["message"]


def test_attributes_that_the_server_has_are_stored_beside_others(shared: Any, until: Any) -> None:
    async def scenario() -> Any:
        given = {"search": {"nowhere": "x", "total": 1, "paid": "no"}, "memo": {"a": 1}, "wait": True}
        handle = await shared.app.start("app:attrs", given)

        async def stored() -> Any:
            info = await handle.describe()
            return bool(info.memo) and info

        info = await until(stored)
        replayed = await handle.query("__stack_trace")
        await handle.signal("stop")
        return info, replayed, await handle.result(90)

    info, _, result = shared.run(scenario())
    assert info.search_attributes == {"total": 1}
    assert info.memo == {"a": 1}
    assert result["kind"] == "Invalid"
    assert "nowhere" in result["message"]
    assert "paid is a boolean" in result["message"]


def test_a_start_with_attributes(shared: Any) -> None:
    async def scenario() -> Any:
        options = {"search_attributes": {"total": 5}, "memo": {"a": [1]}}
        handle = await shared.app.start("app:child", {"value": 1}, options=options)
        with pytest.raises(Error, match="nowhere"):
            await shared.app.start("app:child", {}, options={"search_attributes": {"nowhere": 5}})
        return await handle.describe()

    description = shared.run(scenario())
    assert description.search_attributes == {"total": 5}
    assert description.memo == {"a": [1]}


def test_facts(shared: Any) -> None:
    async def scenario() -> Any:
        handle = await shared.app.start("app:facts")
        async for line in handle.watch():
            if line.name == "SideEffectRecorded":
                break
        await handle.signal("go")
        return handle, await handle.result(90)

    handle, found = shared.run(scenario())
    info = found["info"]
    assert (info["workflow_id"], info["run_id"], info["namespace"]) == (handle.id, handle.run_id, "default")
    assert (info["task_queue"], info["workflow_type"], info["attempt"]) == ("saros-tests", "app:facts", 1)
    assert found["grew"] == 3
    assert found["size"] > 500
    assert 1 <= found["side"]["n"] <= 1_000_000


def test_an_unknown_workflow_is_not_found(shared: Any) -> None:
    async def scenario() -> None:
        for method in ("describe", "result", "terminate", "cancel", "history"):
            with pytest.raises(Error) as caught:
                await getattr(shared.app.get("nobody"), method)()
            assert caught.value.kind == "NotFound"

    shared.run(scenario())


def test_many_workflows_at_once(shared: Any) -> None:
    async def scenario() -> list[Any]:
        handles = await asyncio.gather(*[shared.app.start("app:child", {"value": n}) for n in range(30)])
        return list(await asyncio.gather(*[handle.result(90) for handle in handles]))

    assert shared.run(scenario()) == list(range(30))
