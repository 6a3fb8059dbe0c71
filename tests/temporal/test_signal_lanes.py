"""Signals to one workflow leave one after the other; no server takes part."""

from __future__ import annotations

from temporalio.api.failure.v1 import CanceledFailureInfo, Failure
from temporalio.bridge.proto.workflow_activation import ResolveSignalExternalWorkflow, WorkflowActivationJob

from .instances import Run, Start, begin, cancel

SENDS = """
return function()
  local got, done = {}, channel.new(3)
  for _, name in ipairs{"first", "second", "third"} do
    coroutine.spawn(function()
      local ok, err = process.send("app:worker|other", name)
      got[name] = ok or err:kind()
      done:send(true)
    end)
  end
  AFTER
  return got
end"""
SIGNAL = "signal_external_workflow_execution"


def signaled(seq: int, canceled: bool = False) -> WorkflowActivationJob:
    resolved = ResolveSignalExternalWorkflow(seq=seq)
    if canceled:
        resolved.failure.CopyFrom(Failure(canceled_failure_info=CanceledFailureInfo()))
    return WorkflowActivationJob(resolve_signal_external_workflow=resolved)


def topic(run: Run) -> str:
    (command,) = (each for each in run.commands if each.HasField(SIGNAL))
    return str(command.signal_external_workflow_execution.signal_name)


def test_a_signal_leaves_once_the_one_before_it_has_arrived(start: Start) -> None:
    run = start(SENDS.replace("AFTER", "for _ = 1, 3 do done:receive() end"))
    for job, name in zip([begin(), signaled(1), signaled(2)], ["first", "second", "third"], strict=True):
        assert run.act(job) == [SIGNAL]
        assert topic(run) == name
    assert run.act(signaled(3)) == ["complete_workflow_execution"]
    assert run.result == {"first": True, "second": True, "third": True}


def test_a_cancelled_signal_that_is_still_queued_never_leaves(start: Start) -> None:
    run = start(SENDS.replace("AFTER", 'time.sleep("1h") process.send("app:worker|other", "last")'))
    assert run.act(begin()) == ["start_timer", SIGNAL]
    assert topic(run) == "first"
    assert run.act(cancel("")) == ["cancel_timer", "cancel_signal_workflow"]
    assert run.act(signaled(1, canceled=True)) == [SIGNAL]
    assert topic(run) == "last"  # what is sent after a cancellation still reaches others
    assert run.act(signaled(2)) == ["complete_workflow_execution"]
    assert run.result == dict.fromkeys(("first", "second", "third"), "Canceled")


def test_a_signal_that_arrives_although_it_was_cancelled_holds_up_nothing(start: Start) -> None:
    run = start(SENDS.replace("AFTER", 'time.sleep("1h") process.send("app:worker|other", "last")'))
    run.act(begin())
    assert run.act(signaled(1), cancel("")) == ["cancel_timer", SIGNAL]
    assert topic(run) == "last"
    assert run.act(signaled(2)) == ["complete_workflow_execution"]
    assert run.result == dict.fromkeys(("first", "second", "third"), "Canceled")
