"""Monitors and links: how processes and workflows hear of one another's end (§6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Run = Callable[..., Any]
WAITS = "process.inbox():receive()"


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
