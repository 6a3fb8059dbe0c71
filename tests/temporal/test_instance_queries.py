"""Queries and updates of one workflow instance, without a worker."""

from __future__ import annotations

import json
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.converter import (
    DataConverter,
)

from saros_temporal.wire.payloads import ANSWER, to_payload

from .instances import (
    Run,
    Start,
    begin,
    done,
    query,
    signal,
    update,
)

ASKED = """
return function()
  workflow.on_query("state", function() return "fine" end)
  workflow.on_query("endless", function() while true do end end)
  workflow.on_update("quick", function(x) return x end)
  workflow.on_update("slow", function(x) return (funcs.call("app:echo", x)) end)
  workflow.on_update("never", function() time.sleep("1h") end)
  process.listen("approve")
  process.inbox():receive()
  return "over"
end"""


def answered(run: Run) -> Any:
    return run.commands[0].respond_to_query


def test_queries_answer_and_change_nothing(start: Start) -> None:
    run = start(ASKED)
    run.act(begin())
    assert run.act(query("state")) == ["respond_to_query"]
    assert (answered(run).query_id, answered(run).succeeded.response.data) == ("q", b'"fine"')
    run.act(query("nothing"))
    assert "there is no query nothing" in answered(run).failed.message
    run.act(query("state", **{ANSWER: to_payload(b"true")}))
    assert json.loads(answered(run).succeeded.response.data) == {"ok": "fine"}
    assert run.act(signal("go")) == ["complete_workflow_execution"]


def test_a_query_that_never_ends_fails_alone(start: Start) -> None:
    run = start(ASKED)
    run.act(begin())
    run.act(query("endless"))
    assert "endless loop" in answered(run).failed.message
    run.act(signal("go"))
    assert "a replay makes it anew" in run.failure.message


def test_the_metadata_names_what_the_program_offers(start: Start) -> None:
    run = start(ASKED)
    run.act(begin())
    run.act(query("__temporal_workflow_metadata"))
    found = DataConverter.default.payload_converter.from_payload(
        answered(run).succeeded.response, WorkflowMetadata
    )
    definition = found.definition
    assert definition.type == "app:flow"
    names = [item.name for item in definition.query_definitions]
    assert names == [
        "__enhanced_stack_trace", "__saros_stack", "__stack_trace", "__temporal_workflow_metadata",
        "endless", "state",
    ]  # fmt: skip
    assert [item.name for item in definition.update_definitions] == ["never", "quick", "slow"]
    assert [item.name for item in definition.signal_definitions] == ["approve"]


def test_the_stack_trace_says_where_the_code_waits(start: Start) -> None:
    run = start("""
return function()
  coroutine.spawn(function() time.sleep("1h") end)
  coroutine.spawn(function() process.exec("app:flow", "app:worker") end)
  near:call("app:echo", 1)
end""")
    run.act(begin())
    run.act(query("__stack_trace"))
    text = json.loads(answered(run).succeeded.response.data)
    assert "flow.lua:5" in text
    assert "flow.lua:7" in text
    assert "waits for the local activity app:echo (1)" in text
    assert "waits for 1 timer" in text
    assert "has the child app:flow" in text
    run.act(query("__enhanced_stack_trace"))
    assert "query __stack_trace" in answered(run).failed.message


def responses(run: Run) -> list[tuple[str, str]]:
    return [
        (command.update_response.protocol_instance_id, command.update_response.WhichOneof("response"))
        for command in run.commands
        if command.HasField("update_response")
    ]


def test_updates_are_accepted_and_completed_in_order(start: Start) -> None:
    run = start(ASKED)
    given = to_payload(b"5")
    assert run.act(begin(), update("quick", given)) == ["update_response"] * 2
    assert responses(run) == [("p-quick", "accepted"), ("p-quick", "completed")]
    assert run.act(update("slow", given)) == ["update_response", "schedule_activity"]
    assert run.act(done(1, 5)) == ["update_response"]
    assert run.commands[0].update_response.completed.data == b"5"


def test_updates_are_rejected(start: Start) -> None:
    run = start(ASKED)
    run.act(begin())
    run.act(update("nothing"))
    assert responses(run) == [("p-nothing", "accepted"), ("p-nothing", "rejected")]
    run.act(update("quick", Payload(metadata={"encoding": b"binary/secret"})))
    assert responses(run) == [("p-quick", "rejected")]
    run.act(update("never"), signal("go"))
    assert responses(run) == [("p-never", "accepted"), ("p-never", "rejected")]
    assert "ended before it answered" in run.commands[-2].update_response.rejected.message
    assert run.result == "over"
