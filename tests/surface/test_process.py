"""Processes: pids, messages, events, links, names (§6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saros_testing import TestApp, lua_app

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


# --- monitors and links -------------------------------------------------------------------------

ENDS = {
    "ends": "local m = process.inbox():receive() if m:topic() == 'fail' then error('failed') end return m:topic()"
}
NOTHING = "channel.select{process.events():case_receive(), time.after('1m'):case_receive()}.value.kind == nil"


def test_monitor_after_start_tells_of_any_end(everywhere: Run) -> None:
    code = """
    local log = {}
    for i, topic in ipairs({"ok", "fail", "kill"}) do
      local pid = process.with_name("ends" .. i)
      pid = process.with_context({}):with_name("ends" .. i):spawn("app:ends", "app:host")
      local watched = process.monitor(i == 1 and "ends1" or pid)
      if topic == "kill" then process.terminate(pid) else process.send(pid, topic) end
      local e = process.events():receive()
      log[i] = {watched, e.kind, e.from == pid, e.result.value or false, e.error and e.error:kind() or false}
    end
    return log
    """
    code = code.replace('local pid = process.with_name("ends" .. i)\n', "local pid\n")
    assert everywhere(code, processes=ENDS) == [
        [True, "EXIT", True, "ok", False],
        [True, "EXIT", True, False, "Internal"],
        [True, "EXIT", True, False, "Canceled"],
    ]


def test_after_unmonitor_comes_nothing(function: Run) -> None:
    code = f"""
    local pid = process.spawn_monitored("app:ends", "app:host")
    local done = process.unmonitor(pid)
    process.send(pid, "ok")
    return {{done, {NOTHING}}}
    """
    assert function(code, processes=ENDS) == [True, True]


def test_after_unmonitor_of_a_workflow_comes_nothing(everywhere: Run) -> None:
    code = f"""
    local pid = process.spawn_monitored("app:flow", "app:worker")
    local done = process.unmonitor(pid)
    process.send(pid, "ok")
    return {{done, {NOTHING}}}
    """
    assert everywhere(code, workflows={"flow": ENDS["ends"]}) == [True, True]


def test_monitoring_what_is_not_there_is_not_found(everywhere: Run) -> None:
    code = """
    local kinds = {}
    for i, verb in ipairs({"monitor", "cancel", "terminate"}) do
      local ok, err = process[verb]("nobody")
      kinds[i] = ok == nil and err:kind()
      ok, err = process[verb](5)
      kinds[i + 3] = ok == nil and err:kind()
    end
    return kinds
    """
    assert everywhere(code) == ["NotFound"] * 3 + ["Invalid"] * 3


def test_options_default_to_no_trap_and_are_checked(everywhere: Run) -> None:
    code = """
    local before = process.get_options()
    before.trap_links = "changed"
    local again = process.get_options().trap_links
    local set = process.set_options({trap_links = true})
    local none, err = process.set_options({trap_links = 1})
    local _, missing = process.set_options()
    return {again, set, process.get_options().trap_links, none == nil, err:kind(), missing:kind()}
    """
    assert everywhere(code) == [False, True, True, True, "Invalid", "Invalid"]


def test_options_that_are_absent_stay_as_they_are(everywhere: Run) -> None:
    code = """
    local first = {process.set_options({upgradable = true}), process.get_options()}
    local none, both = process.set_options({}), process.set_options({trap_links = true, others = 1})
    local second = {none, both, process.get_options()}
    local _, slip = process.set_options({traplinks = false})
    local _, bad = process.set_options({upgradable = "yes", trap_links = false})
    return {first, second, process.get_options(), slip:kind() .. " " .. slip:message(), bad:kind()}
    """
    both = {"trap_links": True, "upgradable": True}
    first, second, last, slip, bad = everywhere(code)
    assert first == [True, {"trap_links": False, "upgradable": True}]
    assert second == [True, True, both]
    assert last == both
    assert slip.startswith("Invalid ")
    assert "trap_links" in slip
    assert bad == "Invalid"


LINKER = "process.spawn_linked('app:ends', 'app:host') return process.inbox():receive():topic()"


def test_an_abnormal_end_takes_linked_peers_with_it_in_both_directions(function: Run) -> None:
    code = """
    local log = {}
    for i, victim in ipairs({"child", "parent"}) do
      local child = process.spawn("app:waits", "app:host")
      process.monitor(child)
      local parent = process.spawn_monitored("app:links", "app:host", child)
      time.sleep("1ms")
      process.send(victim == "child" and child or parent, "fail")
      for _ = 1, 2 do
        local e = process.events():receive()
        log[#log + 1] = (e.from == child and "child " or "parent ") .. tostring(e.error ~= nil)
      end
    end
    return log
    """
    links = "process.link(input) if process.inbox():receive():topic() == 'fail' then error('mine') end"
    waits = "if process.inbox():receive():topic() == 'fail' then error('mine') end"
    assert function(code, processes={"links": links, "waits": waits}) == [
        "child true", "parent true", "parent true", "child true",
    ]  # fmt: skip


def test_a_normal_end_takes_nobody_with_it(function: Run) -> None:
    code = """
    local parent = process.spawn_monitored("app:links", "app:host")
    time.sleep("1m")
    process.send(parent, "still here")
    return process.events():receive().result.value
    """
    links = "process.spawn_linked('app:quick', 'app:host') return process.inbox():receive():topic()"
    assert function(code, processes={"links": links, "quick": "return 1"}) == "still here"


def test_trapped_links_give_link_down_with_the_error(function: Run) -> None:
    code = """
    process.set_options({trap_links = true})
    local pid = process.spawn_linked("app:ends", "app:host")
    process.send(pid, "fail")
    local e = process.events():receive()
    return {e.kind, e.from == pid, e.error:kind(), tostring(e.error):find("failed") ~= nil, e.result.error == e.error}
    """
    assert function(code, processes=ENDS) == ["LINK_DOWN", True, "Internal", True, True]


def test_a_link_and_a_monitor_each_tell_once(function: Run) -> None:
    code = """
    process.set_options({trap_links = true})
    local pid = process.spawn_linked_monitored("app:ends", "app:host")
    process.send(pid, "fail")
    local log = {}
    local quiet = time.after("1m")
    while true do
      local r = channel.select{process.events():case_receive(), quiet:case_receive()}
      if r.channel == quiet then break end
      log[#log + 1] = r.value.kind
    end
    table.sort(log)
    return log
    """
    assert function(code, processes=ENDS) == ["EXIT", "LINK_DOWN"]


def test_after_unlink_an_abnormal_end_is_nothing(function: Run) -> None:
    code = """
    local pid = process.spawn_linked("app:ends", "app:host")
    local other = process.spawn("app:ends", "app:host")
    local linked, done = process.link(other), process.unlink(other)
    local first = process.unlink(pid)
    process.send(pid, "fail") process.send(other, "fail")
    time.sleep("1m")
    return {linked, done, first, "alive"}
    """
    assert function(code, processes=ENDS) == [True, True, True, "alive"]


def test_linking_a_workflow_from_a_function_observes_its_normal_end(function: Run) -> None:
    code = """
    local pid = process.spawn("app:flow", "app:worker")
    local linked = process.link(pid)
    process.send(pid, "ok")
    local e = process.events():receive()
    return {linked, e.kind, e.from == pid, e.result.value}
    """
    assert function(code, workflows={"flow": ENDS["ends"]}) == [True, "EXIT", True, "ok"]


def test_a_linked_workflow_that_fails_takes_the_function_with_it(function: Run) -> None:
    code = """
    local pid = process.spawn_monitored("app:linker", "app:host")
    local e = process.events():receive()
    return {e.kind, e.error:message():find("failed") ~= nil}
    """
    linker = """
    local pid = process.spawn_linked("app:flow", "app:worker")
    process.send(pid, "fail")
    process.inbox():receive()
    """
    result = function(code, workflows={"flow": ENDS["ends"]}, processes={"linker": linker})
    assert result == ["EXIT", True]


def test_a_trapped_link_to_a_workflow_gives_link_down(function: Run) -> None:
    code = """
    process.set_options({trap_links = true})
    local pid = process.spawn_linked("app:flow", "app:worker")
    process.send(pid, "fail")
    local e = process.events():receive()
    return {e.kind, e.from == pid, e.error:kind()}
    """
    assert function(code, workflows={"flow": ENDS["ends"]}) == ["LINK_DOWN", True, "Internal"]


def test_links_are_not_supported_in_workflow_context(workflow: Run) -> None:
    code = """
    local told = {}
    for i, name in ipairs({"link", "unlink", "spawn_linked", "spawn_linked_monitored"}) do
      local none, err = process[name]("app:ends", "app:host")
      told[i] = none == nil and err:message():find("not supported in workflow context", 1, true) ~= nil
    end
    return told
    """
    assert workflow(code, processes=ENDS) == [True] * 4


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


def test_upgrade_to_what_is_not_there(everywhere: Run) -> None:
    code = """
    local _, err = process.exec("app:old", "app:host")
    return err:kind()
    """
    assert everywhere(code, processes={"old": "process.upgrade('app:none')"}) == "NotFound"


def test_upgrade_with_nil_starts_the_same_entry_over(everywhere: Run) -> None:
    code = "if (input or 0) < 3 then process.upgrade(nil, (input or 0) + 1) end return input"
    assert everywhere(code) == 3


# --- names --------------------------------------------------------------------------------------


def test_names_are_registered_looked_up_and_freed(everywhere: Run) -> None:
    code = """
    local r = process.registry
    local other = process.spawn("app:waits", "app:host")
    local taken = r.register("theirs", other)
    local mine = r.register("mine")
    local none, err = r.register("theirs")
    local _, unknown = r.lookup("nothing")
    return {taken, mine, none == nil, err:kind(), r.lookup("theirs") == other, r.lookup("mine") == process.pid(),
      unknown:kind(), r.unregister("mine"), r.unregister("mine")}
    """
    assert everywhere(code, processes={"waits": WAITS}) == [
        True, True, True, "AlreadyExists", True, True, "NotFound", True, False,
    ]  # fmt: skip


def test_names_go_when_their_process_ends(everywhere: Run) -> None:
    code = """
    local pid = process.with_context({}):with_name("given"):spawn_monitored("app:short", "app:host")
    process.events():receive()
    local kinds = {}
    for i, name in ipairs({"given", "own"}) do
      local _, err = process.registry.lookup(name)
      local _, sent = process.send(name, "t")
      kinds[i] = err:kind() .. sent:kind()
    end
    return kinds
    """
    assert (
        everywhere(code, processes={"short": "process.registry.register('own')"}) == ["NotFoundNotFound"] * 2
    )


def test_wrong_names_are_invalid(everywhere: Run) -> None:
    code = """
    local r, kinds = process.registry, {}
    for i, verb in ipairs({"register", "lookup", "unregister"}) do
      local none, err = r[verb]("")
      local none2, err2 = r[verb](5)
      kinds[i] = err:kind() .. err2:kind()
    end
    return kinds
    """
    assert everywhere(code) == ["InvalidInvalid"] * 3


def test_the_only_scope_of_names_is_local(everywhere: Run) -> None:
    code = """
    local r, kinds = process.registry, {}
    for _, call in ipairs({{"register", "n", process.pid()}, {"lookup", "n"}, {"unregister", "n"}}) do
      local verb, name, pid = table.unpack(call)
      local arguments = pid and {name, pid} or {name}
      arguments[#arguments + 1] = r.GLOBAL
      local none, err = r[verb](table.unpack(arguments))
      arguments[#arguments] = r.LOCAL
      kinds[#kinds + 1] = {err:kind(), (r[verb](table.unpack(arguments))) ~= nil, err:message():find("LOCAL") ~= nil}
    end
    return kinds
    """
    assert everywhere(code) == [["Invalid", True, True]] * 3


def test_the_name_of_a_running_process_reaches_it_again(everywhere: Run) -> None:
    code = """
    local named = process.with_context({}):with_name("single")
    local a = named:spawn("app:reads", "app:host", "first")
    process.monitor(a)
    local b = named:with_message("go", 7):spawn("app:reads", "app:host", "second")
    return {a == b, process.events():receive().result.value}
    """
    reads = "return {input, process.inbox():receive():payload():data()}"
    assert everywhere(code, processes={"reads": reads}) == [True, ["first", 7]]


@pytest.mark.parametrize("ids", ["same", "different"])
def test_the_name_of_a_running_workflow_reaches_it_again(everywhere: Run, ids: str) -> None:
    options = '{["workflow.id"] = id}' if ids == "different" else "{}"
    code = f"""
    local function named(id) return process.with_options({options}):with_name("single") end
    local a = named("one"):spawn_monitored("app:reads", "app:worker", "first")
    local b = named("two"):with_message("go", 7):spawn("app:reads", "app:worker", "second")
    return {{a == b, process.events():receive().result.value}}
    """
    reads = "return {input, process.inbox():receive():payload():data()}"
    assert everywhere(code, workflows={"reads": reads}) == [True, ["first", 7]]


# --- context ------------------------------------------------------------------------------------


def test_context_flows_through_functions_processes_and_workflows(tmp_path: Path) -> None:
    hops = {
        "functions": {
            "f1": "return process.exec('app:p', 'app:host')",
            "f2": "return process.exec('app:w', 'app:worker')",
            "end": "return ctx.all()",
        },
        "processes": {"p": "return funcs.call('app:f2')"},
        "workflows": {
            "w": "return require('workflow').call('app:w2')",
            "w2": "return funcs.new():with_context({step = 'last'}):call('app:end')",
        },
    }

    async def scenario() -> Any:
        async with TestApp(lua_app(tmp_path, **hops)) as app:  # type: ignore[arg-type]
            return await app.call("app:f1", context={"tenant": "acme", "step": "first"})

    assert asyncio.run(scenario()) == {"tenant": "acme", "step": "last"}


def test_context_survives_upgrade_and_continue_as_new(everywhere: Run) -> None:
    code = "if not input then process.upgrade(nil, true) end return ctx.all()"
    assert everywhere(code, context={"a": 1}) == {"a": 1}
