"""Attempts of functions: where they run, how they survive the loss of a worker, and how each settles (§7)."""

from __future__ import annotations

import asyncio
import functools
import sys
import textwrap
from typing import Any

from saros_memory.virtual_clock import VirtualClock

from ..suite import Case, behaviour, eventually, refused

NEAR = 'local near = funcs.new():with_options({["activity.local"] = true})\n'
PATIENCE_S = 45.0


def noted(module: str, name: str) -> list[Any]:
    """Return the items of a list in a Python module of the app; empty until the module is imported."""
    found: list[Any] = getattr(sys.modules.get(module), name, [])
    return found


def all_noted(module: str, name: str, wanted: set[str]) -> bool:
    """Return whether the list contains all of these items."""
    return wanted <= set(noted(module, name))


def python_parts(case: Case, module: str, *names: str) -> tuple[dict[str, Any], str]:
    """Return the parts of an app with the functions of a Python module, and the module's name."""
    name = f"conformance_{case.id().replace('-', '_')}"
    functions = {each: f"{name}:{each}" for each in names}
    return {"python": functions, "files": {f"{name}.py": textwrap.dedent(module)}}, name


@behaviour("§7", "each task queue has its own slots: a full one does not hold up the others")
async def calls_of_two_queues(case: Case) -> None:
    module = """
    import asyncio

    gate = asyncio.Event()
    running = most = 0

    async def hold(n):
        global running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        return n

    async def quick(n):
        return n

    async def release():
        gate.set()
        return most
    """
    main = """
    local held = {}
    for i = 1, 3 do held[i] = funcs.async("app:hold", i) end
    local sum = 0
    for i = 1, 20 do sum = sum + funcs.call("app:quick", i) end
    local most = funcs.call("app:release")
    for i = 1, 3 do sum = sum + held[i]:response():receive():data() end
    return {sum, most}
    """
    small = {"max_concurrent_activity_execution_size": 1}
    entries = (
        {"name": "small", "kind": "temporal.worker", "task_queue": "small", "worker_options": small},
        {"name": "third", "kind": "temporal.worker", "task_queue": "third"},
    )
    meta = {
        "hold": {"temporal": {"activity": {"worker": "app:small"}}},
        "release": {"temporal": {"activity": {"worker": "app:third"}}},
        "main": {"temporal": {"workflow": {"worker": "app:worker"}}},
    }
    parts, _ = python_parts(case, module, "hold", "quick", "release")
    result = await case.run(main, meta=meta, entries=entries, **parts)
    assert result == [216, 1]


@behaviour("§7", "a local call survives the loss of its worker: another worker tries it again")
async def local_call_outlives_its_worker(case: Case) -> None:
    module = """
    import asyncio
    import saros

    attempts = []

    async def work():
        attempts.append(saros.activity.info().attempt)
        if len(attempts) == 1:
            await asyncio.sleep(3600)
        return len(attempts)
    """
    parts, name = python_parts(case, module, "work")
    main = NEAR + 'return {near:call("app:work"), process.inbox():receive():payload():data()}'
    app = await case.app(main, worker_options={"worker_stop_timeout": "100ms"}, **parts)
    order = await app.start("app:main", id=case.id())
    await eventually(lambda: noted(name, "attempts") == [1], "the call has begun", PATIENCE_S)
    await app.app.stop_workers()
    await order.signal("go", "on")
    app.app.start_workers()
    assert await order.result(PATIENCE_S) == [2, "on"]
    assert len(noted(name, "attempts")) == 2


@behaviour("§7", "a local call ends with its workflow: it is not tried again and again")
async def local_call_ends_with_its_workflow(case: Case) -> None:
    module = """
    attempts = []

    def fails():
        attempts.append(1)
        raise ConnectionError("gone")
    """
    parts, name = python_parts(case, module, "fails")
    main = """
    local policy = {initial_interval = 50, maximum_interval = 50}
    local near = funcs.new():with_options({["activity.local"] = true, ["activity.retry_policy"] = policy})
    return near:call("app:fails")
    """
    app = await case.app(main, **parts)
    order = await app.start("app:main", id=case.id())
    await eventually(lambda: len(noted(name, "attempts")) > 3, "it is tried again", PATIENCE_S)
    await order.terminate("enough")

    async def quiet() -> bool:
        before = len(noted(name, "attempts"))
        await asyncio.sleep(1.0)
        return len(noted(name, "attempts")) == before

    await eventually(quiet, "it is no longer tried", PATIENCE_S)


@behaviour("§7", "local calls that never end block nothing else, and their history is written regularly")
async def local_calls_without_an_end(case: Case) -> None:
    main = NEAR + 'while true do near:call("app:echo", 1) end'
    app = await case.app(
        main, workflows={"other": 'return funcs.call("app:echo", 2)'}, functions={"echo": "return input"}
    )
    order = await app.start("app:main", id=case.id())
    assert await app.run("app:other", id=case.id(), timeout=PATIENCE_S) == 2

    async def recorded() -> bool:
        return (await order.describe()).history_length > 150

    await eventually(recorded, "its history grows", PATIENCE_S)
    await order.terminate("enough")
    assert (await refused(order.result(PATIENCE_S))).kind == "Canceled"


@behaviour(
    "§7",
    "whatever a function returns, raises or does wrong, its call ends with an error that names the mistake",
)
async def everything_settles(case: Case) -> None:
    module = """
    import asyncio, sys
    import saros

    class Mute(Exception):
        def __str__(self):
            raise ValueError("no text")

    def do(what):
        match what:
            case "complex": return complex(1)
            case "NaN": return {"n": float("nan")}
            case "surrogate": return chr(0xD800)
            case "SystemExit": sys.exit(3)
            case "KeyboardInterrupt": raise KeyboardInterrupt
            case "GeneratorExit": raise GeneratorExit
            case "BaseExceptionGroup": raise BaseExceptionGroup("two", [KeyboardInterrupt()])
            case "StopIteration": raise StopIteration
            case "CancelledError": raise asyncio.CancelledError
            case "Mute": raise Mute
            case "5": raise saros.Error(5, "Own")
            case "details": raise saros.Error("no", "Own", details={"n": float("nan")})

    async def soon(what):
        return do(what)
    """
    kinds = {
        **{"complex": "Invalid", "NaN": "Invalid", "surrogate": "Invalid", "5": "Own", "details": "Own"},
        **dict.fromkeys(
            ("SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseExceptionGroup"), "Internal"
        ),
        **dict.fromkeys(("StopIteration", "CancelledError", "Mute"), "Internal"),
    }
    main = """
    local ends = {}
    for _, how in ipairs({"app:do", "app:soon"}) do
      for _, near in ipairs({false, true}) do
        local caller = funcs.new():with_options({["activity.local"] = near})
        for _, what in ipairs(input) do
          local value, err = caller:call(how, what)
          if not err then return {what, value} end
          ends[what] = ends[what] or {}
          table.insert(ends[what], {err:kind(), tostring(err)})
        end
      end
    end
    return {ends, (funcs.call("app:echo", 1))}
    """
    parts, _ = python_parts(case, module, "do", "soon")
    ends, alive = await case.run(main, list(kinds), functions={"echo": "return input"}, **parts)
    assert alive == 1
    assert {what: {kind for kind, _ in found} for what, found in ends.items()} == {
        what: {kind} for what, kind in kinds.items()
    }
    for what, word in (("complex", "complex"), ("NaN", "value.n is NaN"), ("SystemExit", "SystemExit: 3")):
        assert all(word in text for _, text in ends[what]), ends[what]
    assert all("details.n is NaN" in text for _, text in ends["details"])


@behaviour("§7", "a Python function in a thread can check its cancellation, and its own outcome counts")
async def cancelled_thread(case: Case) -> None:
    module = """
    import time
    import saros

    begun = []

    def work():
        begun.append(1)
        while not saros.activity.is_canceled():
            saros.activity.heartbeat()
            time.sleep(0.05)
        time.sleep(0.2)
        return "cleaned up"
    """
    main = """
    local patient = funcs.new():with_options({
      ["activity.wait_for_cancellation"] = true, ["activity.heartbeat_timeout"] = "20s",
    })
    return {patient:call("app:work")}
    """
    parts, name = python_parts(case, module, "work")
    app = await case.app(main, **parts)
    order = await app.start("app:main", id=case.id())
    await eventually(lambda: noted(name, "begun") == [1], "it has begun", PATIENCE_S)
    await order.cancel()
    assert await order.result(PATIENCE_S) == ["cleaned up"]


@behaviour(
    "§7", "calls made by an attempt end with it, whatever ends it: a timeout, a cancellation, a lost run"
)
async def calls_end_with_their_attempt(case: Case) -> None:
    module = """
    import asyncio, time
    import saros

    begun, ended = [], []

    def work(how):
        begun.append(how + " thread")
        while not saros.activity.is_canceled():
            time.sleep(0.02)
        ended.append(how + " thread")

    async def soon(how):
        begun.append(how + " async")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(how + " async")
    """
    outer = """
    local activity = require("activity")
    coroutine.spawn(function() while true do activity.heartbeat() time.sleep("100ms") end end)
    local call = funcs.async("app:inner", input)
    return funcs.call("app:soon", input)
    """
    main = """
    local limits = {["activity.heartbeat_timeout"] = "20s", ["activity.retry_policy"] = {maximum_attempts = 1}}
    if input == "limit" then limits["activity.start_to_close_timeout"] = "2s" end
    local _, err = funcs.new():with_options(limits):call("app:outer", input)
    return err and err:kind()
    """
    parts, name = python_parts(case, module, "work", "soon")
    functions = {"outer": outer, "inner": 'return funcs.call("app:work", input)'}
    app = await case.app(main, functions=functions, **parts)
    # Virtual time stands still while Python works, so no time limit would be reached.
    timeless = isinstance(app.app.clock, VirtualClock)
    for how in ("cancel", "terminate") if timeless else ("limit", "cancel", "terminate"):
        both = {f"{how} thread", f"{how} async"}
        order = await app.start("app:main", how, id=case.id())
        await eventually(functools.partial(all_noted, name, "begun", both), f"{how}: both run", PATIENCE_S)
        if how == "cancel":
            await order.cancel()
        elif how == "terminate":
            await order.terminate()
        await eventually(
            functools.partial(all_noted, name, "ended", both), f"{how}: both have ended", PATIENCE_S
        )
