"""Changes of the code: versions, non-determinism and syntax errors (§8)."""

from __future__ import annotations

import asyncio

from saros.interfaces.insight import PARKED

from ...apps import lua_app
from ...cases import TestApp
from ..suite import Case, behaviour, eventually
from .helpers import has, is_listed, order_result, problem_of, shared, started, stop_workers


@behaviour("§8", "a new execution gets the highest version at every call")
async def version_new(case: Case) -> None:
    main = """
    local w = require("workflow")
    local first = w.version("change", 1, 3)
    time.sleep("10ms")
    return {first, w.version("change", 1, 3), w.version("other", 1, 1)}
    """
    assert await case.run(main) == [3, 3, 1]


OLD = 'process.inbox():receive() return "old"'
NEW = """
process.inbox():receive()
local v = require("workflow").version("change", 1, 2)
if v == 1 then return "old " .. v end
return "new " .. v
"""
EARLY = """
local v = require("workflow").version("early", 1, 2)
process.inbox():receive()
return v
"""


@behaviour("§8", "a history that passed the point before the call existed gets the lowest version")
async def version_old(case: Case) -> None:
    path = case.path / "versions"
    id = case.id()
    lua_app(path, workflows={"main": OLD})
    async with TestApp(path, shared(case)) as app:
        order = await app.start("app:main", id=id)
        await eventually(lambda: started(app, id), "the workflow waits")
        lua_app(path, workflows={"main": EARLY})
        async with TestApp(path, shared(case), workers=False) as client:
            await asyncio.sleep(0)
            await stop_workers(app)
            await client.app.get(id).signal("go")
            client.app.start_workers()
            assert await order_result(client, id) == 1
        assert order.id == id


@behaviour("§8", "a change met after the replay point gets the highest version")
async def version_later(case: Case) -> None:
    path = case.path / "versions"
    id = case.id()
    lua_app(path, workflows={"main": OLD})
    async with TestApp(path, shared(case)) as app:
        await app.start("app:main", id=id)
        await eventually(lambda: started(app, id), "the workflow waits")
        lua_app(path, workflows={"main": NEW})
        async with TestApp(path, shared(case), workers=False) as client:
            await stop_workers(app)
            await client.app.get(id).signal("go")
            client.app.start_workers()
            assert await order_result(client, id) == "new 2"


@behaviour(
    "§8", "a recorded version outside the supported range parks the task; the problem names all three numbers"
)
async def version_unsupported(case: Case) -> None:
    path = case.path / "versions"
    id = case.id()
    lua_app(path, workflows={"main": EARLY})
    async with TestApp(path, shared(case)) as app:
        await app.start("app:main", id=id)
        await eventually(lambda: started(app, id), "the workflow waits")
        lua_app(path, workflows={"main": EARLY.replace("1, 2", "5, 7")})
        async with TestApp(path, shared(case), workers=False) as client:
            await stop_workers(app)
            await client.app.get(id).signal("go")
            client.app.start_workers()
            problem = await problem_of(client, id)
            assert all(text in problem for text in ("2", "5", "7", "early")), problem
            lua_app(path, workflows={"main": EARLY})
            assert await order_result(client, id) == 2


@behaviour("design 3", "code that diverges from history parks the execution until the code is repaired")
async def non_determinism(case: Case) -> None:
    path = case.path / "versions"
    id = case.id()
    good = 'funcs.call("app:echo", 1) process.inbox():receive() return funcs.call("app:echo", 2)'
    functions = {"echo": "return input"}
    lua_app(path, workflows={"main": good}, functions=functions)
    async with TestApp(path, shared(case)) as app:
        await app.start("app:main", id=id)
        await eventually(lambda: has(app, id, "ActivityCompleted"), "the first call is done")
        lua_app(path, workflows={"main": 'time.sleep("1s") return 0'}, functions=functions)
        async with TestApp(path, shared(case), workers=False) as client:
            await stop_workers(app)
            await client.app.get(id).signal("go")
            client.app.start_workers()
            problem = await problem_of(client, id)
            assert "app:echo" in problem or "activity" in problem.lower(), problem
            lua_app(path, workflows={"main": good}, functions=functions)
            assert await order_result(client, id) == 2


@behaviour("design 3", "a syntax error parks the execution; it does not fail")
async def code_error(case: Case) -> None:
    path = case.path / "broken"
    id = case.id()
    lua_app(path, workflows={"main": "return 1"})
    (path / "main.lua").write_text("return { main = function( end }")
    async with TestApp(path, case.url) as app:
        await app.start("app:main", id=id)
        problem = await problem_of(app, id)
        assert "main.lua:1" in problem, problem
        await eventually(lambda: is_listed(app.app, id, PARKED), "it is among the parked ones")
        lua_app(path, workflows={"main": "return 1"})
        assert await order_result(app, id) == 1

        async def repaired() -> bool:
            return not await is_listed(app.app, id, PARKED)

        await eventually(repaired, "it no longer is")
