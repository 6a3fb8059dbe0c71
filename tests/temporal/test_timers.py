"""Timers keep the order of their due times, in whatever order the server fires them; no server takes part."""

from __future__ import annotations

import pytest

from .instances import Start, begin, fired

RACE = """
return function()
  local order, done = {}, channel.new(4)
  for name, ms in pairs{a = 200, b = 200, c = 199, d = 300} do
    coroutine.spawn(function()
      time.sleep(ms * time.MILLISECOND)
      order[#order + 1] = name
      done:send(true)
    end)
  end
  for _ = 1, 4 do done:receive() end
  return order
end"""


@pytest.mark.parametrize("numbers", [(3, 1, 2), (1, 2, 3), (2, 1, 3), (2, 3, 1)])
def test_timers_of_one_activation_come_in_the_order_of_their_times(
    start: Start, numbers: tuple[int, ...]
) -> None:
    run = start(RACE)
    assert run.act(begin()) == ["start_timer"] * 4
    assert run.act(*map(fired, numbers)) == []
    assert run.act(fired(4)) == ["complete_workflow_execution"]
    assert run.result == ["c", "a", "b", "d"]


def test_a_timer_that_should_have_fired_before_fires_with_the_later(start: Start) -> None:
    run = start(RACE)
    run.act(begin())
    assert run.act(fired(2)) == ["cancel_timer", "cancel_timer"]
    assert [command.cancel_timer.seq for command in run.commands] == [3, 1]
    assert run.act(fired(4)) == ["complete_workflow_execution"]
    assert run.result == ["c", "a", "b", "d"]


def test_a_replay_that_joins_activations_has_the_same_order(start: Start) -> None:
    """Temporal's core hands over two tasks as one in a replay, if the first gave no commands."""
    run = start(RACE)
    run.act(begin())
    assert run.act(fired(3)) == []
    assert run.act(fired(2), fired(1)) == []
    run.act(fired(4))
    replay = start(RACE)
    replay.act(begin(), replaying=True)
    assert replay.act(fired(3), fired(2), fired(1), replaying=True) == []
    replay.act(fired(4))
    assert run.result == replay.result == ["c", "a", "b", "d"]


def test_a_timer_that_is_stopped_by_an_earlier_one_never_fires(start: Start) -> None:
    run = start("""
return function()
  local later = time.timer("200ms")
  time.sleep("100ms")
  local stopped = later:stop()
  local which = channel.select{ later:channel():case_receive(), default = true }
  return { stopped, which.default }
end""")
    run.act(begin())
    assert run.act(fired(1)) == ["cancel_timer", "complete_workflow_execution"]
    assert run.result == [True, True]


def test_timers_that_are_armed_from_timers_wait_for_their_turn(start: Start) -> None:
    run = start("""
return function()
  local order = {}
  local function note(name) order[#order + 1] = name end
  coroutine.spawn(function() time.sleep("200ms") note("last") end)
  time.sleep("100ms")
  note("first")
  coroutine.spawn(function() time.sleep("10ms") note("armed") end)
  time.sleep("150ms")
  return order
end""")
    run.act(begin())
    assert run.act(fired(1), ms=100) == ["start_timer", "start_timer"]
    assert run.act(fired(2), ms=200) == ["cancel_timer"]  # of the one that is due at 110 ms
    assert run.act(fired(3), ms=250) == ["complete_workflow_execution"]
    assert run.result == ["first", "armed", "last"]
