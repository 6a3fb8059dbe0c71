"""The console over HTTP: pages, actions, and what it refuses."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

import saros
from saros import Error
from saros_console.server import Settings
from saros_console.web.application import Console
from saros_console.web.guard import HEADERS

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"


def browser(console: Console, url: str = "http://127.0.0.1") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(console.asgi), base_url=url)


async def csrf(client: httpx.AsyncClient) -> str:
    found = re.search(r'name="csrf" value="(\w+)"', (await client.get("/start")).text)
    assert found is not None
    return found[1]


@pytest.fixture(params=["memory", "redis"])
def backend(request: pytest.FixtureRequest) -> str:
    return "memory://" if request.param == "memory" else str(request.getfixturevalue("redis_url"))


async def waiting(app: saros.App, id: str) -> None:
    """Until the activity has been done."""
    async with asyncio.timeout(60):
        async for line in app.get(id).watch():
            if line.name == "ActivityCompleted":
                return


def test_start_signal_and_see_the_result(app_dir: Path, backend: str) -> None:
    async def main() -> None:
        async with saros.open(app_dir, backend) as app, browser(Console(app)) as client:
            token = await csrf(client)
            form = {"csrf": token, "entry": "app:order", "id": "page-1", "args": '[{"total": 7}]'}
            started = await client.post("/start", data=form)
            assert started.status_code == 303
            await waiting(app, "page-1")
            page = (await client.get(started.headers["location"])).text
            assert "started page-1" in page
            assert "app:charge" in page
            assert "Why it waits" in page
            assert "page-1" in (await client.get("/", params={"status": "running"})).text
            act = {"csrf": token, "id": "page-1", "name": "total", "args": "[]", "action": "query"}
            answered = await client.post("/act", data=act, follow_redirects=True)
            assert "has answered total" in answered.text
            await client.post("/act", data={**act, "action": "signal", "name": "approve", "args": '["yes"]'})
            assert (await app.get("page-1").result(60))["approved"] == "yes"
            page = (await client.get("/execution", params={"id": "page-1"})).text
            assert "data-ended" in page
            assert '<svg class="chart"' in page
            for path in ("/workers", "/schedules", "/entries"):
                assert (await client.get(path)).status_code == 200

    asyncio.run(main())


def test_hostile_text_stays_text(app_dir: Path) -> None:
    async def main() -> None:
        async with saros.open(app_dir, "memory://") as app, browser(Console(app)) as client:
            id = "<img src=x onerror=alert(1)>"
            handle = await app.start("app:order", {"note": HOSTILE, "big": "x" * 300_000}, id=id)
            await waiting(app, handle.id)
            for path, params in (("/", {}), ("/execution", {"id": id}), ("/", {"q": HOSTILE})):
                text = (await client.get(path, params=params)).text
                assert "<img" not in text
                assert "<script>alert" not in text
                assert "\x1b" not in text
                assert "\u202e" not in text
                assert len(text) < 250_000

    asyncio.run(main())


def test_pages_ask_for_nothing_foreign_and_run_no_inline_code(app_dir: Path) -> None:
    async def main() -> None:
        async with saros.open(app_dir, "memory://") as app, browser(Console(app)) as client:
            response = await client.get("/")
            assert {name: response.headers[name] for name in HEADERS} == HEADERS
            assert not re.search(r"""(src|href)=["'](?![/#])|<style|style=|onclick|<script>""", response.text)
            weight = len(response.content)
            for path in set(re.findall(r'(?:src|href)="(/static/[^"]+)"', response.text)):
                weight += len((await client.get(path)).content)
            assert weight < 150_000

    asyncio.run(main())


def test_actions_need_the_form_of_this_console(app_dir: Path) -> None:
    async def main() -> None:
        async with saros.open(app_dir, "memory://") as app, browser(Console(app)) as client:
            form = {"entry": "app:order", "id": "never", "args": "[{}]"}
            assert (await client.post("/start", data=form)).status_code == 403
            form["csrf"] = await csrf(client)
            for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
                assert (await client.post("/start", data=form, headers=headers)).status_code == 403
            assert await app.count() == 0
            rebound = await client.get("/", headers={"host": "evil.example"})
            assert rebound.status_code == 421

    asyncio.run(main())


def test_read_only_is_refused_by_the_server(app_dir: Path) -> None:
    async def main() -> None:
        async with saros.open(app_dir, "memory://") as app:
            console = Console(app, read_only=True)
            async with browser(console) as client:
                form = {"csrf": console.guard.csrf, "entry": "app:order", "args": "[{}]", "q": "", "id": "x"}
                for path in ("/start", "/act", "/bulk", "/schedules/act"):
                    response = await client.post(path, data=form)
                    assert response.status_code == 403
                    assert "read-only" in response.text
                assert 'method="post"' not in (await client.get("/")).text
                assert await app.count() == 0

    asyncio.run(main())


def test_a_token_is_asked_for(app_dir: Path) -> None:
    with pytest.raises(Error, match="would be open to everybody"):
        Settings(host="0.0.0.0").check()

    async def main() -> None:
        async with AsyncExitStack() as stack:
            app = await stack.enter_async_context(saros.open(app_dir, "memory://"))
            console = Console(app, token="sesame", local=False)
            async with browser(console, "http://box:8000") as client:
                for path in ("/", "/live/executions", "/execution/history.json?id=x"):
                    assert (await client.get(path)).headers["location"] == "/login"
                assert (await client.post("/login", data={"token": "wrong"})).status_code == 403
                assert (await client.get("/", headers={"authorization": "Bearer sesame"})).status_code == 200
                entered = await client.post("/login", data={"token": "sesame"})
                assert "sesame" not in entered.headers["set-cookie"]
                assert (await client.get("/")).status_code == 200

    asyncio.run(main())


def test_a_bad_query_is_told_as_on_the_command_line(app_dir: Path) -> None:
    async def main() -> None:
        async with saros.open(app_dir, "memory://") as app, browser(Console(app)) as client:
            with pytest.raises(Error) as told:
                await app.count("statu = 'running'")
            response = await client.get("/", params={"q": "statu = 'running'"})
            assert response.status_code == 400
            assert str(told.value.hint).split("?")[0] in response.text

    asyncio.run(main())


def test_bulk_needs_the_typed_number(app_dir: Path, backend: str) -> None:
    async def main() -> None:
        async with saros.open(app_dir, backend) as app, browser(Console(app)) as client:
            for number in range(3):
                await app.start("app:order", {}, id=f"bulk-{number}")
            query = "id in ('bulk-0', 'bulk-1', 'bulk-2')"
            page = await client.get("/bulk", params={"q": query})
            assert "<b>3</b> running executions" in page.text
            form = {"csrf": await csrf(client), "q": query, "action": "terminate", "confirm": "terminate 2"}
            refused = await client.post("/bulk", data=form)
            assert refused.status_code == 400
            assert "nothing was done" in refused.text
            done = await client.post("/bulk", data={**form, "confirm": "terminate 3"})
            assert "3 done, 0 failed" in done.text
            assert await app.count(query, status="terminated") == 3

    asyncio.run(main())
