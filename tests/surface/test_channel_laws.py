"""Channels and select against a model: random programs of coroutines, run in a VM and in Python."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saros.model import values
from saros.model.records import COMPLETE, START
from saros_lua.sandbox.chunks import compile_user
from saros_lua.sandbox.vm import Vm

CHANNELS = 3
PLAY = """
local capacities, programs = ...
local channels, log = {}, {}
for i, n in ipairs(capacities) do channels[i] = channel.new(n) end
local function case(op)
  local ch = channels[op[2]]
  if op[1] == "send" then return ch:case_send(op[3]) end
  return ch:case_receive()
end
local function index_of(ch)
  for i, other in ipairs(channels) do if other == ch then return i end end
end
for number, program in ipairs(programs) do
  coroutine.spawn(function()
    for step, op in ipairs(program) do
      local ch, result = channels[op[2]], nil
      local ok, err = pcall(function()
        if op[1] == "send" then ch:send(op[3]) result = {"sent", op[2]}
        elseif op[1] == "receive" then local v, open = ch:receive() result = {"got", op[2], v or 0, open}
        elseif op[1] == "close" then ch:close() result = {"closed", op[2]}
        else
          local cases = {default = op[3]}
          for i, each in ipairs(op[2]) do cases[i] = case(each) end
          local r = channel.select(cases)
          if r.default then result = {"default"}
          else result = {"selected", index_of(r.channel), r.value or 0, r.ok} end
        end
      end)
      log[#log + 1] = {number, step, ok and result or {"raised"}}
    end
  end)
end
coroutine.spawn(function() end)
return function() return log end
"""

# --- the model ----------------------------------------------------------------------------------


class Model:
    """Go's channels on a queue of ready coroutines, written independently of the implementation."""

    def __init__(self, capacities: list[int], programs: list[list[Any]]) -> None:
        self.capacity = capacities
        self.buffer: list[deque[int]] = [deque() for _ in capacities]
        self.closed = [False] * len(capacities)
        self.waiting: list[tuple[int, list[tuple[str, int, int]], bool]] = []  # in order of their blocking
        self.ready: deque[tuple[int, Any]] = deque((number, None) for number in range(len(programs)))
        self.programs = programs
        self.step = [0] * len(programs)
        self.log: list[Any] = []

    def run(self) -> list[Any]:
        while self.ready:
            number, result = self.ready.popleft()
            if result is not None:
                self.note(number, result)
            while self.step[number] < len(self.programs[number]):
                result = self.perform(number, self.programs[number][self.step[number]])
                if result is None:
                    break
                self.note(number, result)
        return self.log

    def note(self, number: int, result: list[Any]) -> None:
        self.step[number] += 1
        self.log.append([number + 1, self.step[number], result])

    def perform(self, number: int, op: list[Any]) -> list[Any] | None:
        if op[0] == "close":
            self.close(op[1] - 1)
            return ["closed", op[1]]
        select = op[0] == "select"
        cases = [self.case(each) for each in (op[1] if select else [op])]
        for kind, channel, value in cases:
            outcome = self.attempt(kind, channel, value)
            if outcome is not None:
                return self.told(select, kind, channel, outcome)
        if select and op[2]:
            return ["default"]
        self.waiting.append((number, cases, select))
        return None

    @staticmethod
    def case(op: list[Any]) -> tuple[str, int, int]:
        return op[0], op[1] - 1, op[2] if op[0] == "send" else 0

    @staticmethod
    def told(select: bool, kind: str, channel: int, outcome: tuple[Any, ...]) -> list[Any]:
        if outcome == ("raised",):
            return ["raised"]
        if kind == "send":
            return ["selected", channel + 1, 0, True] if select else ["sent", channel + 1]
        return ["selected" if select else "got", channel + 1, *outcome]

    def attempt(self, kind: str, channel: int, value: int) -> tuple[Any, ...] | None:
        if kind == "send":
            if self.closed[channel]:
                return ("raised",)
            if (peer := self.peer("receive", channel)) is not None:
                self.wake(peer, "receive", channel, (value, True))
                return (True,)
            if len(self.buffer[channel]) < self.capacity[channel]:
                self.buffer[channel].append(value)
                return (True,)
            return None
        if self.buffer[channel]:
            first = self.buffer[channel].popleft()
            if (peer := self.peer("send", channel)) is not None:
                self.buffer[channel].append(self.value_of(peer, channel))
                self.wake(peer, "send", channel, (True,))
            return (first, True)
        if (peer := self.peer("send", channel)) is not None:
            given = self.value_of(peer, channel)
            self.wake(peer, "send", channel, (True,))
            return (given, True)
        return (0, False) if self.closed[channel] else None

    def peer(self, kind: str, channel: int) -> int | None:
        """The first that waits for its counterpart on a channel."""
        for at, (_, cases, _) in enumerate(self.waiting):
            if any(case[:2] == (kind, channel) for case in cases):
                return at
        return None

    def value_of(self, at: int, channel: int) -> int:
        return next(case[2] for case in self.waiting[at][1] if case[:2] == ("send", channel))

    def wake(self, at: int, kind: str, channel: int, outcome: tuple[Any, ...]) -> None:
        number, _, select = self.waiting.pop(at)
        self.ready.append((number, self.told(select, kind, channel, outcome)))

    def close(self, channel: int) -> None:
        if self.closed[channel]:
            return
        self.closed[channel] = True
        for kind, outcome in (("receive", (0, False)), ("send", ("raised",))):
            while (at := self.peer(kind, channel)) is not None:
                self.wake(at, kind, channel, outcome)


# --- random programs ----------------------------------------------------------------------------

channels = st.integers(1, CHANNELS)
numbers = st.integers(1, 99)
sends = st.tuples(st.just("send"), channels, numbers).map(list)
receives = st.tuples(st.just("receive"), channels).map(list)
closes = st.tuples(st.just("close"), channels).map(list)
selects = st.tuples(
    st.just("select"), st.lists(st.one_of(sends, receives), min_size=1, max_size=3), st.booleans()
).map(list)
steps = st.one_of(sends, sends, receives, receives, selects, selects, closes)
programs = st.lists(st.lists(steps, max_size=5), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def vm() -> Any:
    made = Vm(workflow=True)
    yield made
    made.close()


def play(vm: Vm, capacities: list[int], given: list[list[Any]]) -> list[Any]:
    """What happens in a VM; coroutines that block for ever are left behind."""
    source = PLAY.replace("return function() return log end", "time.sleep('1s') return log")
    source = f"local time = require('time') return function(...) {source} end"
    vm.renew()
    vm.host = lambda name, *args: (
        1,
        compile_user(source.encode(), "laws.lua"),
        b"",
        b"time",
        b"",
        b"app:laws",
    )
    advance = vm.fn("advance")
    body = values.encode({"args": [capacities, given], "entry": "app:laws", "pid": "p", "seed": "s"})
    out = vm.call(advance, 0, 0, START, 0, body, 0)
    assert out[0] == 1, out
    out = vm.call(advance, 0, 0, "done", out[2], b"{}", 1)
    assert out[1] == COMPLETE.encode(), out
    log: list[Any] = values.decode(out[3])
    return log


@settings(max_examples=150, deadline=None)
@given(capacities=st.lists(st.integers(0, 2), min_size=CHANNELS, max_size=CHANNELS), given_=programs)
def test_channels_do_as_the_model(vm: Vm, capacities: list[int], given_: list[list[Any]]) -> None:
    assert play(vm, capacities, given_) == Model(capacities, given_).run()


def test_the_order_of_a_senders_values_is_kept(vm: Vm, tmp_path: Path) -> None:
    given_ = [[["send", 1, n] for n in range(1, 6)], [["receive", 1]] * 5]
    for capacity in range(3):
        log = play(vm, [capacity, 0, 0], given_)
        assert [entry[2][2] for entry in log if entry[2][0] == "got"] == [1, 2, 3, 4, 5]
