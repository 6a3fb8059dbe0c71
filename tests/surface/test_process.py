"""Processes: pids, messages, events, cancellation and upgrades (§6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]
WAITS = "process.inbox():receive()"


def test_pid_and_id(everywhere: Run) -> None:
    code = "return {type(process.pid()), tostring(process.pid()) == process.pid(), process.id()}"
    kind, same, id = everywhere(code)
    assert (kind, same) == ("string", True)
    assert id.startswith("app:main#")


def test_a_workflows_pid_names_its_worker_and_workflow_id(workflow: Run) -> None:
    pid = workflow("return process.pid()", options={"id": "order-7"})
    assert "app:worker" in pid
    assert pid.endswith("order-7")


# --- sending ------------------------------------------------------------------------------------


def test_send_wants_a_destination_and_a_topic(everywhere: Run) -> None:
    code = """
    local kinds = {}
    for i, args in ipairs({{}, {5, "t"}, {"", "t"}, {process.pid()}, {process.pid(), 7}, {process.pid(), "@x"}}) do
      local ok, err = process.send(args[1], args[2])
      kinds[i] = ok == nil and err:kind() .. tostring(err:retryable())
    end
    local ok, err = process.send(process.pid(), "t", print)
    return {kinds, ok == nil, err:kind()}
    """
    assert everywhere(code) == [["Invalidfalse"] * 6, True, "Invalid"]


def test_an_unknown_destination_is_not_found(everywhere: Run) -> None:
    code = """
    local told = {}
    for i, dest in ipairs({"nobody", "app:worker|none", pcall(require, "workflow") and "none" or "@nowhere|p1"}) do
      local ok, err = process.send(dest, "t")
      told[i] = {ok == nil, err:kind(), err:retryable(), tostring(err):find("not found", 1, true) ~= nil,
        tostring(err):find(dest, 1, true) ~= nil}
    end
    return told
    """
    assert everywhere(code) == [[True, "NotFound", False, True, True]] * 3


def test_several_payloads_arrive_in_order_and_none_is_nil(everywhere: Run) -> None:
    code = """
    local me = process.pid()
    process.send(me, "many", 1, nil, {a = 2})
    process.send(me, "none")
    local many, none = process.inbox():receive(), process.inbox():receive()
    local a, b, c = many:payload()
    return {a:data(), b:data() == nil, c:data().a, none:payload():data() == nil, many:from() == me, many:topic()}
    """
    assert everywhere(code) == [1, True, 2, True, True, "many"]


def test_a_destination_has_ended_once_its_exit_is_delivered(everywhere: Run) -> None:
    code = """
    local pid = process.spawn_monitored("app:short", "app:host")
    local e = process.events():receive()
    local ok, err = process.send(pid, "late")
    return {e.kind, ok == nil, err:kind()}
    """
    assert everywhere(code, processes={"short": "return 1"}) == ["EXIT", True, "NotFound"]


# --- listening ----------------------------------------------------------------------------------


def test_each_of_inbox_events_and_listen_gives_the_same_channel(everywhere: Run) -> None:
    code = """
    return {process.inbox() == process.inbox(), process.events() == process.events(),
      process.listen("t") == process.listen("t"), process.listen("t") ~= process.listen("u"),
      process.listen("m", {message = true}) == process.listen("m")}
    """
    assert everywhere(code) == [True] * 5


def test_listeners_get_values_or_messages(everywhere: Run) -> None:
    code = """
    local me = process.pid()
    local raw, full = process.listen("raw"), process.listen("full", {message = true})
    process.send(me, "raw", {n = 1}) process.send(me, "full", 2) process.send(me, "raw")
    local first, m, none, ok = raw:receive(), full:receive(), raw:receive()
    return {first.n, m:topic(), m:payload():data(), m:from() == me, none == nil, ok}
    """
    assert everywhere(code) == [1, "full", 2, True, True, True]


def test_a_listener_gets_what_came_before_it_and_what_comes_after_it_is_dropped(everywhere: Run) -> None:
    code = """
    local me, inbox = process.pid(), process.inbox()
    process.send(me, "a", 1) process.send(me, "b", 2) process.send(me, "a", 3)
    local a = process.listen("a")
    local log = {(a:receive()), (a:receive()), inbox:receive():topic()}
    process.send(me, "a", 4)
    local freed, again = process.unlisten(a), process.unlisten(a)
    process.send(me, "a", 5)
    log[#log + 1] = a:receive()
    local _, open = a:receive()
    local anew = process.listen("a")
    process.send(me, "a", 6)
    log[#log + 1] = anew:receive()
    log[#log + 1] = anew ~= a
    return {log, freed, again, open, channel.select{inbox:case_receive(), default = true}.default}
    """
    assert everywhere(code) == [[1, 3, "b", 4, 6, True], True, False, False, True]


def test_listen_and_unlisten_refuse_what_they_cannot(everywhere: Run) -> None:
    code = """
    local _, reserved = process.listen("@x")
    local _, none = process.listen()
    return {reserved:kind(), none:kind(), process.unlisten(5), process.unlisten(), process.unlisten(channel.new(0))}
    """
    assert everywhere(code) == ["Invalid", "Invalid", False, False, False]


def test_event_constants(everywhere: Run) -> None:
    names = ["EXIT", "CANCEL", "LINK_DOWN", "OUTDATED"]
    assert everywhere("return process.event") == {name: name for name in names}


# --- spawning -----------------------------------------------------------------------------------


def test_spawn_forms_give_a_pid_and_exec_a_result(function: Run) -> None:
    code = """
    local kinds = {}
    for i, form in ipairs({"spawn", "spawn_monitored", "spawn_linked", "spawn_linked_monitored"}) do
      local pid, err = process[form]("app:adds", "app:host", 1, 2)
      kinds[i] = type(pid) .. tostring(err)
    end
    local sum, err = process.exec("app:adds", "app:host", 3, 4)
    return {kinds, sum, err == nil}
    """
    adds = "return { main = function(a, b) return a + b end }"
    assert function(code, processes={"adds": adds}) == [["stringnil"] * 4, 7, True]


def test_what_cannot_be_spawned(everywhere: Run) -> None:
    code = """
    local told = {}
    for i, args in ipairs({{}, {"app:waits"}, {"app:none", "app:host"}, {"app:waits", "app:none"},
                           {"app:waits", "app:worker2"}, {"app:lib", "app:host"}, {"app:waits", "app:waits"}}) do
      local pid, err = process.spawn(args[1], args[2])
      told[i] = pid == nil and err:kind()
    end
    return told
    """
    told = everywhere(code, processes={"waits": WAITS}, libraries={"lib": "return {}"})
    assert told == ["Invalid", "Invalid", "NotFound", "NotFound", "NotFound", "Invalid", "Invalid"]


def test_a_workflow_may_name_the_task_queue_as_host(workflow: Run) -> None:
    code = 'return {process.exec("app:child", "main", 4), process.exec("app:child", "app:worker", 5)}'
    assert workflow(code, workflows={"child": "return input * 2"}) == [8, 10]


def test_a_workflow_hears_of_every_child_it_spawns(workflow: Run) -> None:
    code = """
    local a = process.spawn("app:child", "app:worker", 1)
    local b = process.spawn("app:proc", "app:host", 2)
    local seen = {}
    for _ = 1, 2 do
      local e = process.events():receive()
      seen[e.from == a and "a" or e.from == b and "b" or "?"] = {e.kind, e.result.value, e.error == e.result.error}
    end
    return seen
    """
    result = workflow(code, workflows={"child": "return input"}, processes={"proc": "return input"})
    assert result == {"a": ["EXIT", 1, True], "b": ["EXIT", 2, True]}


def test_the_process_host_has_a_limit(function: Run) -> None:
    code = """
    local first = process.spawn("app:waits", "app:small")
    local none, err = process.spawn("app:waits", "app:small")
    return {type(first), none == nil, err:kind()}
    """
    small = {"name": "small", "kind": "process.host", "host": {"max_processes": 1}}
    result = function(code, processes={"waits": WAITS}, entries=(small,))
    assert result == ["string", True, "RateLimited"]


def test_spawners_are_immutable_and_chain(everywhere: Run) -> None:
    code = """
    local base = process.with_context({a = 1})
    local named = base:with_name("the-one"):with_context({b = 2}):with_options({}):with_message("hi", 1, 2)
    local plain = base:exec("app:tells", "app:host")
    local full = named:exec("app:tells", "app:host", true)
    return {base ~= named, plain, full}
    """
    tells = """
    local m = input and process.inbox():receive()
    local name = process.registry.lookup("the-one")
    return {ctx.all(), name == process.pid(), m and select("#", m:payload()) or 0}
    """
    assert everywhere(code, processes={"tells": tells}) == [
        True,
        [{"a": 1}, False, 0],
        [{"a": 1, "b": 2}, True, 2],
    ]


def test_wrong_arguments_of_a_spawner(everywhere: Run) -> None:
    code = """
    local s, kinds = process.with_options({}), {}
    local function note(value, err) kinds[#kinds + 1] = value == nil and err:kind() end
    note(process.with_options(5)) note(process.with_context("x")) note(process.with_context({f = print}))
    note(s:with_name("")) note(s:with_message("@x")) note(s:with_message()) note(s:with_options(nil))
    note(process.with_options({["workflow.id_reuse_policy"] = "sometimes"}))
    note(process.with_options({["temporal.workflow.run_timeout"] = "soon"}))
    return kinds
    """
    assert everywhere(code) == ["Invalid"] * 9


def test_first_messages_come_before_all_others_with_the_starter_as_sender(everywhere: Run) -> None:
    code = """
    local spawner = process.with_options({}):with_message("a", 1):with_message("b", 2)
    local pid = spawner:spawn_monitored("app:reads", "app:host")
    process.send(pid, "c", 3)
    local e = process.events():receive()
    return {e.result.value[1], e.result.value[2] == process.pid()}
    """
    reads = """
    local log, from = {}, nil
    for i = 1, 3 do local m = process.inbox():receive() log[i] = m:topic() .. m:payload():data() from = m:from() end
    return {log, from}
    """
    assert everywhere(code, processes={"reads": reads}) == [["a1", "b2", "c3"], True]


# --- cancel and terminate -----------------------------------------------------------------------


def test_cancel_is_queued_until_events_are_asked_for_and_blocks_nothing_after(function: Run) -> None:
    code = """
    local pid = process.spawn_monitored("app:polite", "app:host")
    process.cancel(pid, "enough")
    return process.events():receive().result.value
    """
    polite = """
    local ok, err = time.sleep("1h")
    local e = process.events():receive()
    return {err and err:kind() or "slept", e.kind, e.reason, e.from ~= ""}
    """
    assert function(code, processes={"polite": polite}) == ["Canceled", "CANCEL", "enough", True]


BLOCKS = {
    "sleep": "time.sleep('1h')",
    "call": "funcs.call('app:slow')",
    "exec": "process.exec('app:waits', 'app:host')",
}


@pytest.mark.parametrize("what", BLOCKS)
def test_cooperative_cancellation_ends_what_blocks(function: Run, what: str) -> None:
    code = """
    local pid = process.spawn_monitored("app:blocks", "app:host")
    time.sleep("1ms")
    process.cancel(pid, "stop")
    return process.events():receive().result.value
    """
    blocks = f"local v, err = {BLOCKS[what]} return {{v == nil, err:kind(), tostring(err)}}"
    result = function(
        code, processes={"blocks": blocks, "waits": WAITS}, functions={"slow": "time.sleep('5h')"}
    )
    assert result == [True, "Canceled", "canceled: stop"]


def test_cooperative_cancellation_raises_in_receive_and_select(function: Run) -> None:
    code = """
    local log = {}
    for i, entry in ipairs({"app:receives", "app:selects"}) do
      local pid = process.spawn_monitored(entry, "app:host")
      time.sleep("1ms")
      process.cancel(pid)
      local e = process.events():receive()
      log[i] = {e.result.value[1], e.result.value[2]}
    end
    return log
    """
    tells = "local ok, err = pcall(function() {} end) return {{ok, err:kind()}}"
    processes = {
        "receives": tells.format("channel.new(0):receive()"),
        "selects": tells.format("channel.select{channel.new(0):case_receive()}"),
    }
    assert function(code, processes=processes) == [[False, "Canceled"], [False, "Canceled"]]


def test_a_crash_that_nobody_hears_of_is_a_warning_with_entry_pid_and_line(
    function: Run, caplog: pytest.LogCaptureFixture
) -> None:
    code = """
    local pids = {
      process.spawn("app:dies", "app:host"), process.spawn("app:fails", "app:host"),
      process.spawn("app:fine", "app:host"), process.spawn_monitored("app:told", "app:host"),
    }
    process.exec("app:told", "app:host")
    local ended = process.spawn("app:waits", "app:host")
    process.terminate(ended)
    process.events():receive()
    time.sleep("1s")
    return pids
    """
    processes = {
        "dies": "local x = nil\nreturn x.y",
        "fails": "return nil, errors.new{kind = errors.INVALID, message = 'no such order'}",
        "fine": "return 1",
        "told": "error('heard')",
        "waits": WAITS,
    }
    pids = function(code, processes=processes)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.split(" failed, and nobody monitors it: ")[0] for text in told] == [
        f"app:dies {pids[0]}",
        f"app:fails {pids[1]}",
    ]
    assert "dies.lua:5" in told[0]
    assert "no such order" in told[1]


def test_terminate_ends_at_once_and_cascades_along_links(function: Run) -> None:
    code = """
    local pid = process.spawn_monitored("app:parent", "app:host")
    local child = process.inbox():receive():payload():data()
    process.monitor(child)
    local ok = process.terminate(pid)
    local seen = {}
    for _ = 1, 2 do
      local e = process.events():receive()
      seen[e.from == pid and "parent" or "child"] = e.kind .. tostring(e.error ~= nil)
    end
    return {ok, seen}
    """
    processes = {
        "parent": "local child = process.spawn_linked('app:child', 'app:host') "
        "process.send(input, 'child', child) while true do pcall(function() process.inbox():receive() end) end",
        "child": WAITS,
    }
    code = code.replace('"app:host")', '"app:host", process.pid())', 1)
    assert function(code, processes=processes) == [True, {"parent": "EXITtrue", "child": "EXITtrue"}]


# --- upgrade ------------------------------------------------------------------------------------


def test_upgrade_keeps_identity_mail_name_and_watchers(everywhere: Run) -> None:
    code = """
    local pid = process.with_context({}):with_name("upgraded"):spawn_monitored("app:old", "app:host", 1)
    process.send(pid, "mail", "kept")
    process.send("upgraded", "go", "also kept")
    local e = process.events():receive()
    return {e.kind, e.from == pid, e.result.value[1], e.result.value[2], e.result.value[3] == pid, e.result.value[4]}
    """
    processes = {
        "old": "process.listen('go'):receive() process.upgrade('app:new', input + 1, 'x')",
        "new": "return { main = function(n, x) return {n, process.inbox():receive():payload():data(), "
        "process.pid(), x} end }",
    }
    assert everywhere(code, processes=processes) == ["EXIT", True, 2, "kept", True, "x"]


def test_upgrade_again_and_again_loses_no_message(everywhere: Run) -> None:
    code = """
    local spawner = process.with_context({})
    for n = 1, 20 do spawner = spawner:with_message("mail", n) end
    spawner:spawn_monitored("app:five", "app:host", {})
    return process.events():receive().result.value
    """
    five = """
    for _ = 1, 5 do input[#input + 1] = process.inbox():receive():payload():data() end
    if #input < 20 then process.upgrade(nil, input) end
    return input
    """
    assert everywhere(code, processes={"five": five}) == list(range(1, 21))


def test_upgrade_keeps_cancellations_that_were_not_met(everywhere: Run) -> None:
    code = """
    local answers = process.listen("ready")
    local found = {}
    for n, entry in ipairs({"app:unread", "app:met"}) do
      local pid = process.with_context({}):spawn_monitored(entry, "app:host", process.pid())
      answers:receive()
      process.cancel(pid, "enough")
      process.send(pid, "go")
      found[n] = process.events():receive().result.value
    end
    return found
    """
    ends = "process.send(input, 'ready') "
    processes = {
        "unread": f"process.events() {ends} process.inbox():receive() process.upgrade('app:new')",
        "met": f"{ends} pcall(function() process.inbox():receive() end) process.upgrade('app:new')",
        "new": "local found = channel.select{process.events():case_receive(), time.after('50ms'):case_receive()} "
        "return found.value.reason or 'no event'",
    }
    assert everywhere(code, processes=processes) == ["enough", "no event"]


def test_upgrade_to_what_is_not_there(everywhere: Run) -> None:
    code = """
    local _, err = process.exec("app:old", "app:host")
    return err:kind()
    """
    assert everywhere(code, processes={"old": "process.upgrade('app:none')"}) == "NotFound"


def test_upgrade_with_nil_starts_the_same_entry_over(everywhere: Run) -> None:
    code = "if (input or 0) < 3 then process.upgrade(nil, (input or 0) + 1) end return input"
    assert everywhere(code) == 3
