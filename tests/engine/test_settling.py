"""Every call ends at once, no matter what its function returns, raises or does, and the worker survives."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import saros
from saros.model.errors import INTERNAL, INVALID
from saros_testing import lua_app

Deed = Callable[[], Any]

THINGS = types.ModuleType("settling_things")
"""What the app's functions do, by number."""
THINGS.deeds = {}  # type: ignore[attr-defined]
NUMBERS = itertools.count()

MODULE = """
import asyncio
import settling_things

def sync(number):
    return settling_things.deeds[number]()

async def later(number):
    await asyncio.sleep(0)
    return settling_things.deeds[number]()

def soon(number):
    return later(number)
"""

MAIN = """
local once = funcs.new():with_options({
  ["activity.local"] = input.near, ["activity.retry_policy"] = {maximum_attempts = 1},
})
local value, err = once:call("app:" .. input.how, input.number)
if err then return {kind = err:kind(), message = err:message()} end
return {kind = "ok"}
"""


class Odd(Mapping[str, Any]):
    """A mapping that cannot be read."""

    def __getitem__(self, key: str) -> Any:
        raise LookupError("not here")

    def __iter__(self) -> Iterator[str]:
        yield "key"

    def __len__(self) -> int:
        return 1


class Mute(Exception):
    def __str__(self) -> str:
        raise SystemExit(4)


class Trap(Mapping[str, Any]):
    """A mapping whose own code ends the process."""

    def __getitem__(self, key: str) -> Any:
        raise SystemExit(5)

    def __iter__(self) -> Iterator[str]:
        raise SystemExit(5)

    def __len__(self) -> int:
        return 1


class Nameless(type):
    @property
    def __name__(cls) -> str:
        raise RuntimeError("no name")


class Faceless(Exception, metaclass=Nameless):
    pass


class Liar(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("no class")


class Hollow(saros.Error):
    def __init__(self) -> None:
        pass


def raising(raised: BaseException) -> Deed:
    def deed() -> Any:
        raise raised

    return deed


def giving(value: Any) -> Deed:
    return lambda: value


def cycle() -> Any:
    found: list[Any] = []
    found.append(found)
    return found


STRANGE = st.sampled_from(
    [
        float("nan"),
        float("inf"),
        "\ud800",
        {"\ud800": 1},
        {1: 2},
        2**64,
        object(),
        {1, 2},
        Odd(),
        Trap(),
        cycle(),
        len,
        type,
        (item for item in ()),
        b"\xff",
        range(3),
        saros.Error("in a value", details=float("nan")),
        NotImplemented,
    ]
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
VALUES = st.recursive(
    PLAIN | STRANGE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
RAISED = st.one_of(
    st.sampled_from(
        [
            GeneratorExit(),
            KeyboardInterrupt(),
            SystemExit(3),
            SystemExit(),
            StopIteration(1),
            StopAsyncIteration(),
            asyncio.CancelledError(),
            BaseExceptionGroup("several", [KeyboardInterrupt()]),
            ExceptionGroup("several", [ValueError("one")]),
            TimeoutError(),
            ConnectionError("gone"),
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
            RecursionError(),
            MemoryError(),
            Mute(),
            Hollow(),
            BaseException("bare"),
            ValueError("\ud800\x00"),
        ]
    ),
    st.builds(saros.Error, VALUES, VALUES, details=VALUES, retryable=VALUES, stack=VALUES, context=VALUES),
    st.builds(lambda details: saros.Error("no", "Own", details=details), VALUES),
)
DEEDS = VALUES.map(giving) | RAISED.map(raising)
CASES = st.tuples(DEEDS, st.sampled_from(["sync", "later", "soon"]), st.booleans())


@pytest.fixture(autouse=True)
def things(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "settling_things", THINGS)


def python_app(path: Path) -> Path:
    module = f"settling_{path.name}".replace("-", "_")
    return lua_app(
        path,
        workflows={"main": MAIN},
        python={each: f"{module}:{each}" for each in ("sync", "later", "soon")},
        files={f"{module}.py": MODULE},
    )


async def outcome_of(opened: saros.App, deed: Deed, how: str, near: bool = False) -> dict[str, Any]:
    number = next(NUMBERS)
    THINGS.deeds[number] = deed
    order = await opened.start("app:main", {"number": number, "how": how, "near": near})
    result: dict[str, Any] = await order.result(90)
    return result


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(cases=st.lists(CASES, min_size=20, max_size=40))
def test_every_call_of_a_python_function_settles(tmp_path: Path, cases: list[tuple[Deed, str, bool]]) -> None:
    path = python_app(tmp_path / "app")

    async def scenario() -> None:
        async with saros.open(path) as opened:
            ends = await asyncio.gather(*[outcome_of(opened, *case) for case in cases])
            assert all(end["kind"] == "ok" or end["message"] for end in ends)
            for near in (False, True):
                assert await outcome_of(opened, giving(1), "sync", near) == {"kind": "ok"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("raised", "kind", "text"),
    [
        (SystemExit(3), INTERNAL, "SystemExit: 3"),
        (KeyboardInterrupt(), INTERNAL, "KeyboardInterrupt"),
        (GeneratorExit(), INTERNAL, "GeneratorExit"),
        (asyncio.CancelledError(), INTERNAL, "CancelledError"),
        (Mute(), INTERNAL, "Mute"),
        (Faceless(), INTERNAL, "Faceless cannot be read"),
        (Liar(), INTERNAL, "Liar"),
        (saros.Error("no", "Own", details=Trap()), "Own", "SystemExit: 5"),
        (saros.Error(5), "", "5"),  # type: ignore[arg-type]
        (saros.Error("no", "Own", details={"at": float("nan")}), "Own", "no (details.at is NaN"),
    ],
    ids=lambda item: type.__dict__["__name__"].__get__(type(item)),
)
@pytest.mark.parametrize("how", ["sync", "later"])
def test_an_outcome_says_what_was_wrong(
    tmp_path: Path, raised: BaseException, kind: str, text: str, how: str
) -> None:
    path = python_app(tmp_path / "app")

    async def scenario() -> None:
        async with saros.open(path) as opened:
            end = await outcome_of(opened, raising(raised), how)
            assert end["kind"] == kind
            assert text in end["message"]
            number = next(NUMBERS)
            THINGS.deeds[number] = raising(raised)
            with pytest.raises(saros.Error) as caught:  # the same without a workflow
                await opened.call(f"app:{how}", number)
            assert text in str(caught.value)

    asyncio.run(scenario())


CHILD = """
import asyncio
import settling_things

async def child(number):
    await asyncio.sleep(0)
    return settling_things.deeds[number]()

async def task(number):
    return await asyncio.create_task(child(number))

async def forgotten(number):
    asyncio.create_task(child(number))
    await asyncio.sleep(0.01)

async def several(number):
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))
        group.create_task(task(number))

async def any_io(number):
    import anyio
    async with anyio.create_task_group() as group:
        group.start_soon(child, number)

async def gathered(number):
    await asyncio.gather(asyncio.sleep(60), child(number))

def soon(number):
    return task(number)
"""


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt()], ids=["exit", "interrupt"])
@pytest.mark.parametrize("owner", ["none", "own", "eager"])
def test_a_task_that_a_function_starts_does_not_end_the_worker(
    tmp_path: Path, raised: BaseException, owner: str
) -> None:
    ways = ("task", "forgotten", "several", "any_io", "gathered", "soon")
    path = lua_app(
        tmp_path / "app",
        workflows={"main": MAIN},
        python={way: f"settling_children:{way}" for way in ways},
        files={"settling_children.py": CHILD},
    )
    made: list[Any] = []

    def own(loop: Any, work: Any, **options: Any) -> Any:
        made.append(work)
        return asyncio.Task(work, loop=loop, **options)

    factory = {"none": None, "own": own, "eager": getattr(asyncio, "eager_task_factory", None)}[owner]

    async def scenario() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        async with saros.open(path) as opened:
            for way in ways:
                end = await outcome_of(opened, raising(raised), way)
                if way == "forgotten":
                    assert end == {"kind": "ok"}
                else:
                    assert end["kind"] == INTERNAL, way
                    assert type(raised).__name__ in end["message"]
        assert bool(made) == (owner == "own")

    asyncio.run(scenario())


LUA = {
    "function": "return function() end",
    "thread": "return coroutine.create(function() end)",
    "nan": "return 0/0",
    "infinite": "return {n = math.huge}",
    "cycle": "local t = {} t.t = t return t",
    "sparse": "return {[1] = 1, [5] = 2}",
    "bytes": 'return "\\xff\\xfe"',
    "raised nil": "error(nil)",
    "raised table": "error({code = 1})",
    "raised function": "error(function() end)",
    "raised bytes": 'error("\\xff")',
    "mute": 'error(setmetatable({}, {__tostring = function() error("no") end}))',
    "text of a text": "error(setmetatable({}, {__tostring = function() return 5 end}))",
    "details": 'return nil, errors.new{message = "no", details = {n = 0/0}}',
    "function in details": 'return nil, errors.new{message = "no", details = {f = print}}',
    "message of bytes": 'return nil, errors.new("\\xff")',
    "number as error": "return nil, 5",
    "table as error": "return nil, {}",
    "loop": "while true do end",
    "memory": 'local t = {} while true do t[#t + 1] = ("x"):rep(100000) .. #t end',
    "deep": "local t = {} for _ = 1, 500 do t = {t} end return t",
    "stack": "local function f() return 1 + f() end return f()",
    "heartbeat": 'require("activity").heartbeat({n = 0/0}) return 1',
    "heartbeat of a function": 'require("activity").heartbeat(print) return 1',
    "dead": "channel.new():receive()",
}


@pytest.mark.parametrize("name", LUA)
def test_every_call_of_a_lua_function_settles(tmp_path: Path, name: str) -> None:
    main = """
    local limits = {["activity.retry_policy"] = {maximum_attempts = 1}, ["activity.start_to_close_timeout"] = 4000}
    local near = funcs.new():with_options(limits):with_options({["activity.local"] = true})
    local ends = {}
    for i, caller in ipairs({funcs.new():with_options(limits), near}) do
      local _, err = caller:call("app:odd")
      ends[i] = err and #err:message() > 0 or not err
    end
    return {ends, (funcs.call("app:echo", 1))}
    """
    path = lua_app(
        tmp_path / "app", workflows={"main": main}, functions={"odd": LUA[name], "echo": "return input"}
    )

    async def scenario() -> None:
        async with saros.open(path) as opened:
            order = await opened.start("app:main")
            assert await order.result(90) == [[True, True], 1]
            if name != "dead":  # without a time limit, it would wait forever
                with contextlib.suppress(saros.Error):
                    await opened.call("app:odd")

    asyncio.run(scenario())


@pytest.mark.parametrize("near", [False, True])
def test_a_result_that_no_program_could_take_is_refused(tmp_path: Path, near: bool) -> None:
    path = python_app(tmp_path / "app")

    async def scenario() -> None:
        async with saros.open(path) as opened:
            end = await outcome_of(opened, lambda: "x" * 17_000_000, "sync", near)
            assert end["kind"] == INVALID
            assert "17,000,002 bytes" in end["message"]
            assert await outcome_of(opened, lambda: "x" * 16_000_000, "sync", near) == {"kind": "ok"}

    asyncio.run(scenario())
