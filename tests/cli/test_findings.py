"""What `saros check` finds by reading code: all errors in one run, and no false ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
INDEX = """
namespace: app
entries:
- {name: flow, kind: workflow.lua, source: file://flow.lua, modules: [funcs, time], imports: {util: util}}
- {name: fn, kind: function.lua, source: file://fn.lua}
- {name: util, kind: library.lua, source: file://util.lua}
"""
FINE = {
    "_index.yaml": INDEX,
    "flow.lua": "return function() end",
    "fn.lua": "return function() end",
    "util.lua": "return {}",
}


def found(result: Any) -> list[tuple[str, str]]:
    """Return the message and the hint of each error."""
    told: list[tuple[str, str]] = []
    for line in result.err.splitlines():
        word, _, text = line.partition(": ")
        if word == "error":
            told.append((text, ""))
        elif word == "hint":
            told[-1] = (told[-1][0], text)
    return told


WRONG = {
    "funcs.cal('app:fn')": ("funcs has no field cal", 'did you mean "call"?'),
    "return errors.INVALD": ("errors has no field INVALD", '"INVALID"'),
    "string.trim(' x')": ("string has no field trim", ""),
    "local t = require('time') t.slep(1)": ("time has no field slep", '"sleep"'),
    "funcs.call('app:fm')": ("the app has no entry app:fm", '"app:fn"'),
    "funcs.async('app:flow')": ("app:flow is a workflow.lua, which cannot be called as a function", ""),
    "process.spawn('app:gone', 'w')": ("the app has no entry app:gone", ""),
    "helper()": ("the global helper is never assigned", "only below the line that declares it"),
    "return config.port": ("the global config is never assigned", ""),
    "io.open('x')": ("io is not available: do it in an activity", ""),
    "os.execute('ls')": ("os.execute is not available: do it in an activity", ""),
    "return debug.traceback()": ("debug is not available", ""),
    "return json.encode({})": ('module "json" is not listed by app:flow', "add it to the entry's modules"),
    "local json = require('json')": ('module "json" is not listed by app:flow', ""),
    "local x = require('http_client')": ('module "http_client" is not listed by app:flow', ""),
}


@pytest.mark.parametrize("code", WRONG)
def test_code_that_would_fail_is_reported(cli: Any, write: Any, code: str) -> None:
    source = f"local function main()\n  {code}\nend\nlocal function helper() end\nreturn {{main = main}}"
    result = cli("check", write({**FINE, "flow.lua": source}))
    assert result.status == 1
    [(message, hint)] = found(result)
    assert message.startswith(f"app:flow: {WRONG[code][0]}")
    assert message.endswith("flow.lua:2)")
    assert WRONG[code][1] in hint


def test_all_errors_of_an_entry_are_reported_in_one_run(cli: Any, write: Any) -> None:
    source = "\n".join(["local first = io", "return function()", *list(WRONG)[:6], "end"]).replace(
        "return errors", "_ = errors"
    )
    index = (
        INDEX.replace("[funcs, time]", "[funcs, time, http_client]") + "- {name: more, kind: function.lua}\n"
    )
    result = cli("check", write({**FINE, "_index.yaml": index, "flow.lua": source}))
    lines = [message.rsplit(":", 1)[1] for message, _ in found(result)]
    assert lines == ["4)", "7)", "1)", "3)", "4)", "5)", "6)", "8)"]


def test_a_workflow_may_not_list_a_module_that_is_not_for_workflows(cli: Any, write: Any) -> None:
    result = cli("check", write({**FINE, "_index.yaml": INDEX.replace("[funcs, time]", "[funcs, env]")}))
    [(message, hint)] = found(result)
    assert message.startswith('app:flow: the module "env" is not for workflows')
    assert "_index.yaml:4" in message
    assert "read it in a function" in hint


RIGHT = [
    "function string.trim(s) return s end return string.trim('x')",
    "if json then return json.encode({}) end",
    "local f = math.log2 or math.log return f(2)",
    "if type(math.frobnicate) == 'function' then math.frobnicate() end",
    "counter = (counter or 0) + 1 return counter",
    "helper = function() end helper()",
    "local funcs = {cal = print} funcs.cal()",
    "local time = require('time') time = {} time.slep()",
    "local function f(funcs) return funcs.cal() end return f({cal = print})",
    "for _, errors in ipairs({}) do print(errors.INVALD) end",
    "local t = {io = 1, helper = 2} return t.io, t.helper, t.json",
    "_G.made = function() end made()",
    "return util.anything, util.go()",
    "local executor = funcs.new():with_options({['activity.task_queue'] = 'q'}) executor:call('other:fn')",
    "funcs.call(input.id) funcs.call('app:' .. 'x')",
    "shared() return shared.x",
    "goto done ::done::",
    "repeat local json = {} until json.encode == nil",
    "local a <const>, b <close> = 1, nil return a",
    "return ('x'):upper(), #'y', {[1] = 2, ['io'] = 3, 4; 5}",
    "logger = {} function logger:info() return self.x end logger:info()",
]


@pytest.mark.parametrize("code", RIGHT)
def test_code_that_may_be_right_is_not_reported(cli: Any, write: Any, code: str) -> None:
    source = (
        f"return function(input)\n  do {code} end\nend"
        if "goto" not in code
        else f"return function() {code} end"
    )
    files = {**FINE, "flow.lua": source, "util.lua": "shared = {} return {go = function() end}"}
    result = cli("check", write(files))
    assert (result.status, result.err) == (0, "")


def test_entries_that_share_a_file_share_what_they_list(cli: Any, write: Any) -> None:
    index = """
    namespace: app
    entries:
    - {name: a, kind: workflow.lua, source: file://both.lua, method: a, modules: [time]}
    - {name: b, kind: function.lua, source: file://both.lua, method: b, modules: [env]}
    """
    both = """
    return {
      a = function() return require("time").now(), time.now() end,
      b = function() return require("env").get("X") end,
    }
    """
    result = cli("check", write({"_index.yaml": index, "both.lua": both}))
    assert (result.status, result.err) == (0, "")


@pytest.mark.parametrize("app", ["examples/orders", "plugins/cli/saros_cli/template"])
def test_our_own_apps_are_fine(cli: Any, app: str) -> None:
    result = cli("check", str(ROOT / app))
    assert (result.status, result.err) == (0, "")


def test_the_top_level_of_a_source_is_checked_up_to_its_first_call(cli: Any, write: Any) -> None:
    calls = "local n = require('funcs').call('app:fn')\nerror('never reached')"
    assert cli("check", write({**FINE, "flow.lua": calls})).status == 0
    early = "local n = missing.field\nrequire('funcs').call('app:fn')"
    result = cli("check", write({**FINE, "flow.lua": early}))
    assert result.status == 1
    assert "flow.lua:1" in result.err


@pytest.mark.parametrize("name", ["io", "debug", "package"])
def test_listing_an_absent_global_is_reported_like_using_it(cli: Any, write: Any, name: str) -> None:
    used = found(cli("check", write({**FINE, "flow.lua": f"local x = {name}.x return function() end"})))
    listed = found(cli("check", write({**FINE, "_index.yaml": INDEX.replace("[funcs, time]", f"[{name}]")})))
    assert (
        listed[0][0].partition(" (../")[0]
        == f"app:flow: {used[0][0].partition(': ')[2].partition(' (app')[0]}"
    )
