"""The fixture `saros_app`, and the page that explains it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

Runner = Callable[..., pytest.RunResult]
ROOT = Path(__file__).parents[2]
pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Runs the tests of the directory in a process of its own, with the plugin even where it is not installed."""
    monkeypatch.setenv("ORDERS_ADDR", "127.0.0.1:0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path))
    installed = any(point.name == "saros" for point in entry_points(group="pytest11"))
    plugin = () if installed else ("-p", "saros.testing.pytest_plugin")

    def runner(*options: str) -> pytest.RunResult:
        found = options or ("-p", "no:asyncio")
        return pytester.runpytest_subprocess(*plugin, *found, "-W", "error", "-p", "no:cacheprovider")

    return runner


def test_the_worked_example_runs_as_it_is_written(pytester: pytest.Pytester, run: Runner) -> None:
    page = (ROOT / "docs" / "pytest.md").read_text("utf-8")
    (example,) = re.findall(r"```python[^\n]*\n(.*?)```", page, re.DOTALL)
    shutil.copytree(ROOT / "examples" / "orders", pytester.path / "examples" / "orders")
    pytester.makepyfile(example)
    done = run()
    done.assert_outcomes(passed=example.count("def test_"))


def test_several_apps_and_what_they_say(pytester: pytest.Pytester, run: Runner) -> None:
    pytester.makepyfile(
        '''
        import pytest
        import saros
        from saros.testing import lua_app

        MAIN = """
        local w, n = require("workflow"), 0
        w.on_query("n", function() return n end)
        w.on_update("add", function(k) n = n + k return n end)
        local m = process.inbox():receive()
        if m:topic() == "fail" then return nil, errors.new("Bad", "x") end
        time.sleep("1h")
        return n
        """

        def test_all(saros_app, tmp_path):
            lua_app(tmp_path, workflows={"main": MAIN})
            app, other = saros_app(tmp_path), saros_app(tmp_path, workers=False)
            order = app.start("app:main", id="one")
            assert order.update("add", 4) == 4
            assert app.get("one").query("n") == 4
            order.signal("go")
            before = app.app.app.clock.now()
            app.pass_time("30m")
            assert order.describe().status == "running"
            assert app.app.app.clock.now() - before == 30 * 60 * 10**9
            assert order.result() == 4
            assert [line.name for line in order.history()][0] == "ExecutionStarted"
            assert order.replay() > 3
            waiting = other.start("app:main")
            waiting.cancel("why")
            waiting.terminate()
            bad = app.start("app:main")
            bad.signal("fail")
            with pytest.raises(saros.Error) as caught:
                bad.result()
            assert caught.value.kind == "Bad"
        '''
    )
    run().assert_outcomes(passed=1)


SLEEPS = """
MAIN = '''
local w, n = require("workflow"), 0
w.on_query("n", function() return n end)
w.on_update("add", function(k) n = n + k return n end)
w.on_update("slow", function() time.sleep("1h") n = n + 1000 return n end)
coroutine.spawn(function()
  local inbox = process.inbox()
  while true do
    local message = inbox:receive()
    n = n + message:payload():data()
  end
end)
for _ = 1, input or 5 do time.sleep("100h") n = n + 100 end
return n
'''
HOUR = 3_600 * 10**9
"""


def test_time_passes_only_where_it_is_told_to(pytester: pytest.Pytester, run: Runner) -> None:
    pytester.makepyfile(
        SLEEPS
        + """
import pytest
import saros
from saros.testing import lua_app
from saros.testing.pytest_plugin import SarosApp

@pytest.fixture
def app(saros_app: SarosApp, tmp_path):
    return saros_app(lua_app(tmp_path, workflows={"main": MAIN}, functions={"naps": 'time.sleep("2h") return 1'}))

def test_looks_do_not_move_it(app):
    clock = app.app.app.clock
    order = app.start("app:main")
    before = clock.now()
    app.pass_time("1h")
    assert [order.query("n") for _ in range(6)] == [0] * 6
    for number in range(1, 4):
        order.signal("add", 1)
        assert order.query("n") == 2 * number - 1
        assert order.update("add", 1) == 2 * number
    for _ in range(3):
        order.describe(), order.history(), order.replay(), app.get(order.id).query("n"), app.start("app:main")
    assert clock.now() - before == HOUR

def test_pass_time_is_exact(app):
    clock = app.app.app.clock
    before = clock.now()
    order = app.start("app:main")
    app.pass_time("100h")
    assert (order.query("n"), clock.now() - before) == (100, 100 * HOUR)
    app.pass_time("99h59m59s999ms")
    assert order.query("n") == 100
    app.pass_time(1)
    assert (order.query("n"), clock.now() - before) == (200, 200 * HOUR)
    app.pass_time(0)
    assert clock.now() - before == 200 * HOUR
    app.pass_time("250h")
    assert order.query("n") == 400
    assert order.result() == 500
    assert clock.now() - before == 500 * HOUR
    order.describe()
    assert clock.now() - before == 500 * HOUR
    assert app.call("app:naps") == 1
    assert clock.now() - before == 502 * HOUR
    with pytest.raises(saros.Error, match="only moves forward"):
        app.pass_time("-1h")

def test_an_update_that_waits(app):
    clock = app.app.app.clock
    order = app.start("app:main")
    before = clock.now()
    with pytest.raises(saros.Error, match="waits for virtual time") as caught:
        order.update("slow")
    assert caught.value.kind == "Timeout"
    assert (clock.now() - before, order.query("n")) == (0, 0)
    app.pass_time("1h")
    assert order.query("n") == 1000

def test_a_function_that_waits_for_the_test(saros_app, tmp_path):
    import asyncio
    go = []
    async def fake():
        while not go:
            await asyncio.sleep(0.01)
        return "went"
    path = lua_app(tmp_path, workflows={"main": 'return (funcs.call("app:slow"))'}, functions={"slow": ""})
    app = saros_app(path, fakes={"app:slow": fake})
    order = app.start("app:main")
    assert order.describe().status == "running"
    go.append(1)
    assert order.result() == "went"
"""
    )
    run().assert_outcomes(passed=4)


@pytest.mark.parametrize("kind", ["asyncio", "anyio"])
def test_beside_async_tests(kind: str, pytester: pytest.Pytester, run: Runner) -> None:
    if kind == "asyncio":
        pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = module\n")
    else:
        pytester.makeconftest(
            "import pytest\n@pytest.fixture(scope='module')\ndef anyio_backend(): return 'asyncio'"
        )
    pytester.makepyfile(
        SLEEPS
        + f"""
import asyncio
import pytest
from saros.testing import TestApp, lua_app
from saros.testing.pytest_plugin import RunningApp, SarosApp

pytestmark = [] if {kind!r} == "asyncio" else [pytest.mark.anyio]
seen = []

async def test_before(tmp_path):
    seen.append(asyncio.get_running_loop())
    async with TestApp(lua_app(tmp_path, workflows={{"main": MAIN}})) as app:
        before = app.app.clock.now()
        with app.hold_time():
            order = await app.start("app:main", 1)
            await app.pass_time("1h")
            assert (app.app.clock.now() - before, await order.query("n")) == (HOUR, 0)
        assert await order.result(timeout=90) == 100

def test_one(saros_app: SarosApp, tmp_path):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app: RunningApp = saros_app(lua_app(tmp_path, workflows={{"main": MAIN}}))
    assert app.run("app:main", 1) == 100
    assert asyncio.get_event_loop() is loop
    seen.append(loop)

def test_loop_after():
    assert asyncio.get_event_loop() is seen[-1]
    seen[-1].close()
    asyncio.set_event_loop(None)

async def test_async_is_refused(saros_app, tmp_path):
    path = lua_app(tmp_path, workflows={{"main": MAIN}})
    with pytest.raises(RuntimeError, match="saros_app is for tests without async; .*saros.testing.TestApp"):
        saros_app(path)

@pytest.fixture
def opened(saros_app, tmp_path):
    return saros_app(lua_app(tmp_path, workflows={{"main": MAIN}}))

async def test_async_with_an_opened_app_is_refused(opened):
    for use in (lambda: opened.start("app:main"), lambda: opened.get("x").result(), lambda: opened.pass_time("1h")):
        with pytest.raises(RuntimeError, match="without async"):
            use()
"""
    )
    run("-p", "asyncio" if kind == "asyncio" else "no:asyncio").assert_outcomes(passed=5)
