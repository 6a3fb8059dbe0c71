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

Runner = Callable[[], pytest.RunResult]
ROOT = Path(__file__).parents[2]
pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Runs the tests of the directory in a process of its own, with the plugin even where it is not installed."""
    monkeypatch.setenv("ORDERS_ADDR", "127.0.0.1:0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path))
    installed = any(point.name == "saros" for point in entry_points(group="pytest11"))
    plugin = () if installed else ("-p", "saros.testing.pytest_plugin")
    return lambda: pytester.runpytest_subprocess(*plugin, "-W", "error", "-p", "no:cacheprovider")


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
            assert app.app.app.clock.now() - before >= 30 * 60 * 10**9
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
