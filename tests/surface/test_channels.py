"""Channels, select and coroutines (§5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]


def test_a_rendezvous_blocks_the_sender_until_it_is_received(everywhere: Run) -> None:
    code = """
    local ch, log = channel.new(0), {}
    coroutine.spawn(function() ch:send(1) log[#log + 1] = "sent 1" ch:send(nil) log[#log + 1] = "sent nil" end)
    time.sleep("1ms") log[#log + 1] = "before"
    local a, ok = ch:receive() time.sleep("1ms")
    local b, bok = ch:receive() time.sleep("1ms")
    return {log, a, ok, b == nil, bok}
    """
    assert everywhere(code) == [["before", "sent 1", "sent nil"], 1, True, True, True]


def test_a_buffer_lets_senders_go_on_until_it_is_full(everywhere: Run) -> None:
    code = """
    local ch, sent = channel.new(2), 0
    coroutine.spawn(function() for i = 1, 4 do ch:send(i) sent = sent + 1 end end)
    time.sleep("1ms")
    local full = sent
    local got = {ch:receive(), ch:receive(), ch:receive(), ch:receive()}
    return {full, got[1], (got[2]), got[3], got[4]}
    """
    assert everywhere(code)[:2] == [2, 1]


def test_close_drains_then_gives_nil_and_false(everywhere: Run) -> None:
    code = """
    local ch = channel.new(3)
    ch:send("a") ch:send("b") ch:close() ch:close()
    local a, aok = ch:receive() local b, bok = ch:receive() local c, cok = ch:receive()
    return {a, aok, b, bok, c == nil, cok}
    """
    assert everywhere(code) == ["a", True, "b", True, True, False]


def test_close_wakes_all_receivers_and_raises_in_senders(everywhere: Run) -> None:
    code = """
    local ch, log, done = channel.new(0), {}, channel.new(3)
    for i = 1, 2 do coroutine.spawn(function() local v, ok = ch:receive() done:send({v == nil, ok}) end) end
    time.sleep("1ms") ch:close()
    local first, second = done:receive(), done:receive()
    local other = channel.new(0)
    coroutine.spawn(function() local ok, err = pcall(other.send, other, 1) done:send({ok, tostring(err)}) end)
    time.sleep("1ms") other:close()
    local third = done:receive()
    return {first, second, third, (pcall(ch.send, ch, 1)), (pcall(channel.select, {ch:case_send(1)}))}
    """
    first, second, (ok, text), send, select = everywhere(code)
    assert first == second == [True, False]
    assert not ok
    assert "send on a closed channel" in text
    assert (send, select) == (False, False)


def test_receivers_are_served_in_the_order_of_their_waiting(everywhere: Run) -> None:
    code = """
    local ch, log = channel.new(0), {}
    for i = 1, 3 do coroutine.spawn(function() local v = ch:receive() log[#log + 1] = i .. v end) end
    time.sleep("1ms")
    ch:send("a") ch:send("b") ch:send("c") time.sleep("1ms")
    return log
    """
    assert everywhere(code) == ["1a", "2b", "3c"]


def test_select_gives_the_very_channel_its_value_and_ok(everywhere: Run) -> None:
    code = """
    local a, b = channel.new(1), channel.new(1)
    b:send(7)
    local r = channel.select{a:case_receive(), b:case_receive()}
    local s = channel.select{a:case_send(5), b:case_receive()}
    b:close()
    local c = channel.select{b:case_receive()}
    return {r.channel == b, r.value, r.ok, s.channel == a, s.ok, s.value == nil, c.value == nil, c.ok, (a:receive())}
    """
    assert everywhere(code) == [True, 7, True, True, True, True, True, False, 5]


def test_default_is_taken_only_when_nothing_is_ready(everywhere: Run) -> None:
    code = """
    local ch = channel.new(1)
    local none = channel.select{ch:case_receive(), default = true}
    local off = channel.select{ch:case_send(1), default = false}
    local ready = channel.select{ch:case_receive(), default = true}
    local only = channel.select{default = true}
    return {none, ready.default == nil, ready.value, only.default, off.ok}
    """
    assert everywhere(code) == [{"default": True, "ok": True}, True, 1, True, True]


def test_among_several_ready_cases_the_first_listed_wins(everywhere: Run) -> None:
    code = """
    local a, b, log = channel.new(5), channel.new(5), {}
    for i = 1, 3 do a:send("a" .. i) b:send("b" .. i) end
    for i = 1, 3 do log[i] = channel.select{b:case_receive(), a:case_receive()}.value end
    for i = 4, 6 do log[i] = channel.select{a:case_receive(), b:case_receive()}.value end
    return log
    """
    assert everywhere(code) == ["b1", "b2", "b3", "a1", "a2", "a3"]


def test_exactly_one_case_of_a_blocked_select_takes_effect(everywhere: Run) -> None:
    code = """
    local a, b, got = channel.new(0), channel.new(0), channel.new(1)
    coroutine.spawn(function() got:send(channel.select{a:case_receive(), b:case_receive()}.value) end)
    time.sleep("1ms")
    coroutine.spawn(function() a:send("a") end)
    local sent = false
    coroutine.spawn(function() b:send("b") sent = true end)
    local value = got:receive()
    time.sleep("1ms")
    return {value, sent, channel.select{a:case_receive(), b:case_receive(), default = true}.value}
    """
    assert everywhere(code) == ["a", False, "b"]


def test_two_selects_meet(everywhere: Run) -> None:
    code = """
    local ch, other = channel.new(0), channel.new(0)
    local done = channel.new(1)
    coroutine.spawn(function() done:send(channel.select{other:case_receive(), ch:case_receive()}.value) end)
    time.sleep("1ms")
    local r = channel.select{ch:case_send("met"), other:case_receive()}
    return {r.channel == ch, (done:receive())}
    """
    assert everywhere(code) == [True, "met"]


def test_select_waits_for_timers_and_messages_alike(everywhere: Run) -> None:
    code = """
    local inbox, late = process.inbox(), time.after("1m")
    local first = channel.select{inbox:case_receive(), late:case_receive()}.channel == late
    process.send(process.pid(), "t")
    local second = channel.select{inbox:case_receive(), time.after("1m"):case_receive()}.channel == inbox
    return {first, second}
    """
    assert everywhere(code) == [True, True]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("channel.new(-1)", "channel.new expects a capacity of 0 or more"),
        ("channel.new('1')", "channel.new expects a capacity of 0 or more"),
        ("channel.new(1.5)", "channel.new expects a capacity of 0 or more"),
        ("channel.select(5)", "channel.select expects a table of cases"),
        ("channel.select{}", "channel.select without cases would block for ever"),
        ("channel.select{channel.new(0)}", "channel.select: item 1 is not a case"),
        ("channel.new(0).receive()", "expected a channel; call it as channel:receive()"),
        ("channel.new(0).send({}, 1)", "expected a channel; call it as channel:send()"),
        ("local ch = channel.new(0) ch:close() ch:send(1)", "send on a closed channel"),
    ],
)
def test_wrong_use_is_raised_with_the_line(raised: Run, code: str, words: str) -> None:
    text = raised(code)
    assert words in text
    assert "main.lua:" in text


def test_many_coroutines_share_channels(everywhere: Run) -> None:
    code = """
    local jobs, results = channel.new(0), channel.new(10)
    for _ = 1, 5 do
      coroutine.spawn(function()
        while true do
          local n, ok = jobs:receive()
          if not ok then return end
          results:send(n * n)
        end
      end)
    end
    coroutine.spawn(function() for n = 1, 50 do jobs:send(n) end jobs:close() end)
    local sum = 0
    for _ = 1, 50 do sum = sum + results:receive() end
    return sum
    """
    assert everywhere(code) == sum(n * n for n in range(1, 51))


def test_send_gives_true(everywhere: Run) -> None:
    code = """
    local buffered, met = channel.new(1), channel.new()
    local late = channel.new()
    coroutine.spawn(function() met:receive() end)
    coroutine.spawn(function() time.sleep("1ms") late:receive() end)
    return {buffered:send(1), met:send(2), late:send(3)}
    """
    assert everywhere(code) == [True, True, True]
