"""Activations of a workflow, job by job, as Temporal's core gives them; no server takes part."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from temporalio.api.enums.v1 import CommandType
from temporalio.bridge.proto.workflow_activation import (
    RemoveFromCache,
    WorkflowActivationJob,
)
from temporalio.converter import (
    ActivitySerializationContext,
    WorkflowSerializationContext,
)
from temporalio.worker._command_aware_visitor import CommandInfo

from saros_temporal.wire.payloads import put_json, to_json
from saros_temporal.workflow.activity_port import LOCAL_IN_A_ROW

from .instances import (
    NOW,
    Start,
    backoff,
    begin,
    cancel,
    done,
    evict,
    fired,
    patch,
    signal,
)

# --- the order of jobs and commands -----------------------------------------------------------------


def test_signals_of_the_first_activation_come_after_the_start(start: Start) -> None:
    run = start("""
return function()
  local got = {}
  for i = 1, 2 do got[i] = process.inbox():receive():topic() end
  return got
end""")
    assert run.act(signal("early"), begin(), signal("late")) == ["complete_workflow_execution"]
    assert run.result == ["early", "late"]


def test_signals_come_before_what_ends_and_that_in_the_order_of_jobs(start: Start) -> None:
    run = start("""
return function()
  local got, all = {}, channel.new(3)
  local function note(what) got[#got + 1] = what all:send(true) end
  coroutine.spawn(function() note((funcs.call("app:echo", 1))) end)
  coroutine.spawn(function() time.sleep("1s") note("timer") end)
  coroutine.spawn(function() note(process.inbox():receive():topic()) end)
  for _ = 1, 3 do all:receive() end
  return got
end""")
    assert run.act(begin()) == ["schedule_activity", "start_timer"]
    assert run.act(done(1, "result"), fired(1), signal("signal")) == ["complete_workflow_execution"]
    assert run.result == ["signal", "result", "timer"]


def test_commands_come_in_the_order_of_the_code(start: Start) -> None:
    run = start("""
return function()
  coroutine.spawn(function() process.spawn("app:flow", "app:worker", true) end)
  coroutine.spawn(function() process.send("app:worker|other", "hello") end)
  time.sleep("1s")
end""")
    kinds = ["start_timer", "start_child_workflow_execution", "signal_external_workflow_execution"]
    assert run.act(begin()) == kinds
    child = run.commands[1].start_child_workflow_execution
    assert (child.seq, child.workflow_type, child.namespace) == (1, "app:flow", "default")
    assert child.workflow_id  # from the seed of the run
    assert [to_json(payload) for payload in child.input] == [b"true"]
    assert to_json(child.headers["saros-sender"]) == b'"app:worker|id"'


def test_late_mail_goes_to_the_next_run(start: Start) -> None:
    run = start("""
return function()
  process.inbox():receive()
  workflow.continue_as_new("more")
end""")
    run.act(begin())
    kinds = run.act(signal("first"), signal("second", 2))
    assert kinds == ["continue_as_new_workflow_execution"]
    command = run.commands[0].continue_as_new_workflow_execution
    assert command.workflow_type == "app:flow"
    (mail,) = json.loads(to_json(command.headers["saros-messages"]))
    assert (mail["topic"], mail["payloads"]) == ("second", [2])


def test_a_late_cancellation_goes_to_the_next_run(start: Start) -> None:
    code = """
return function(continues)
  if continues then workflow.continue_as_new() end
  local _, err = time.sleep("1h")
  return nil, err
end"""
    run = start(code)
    kinds = run.act(begin(True), cancel("enough [by app:worker|boss]"))
    assert kinds == ["continue_as_new_workflow_execution"]
    headers = run.commands[0].continue_as_new_workflow_execution.headers
    request = {"sender": "app:worker|boss", "reason": "enough"}
    assert json.loads(to_json(headers["saros-cancel"])) == [request]
    following = begin(False)
    for name, payload in headers.items():
        following.initialize_workflow.headers[name].CopyFrom(payload)
    assert start(code).act(following, cancel("twice"))[-1] == "cancel_workflow_execution"


COUNTS_CANCELS = """
return function(continues)
  local events = process.events()
  process.inbox():receive()
  if continues then workflow.continue_as_new(false) end
  local got = {}
  repeat
    local found = channel.select{events:case_receive(), default = true}
    got[#got + 1] = found.value and found.value.reason
  until found.default
  return got
end"""


def test_cancellations_that_are_not_met_go_to_the_next_run(start: Start) -> None:
    run = start(COUNTS_CANCELS)
    run.act(begin(True))
    run.act(cancel("early"))
    assert run.act(signal("go")) == ["continue_as_new_workflow_execution"]
    following = begin(False)
    for name, payload in run.commands[0].continue_as_new_workflow_execution.headers.items():
        following.initialize_workflow.headers[name].CopyFrom(payload)
    run = start(COUNTS_CANCELS)
    run.act(following)
    run.act(cancel("late"))
    run.act(signal("go"))
    assert run.result == ["early", "late"]


def test_a_run_with_a_cancellation_from_an_older_worker_replays_as_it_ran(start: Start) -> None:
    following = begin(False)
    put_json(following.initialize_workflow.headers["saros-cancel"], b'{"reason":"early"}')
    run = start(COUNTS_CANCELS)
    run.act(following)
    run.act(cancel("late"))
    run.act(signal("go"))
    assert run.result == ["early"]


def test_a_cancellation_has_a_sender_and_a_reason(start: Start) -> None:
    run = start("""
return function()
  local event = process.events():receive()
  return { event.kind, event.from, event.reason }
end""")
    run.act(begin())
    assert run.act(cancel("enough [by app:worker|boss]")) == ["complete_workflow_execution"]
    assert run.result == ["CANCEL", "app:worker|boss", "enough"]


def test_a_cancelled_workflow_ends_as_cancelled_and_its_memo_says_why(start: Start) -> None:
    run = start('return function() local _, err = time.sleep("1h") return nil, err end')
    assert run.act(begin(), cancel("")) == [
        "start_timer", "cancel_timer", "modify_workflow_properties", "cancel_workflow_execution",
    ]  # fmt: skip


# --- failures ---------------------------------------------------------------------------------------


def test_the_failure_of_a_task_says_what_is_wrong_and_where(start: Start) -> None:
    run = start("return function( x")
    run.act(begin())
    assert "')' expected" in run.failure.message
    assert "flow.lua:3" in run.failure.message
    assert run.failure.application_failure_info.type == "CodeError"


def test_a_failed_workflow_has_its_error_and_its_stack(start: Start) -> None:
    run = start('return function() error(errors.new({ kind = "Broke", message = "no money" })) end')
    assert run.act(begin()) == ["fail_workflow_execution"]
    failure = run.commands[0].fail_workflow_execution.failure
    assert (failure.message, failure.application_failure_info.type) == ("no money", "Broke")
    assert "flow.lua:3" in failure.stack_trace


def test_arguments_that_are_no_data_fail_the_workflow(start: Start) -> None:
    run = start("return function() end")
    job = begin()
    job.initialize_workflow.arguments.add(metadata={"encoding": b"binary/secret"}, data=b"x")
    assert run.act(job) == ["fail_workflow_execution"]
    assert "binary/secret" in run.commands[0].fail_workflow_execution.failure.message


def test_an_unknown_job_fails_the_task(start: Start) -> None:
    run = start("return function() end")
    run.act(WorkflowActivationJob())
    assert "unknown job" in run.failure.message


def test_an_evicted_program_runs_no_code(start: Start) -> None:
    run = start("""
return function()
  local ok = pcall(time.sleep, "1h")
  funcs.call("app:echo", ok)
end""")
    run.act(begin())
    assert run.act(evict(RemoveFromCache.EvictionReason.CACHE_FULL)) == []
    run.act(fired(1))
    assert "replay" in run.failure.message


# --- versions ---------------------------------------------------------------------------------------

VERSIONED = """
return function()
  local version = workflow.version("step", %d, %d)
  time.sleep("1s")
  return { version, workflow.version("step", %d, %d) }
end"""


@pytest.mark.parametrize(
    ("jobs", "replaying", "version", "marker"),
    [
        ([], False, 3, "step#3"),
        ([], True, 1, None),
        ([patch("step#2")], True, 2, "step#2"),
        ([patch("stepping#2"), patch("step#x")], True, 1, None),
    ],
)
def test_a_version_is_what_the_history_says(
    start: Start, jobs: list[WorkflowActivationJob], replaying: bool, version: int, marker: str | None
) -> None:
    run = start(VERSIONED % (1, 3, 1, 3))
    kinds = run.act(begin(), *jobs, replaying=replaying)
    assert kinds == (["set_patch_marker"] if marker else []) + ["start_timer"]
    if marker:
        assert run.commands[0].set_patch_marker.patch_id == marker
    run.act(fired(1))
    assert run.result == [version, version]


@pytest.mark.parametrize("recorded", [1, 7])
def test_a_recorded_version_out_of_range_is_named(start: Start, recorded: int) -> None:
    run = start(VERSIONED % (2, 3, 2, 3))
    run.act(begin(), patch(f"step#{recorded}"), replaying=True)
    assert f"version {recorded} of the change step is recorded" in run.failure.message
    assert "supports only 2 to 3" in run.failure.message


# --- local activities -------------------------------------------------------------------------------


def test_a_long_backoff_of_a_local_activity_is_a_timer(start: Start) -> None:
    run = start('return function() return near:call("app:echo", 5) end')
    assert run.act(begin()) == ["schedule_local_activity"]
    assert run.act(backoff(1, attempt=4, ms=61_000)) == ["start_timer"]
    assert run.commands[0].start_timer.start_to_fire_timeout.seconds == 61
    assert run.act(fired(1)) == ["schedule_local_activity"]
    again = run.commands[0].schedule_local_activity
    assert (again.seq, again.activity_id, again.attempt) == (2, "2", 4)
    assert again.original_schedule_time.ToDatetime(dt.UTC) == NOW
    assert [to_json(payload) for payload in again.arguments] == [b"5"]
    run.act(done(2, 5))
    assert run.result == 5


def test_a_backoff_can_be_cancelled(start: Start) -> None:
    run = start("""
return function()
  local patient = near:with_options({ ["activity.wait_for_cancellation"] = true })
  local _, err = patient:call("app:echo", 5)
  return err:kind()
end""")
    run.act(begin())
    run.act(backoff(1, attempt=4, ms=61_000))
    assert run.act(cancel("")) == ["cancel_timer", "complete_workflow_execution"]
    assert run.result == "Canceled"


ROW = """
return function(count)
  for i = 1, count do near:call("app:echo", i) end
  return "done"
end"""


def test_a_task_ends_after_many_local_activities_in_a_row(start: Start) -> None:
    run = start(ROW)
    assert run.act(begin(2 * LOCAL_IN_A_ROW + 1)) == ["schedule_local_activity"]
    for seq in range(1, LOCAL_IN_A_ROW):
        assert run.act(done(seq)) == ["schedule_local_activity"]
    assert run.act(done(LOCAL_IN_A_ROW)) == ["start_timer"]
    assert run.act(fired(1)) == ["schedule_local_activity"]
    for seq in range(LOCAL_IN_A_ROW + 1, 2 * LOCAL_IN_A_ROW):
        assert run.act(done(seq)) == ["schedule_local_activity"]
    assert run.act(done(2 * LOCAL_IN_A_ROW)) == ["start_timer"]
    assert run.act(fired(2)) == ["schedule_local_activity"]
    assert run.act(done(2 * LOCAL_IN_A_ROW + 1)) == ["complete_workflow_execution"]


def test_other_news_ends_the_row(start: Start) -> None:
    run = start(ROW)
    run.act(begin(3 * LOCAL_IN_A_ROW))
    for seq in range(1, 2 * LOCAL_IN_A_ROW):
        news = [signal("news")] if seq % 50 == 0 else []
        assert run.act(*news, done(seq)) == ["schedule_local_activity"]


FIRST = """
return function()
  local done = channel.new(3)
  for i = 1, 3 do coroutine.spawn(function() done:send((near:call("app:echo", i))) end) end
  return (done:receive())
end"""


def test_local_activities_end_before_the_workflow_closes(start: Start) -> None:
    run = start(FIRST)
    assert run.act(begin()) == ["schedule_local_activity"] * 3
    assert run.act(done(2, "second")) == ["request_cancel_local_activity"] * 2
    assert run.act(done(1, "first")) == []
    assert run.act(done(3, "third")) == ["complete_workflow_execution"]
    assert run.result == "second"


def test_what_has_ended_in_the_same_activation_is_not_cancelled(start: Start) -> None:
    run = start(FIRST)
    run.act(begin())
    assert run.act(done(2, "second"), done(1, "first"), done(3, "third")) == ["complete_workflow_execution"]
    assert run.result == "second"


# --- limits -----------------------------------------------------------------------------------------


def test_an_oversized_argument_is_an_error_in_lua(start: Start) -> None:
    run = start("""
return function()
  local _, err = funcs.call("app:echo", ("x"):rep(800000) .. ("y"):rep(800000))
  return { err:kind(), err:retryable(), tostring(err) }
end""")
    assert run.act(begin()) == ["complete_workflow_execution"]
    kind, retryable, text = run.result
    assert (kind, retryable) == ("Invalid", False)
    assert "too large for Temporal" in text


def test_a_task_takes_three_megabytes(start: Start) -> None:
    run = start("""
return function()
  local big, errors = ("x"):rep(900000), {}
  for i = 1, 4 do
    coroutine.spawn(function()
      local _, err = funcs.call("app:echo", big)
      errors[#errors + 1] = err and tostring(err)
    end)
  end
  process.inbox():receive()
  local _, err = funcs.call("app:echo", big)
  return { #errors, errors[1], err and tostring(err) }
end""")
    assert run.act(begin()) == ["schedule_activity"] * 3
    assert run.act(signal("on")) == ["schedule_activity"]
    run.act(done(4))
    count, text = run.result
    assert count == 1
    assert "wait for some of the calls" in text


# --- for the worker ---------------------------------------------------------------------------------


def test_a_codec_that_asks_hears_for_whom_a_payload_is(start: Start) -> None:
    run = start(
        """
return function()
  coroutine.spawn(function() process.exec("app:flow", "app:worker") end)
  funcs.call("app:echo", 1)
end""",
        codec_wants_context=True,
    )
    run.act(begin())
    instance = run.instance
    activity = CommandInfo(CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK, 1)
    child = CommandInfo(CommandType.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION, 1)
    found = instance.get_serialization_context(activity)
    assert isinstance(found, ActivitySerializationContext)
    assert (found.activity_type, found.workflow_id, found.is_local) == ("app:echo", "id", False)
    id = run.commands[1].start_child_workflow_execution.workflow_id
    assert instance.get_serialization_context(child) == WorkflowSerializationContext("default", id)
    assert instance.get_serialization_context(None) == WorkflowSerializationContext("default", "id")
    ended = CommandInfo(CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION, 0)
    for info, target in ((activity, "id"), (child, id), (None, "id"), (ended, "parent")):
        store = instance.get_external_store_context(info)
        assert store.target is not None
        assert store.target.id == target
