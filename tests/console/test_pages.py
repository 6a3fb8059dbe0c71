"""The console over HTTP: pages, actions, and what it refuses."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import msgspec
import pytest

import saros
from saros import Error
from saros.insight import presence
from saros.insight.traces import trace_begun_by
from saros.model.execution import Description
from saros_console.server import Settings
from saros_console.web.application import Console
from saros_console.web.guard import HEADERS
from saros_console.web.pages.run_page import trace_link
from saros_console.web.parts.go import Go
from saros_testing import eventually

from .clients import browser

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"


async def csrf(client: httpx.AsyncClient) -> str:
    found = re.search(r'name="csrf" value="(\w+)"', (await client.get("/start")).text)
    assert found is not None
    return found[1]


async def waiting(app: saros.App, id: str) -> None:
    """Until the activity has been done."""
    async with asyncio.timeout(60):
        async for line in app.get(id).watch():
            if line.name == "ActivityCompleted":
                return


def test_pages_and_actions_on_every_backend(app_dir: Path, backend: str) -> None:
    """One app for all of them, for it takes longer to open one than to look at it."""

    async def main() -> None:
        async with saros.open(app_dir, backend) as app, browser(console := Console(app)) as client:
            await _start_signal_and_see_the_result(app, client)
            await _bulk_needs_the_typed_number_and_tells_its_progress(app, client, console)
            await _failures_are_grouped_by_what_they_say(app, client)
            await _the_family_of_a_run_is_a_tree(app, client)

    asyncio.run(main())


async def _start_signal_and_see_the_result(app: saros.App, client: httpx.AsyncClient) -> None:
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


async def _bulk_needs_the_typed_number_and_tells_its_progress(
    app: saros.App, client: httpx.AsyncClient, console: Console
) -> None:
    for number in range(3):
        await app.start("app:order", {}, id=f"bulk-{number}")
    query = "id in ('bulk-0', 'bulk-1', 'bulk-2')"

    async def listed() -> bool:
        return "<b>3</b> running executions" in (await client.get("/bulk", params={"q": query})).text

    await eventually(listed, "the server lists them", 60)
    form = {"csrf": await csrf(client), "q": query, "action": "terminate", "confirm": "terminate 2"}
    refused = await client.post("/bulk", data=form)
    assert refused.status_code == 400
    assert "nothing was done" in refused.text
    begun = await client.post("/bulk", data={**form, "confirm": "terminate 3"})
    assert begun.status_code == 303
    await console.jobs.wait(60)
    assert "3 done, 0 failed" in (await client.get(begun.headers["location"])).text

    async def counted() -> bool:
        return await app.count(query, status="terminated") == 3

    await eventually(counted, "the server counts them", 60)


async def _failures_are_grouped_by_what_they_say(app: saros.App, client: httpx.AsyncClient) -> None:
    for number in range(3):
        handle = await app.start("app:order", {"refused": True, "total": number}, id=f"group-{number}")
        with pytest.raises(Error):
            await handle.result(60)
    query = {"q": "id in ('group-0', 'group-1', 'group-2')"}

    async def listed() -> bool:
        return "<b>3</b>" in (await client.get("/failures", params=query)).text

    await eventually(listed, "the server lists them", 60)
    text = (await client.get("/failures", params=query)).text
    assert text.count("card refused") == 1
    assert text.index(">group-2<") < text.index(">group-0<")  # the newest first


async def _the_family_of_a_run_is_a_tree(app: saros.App, client: httpx.AsyncClient) -> None:
    await app.start("app:order", {"child": True, "total": 3}, id="family-1")

    async def children() -> list[str]:
        return [each.id for each in (await app.get("family-1").pending()).children if each.run_id]

    await eventually(children, "the child has started", 60)
    (child,) = await children()
    text = (await client.get("/execution", params={"id": "family-1"})).text
    assert re.search(r'<li data-depth="0"><b>family-1</b>', text)
    assert re.search(rf'<li data-depth="1"><a href="[^"]+">{re.escape(child)}</a>', text)
    text = (await client.get("/execution", params={"id": child})).text
    assert re.search(r'<li data-depth="0"><a href="[^"]+">family-1</a>', text)
    await app.get("family-1").terminate()


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


def test_an_action_on_many_can_be_stopped(app_dir: Path) -> None:
    async def main() -> None:
        async with saros.open(app_dir, "memory://") as app, browser(console := Console(app)) as client:
            runs = [Description(f"x-{n}", "", "", "t", "t", "running", "q", 0) for n in range(3)]
            go = Go("cancel", "", runs)
            key = console.goes.keep(go)
            shown = await client.get("/bulk/progress", params={"key": key})
            assert "0 of 3" in shown.text
            assert (await client.post("/bulk/stop", data={"key": key})).status_code == 403
            await client.post("/bulk/stop", data={"key": key, "csrf": await csrf(client)})
            assert "stopped" in (await client.get("/bulk/progress", params={"key": key})).text
            assert (await client.get("/bulk/progress", params={"key": "none"})).status_code == 404

    asyncio.run(main())


def test_columns_and_their_values_are_chosen_by_the_url(app_dir: Path) -> None:
    async def main() -> None:
        async with saros.open(app_dir, "memory://") as app, browser(Console(app)) as client:
            await app.start("app:order", {}, id="cols-1", options={"search_attributes": {"customer": "c-42"}})
            usual = (await client.get("/")).text
            assert 'value="customer"' in usual  # it is offered
            assert "c-42" not in usual
            chosen = (await client.get("/?col=status&col=run_id&col=customer&status=running")).text
            assert "c-42" in chosen
            assert "<th>Run</th><th>customer</th>" in chosen.replace("\n", "")
            assert "<th>Task queue</th>" not in chosen
            assert "col=status&amp;col=id&amp;col=run_id&amp;col=customer" in chosen  # tabs keep the view

    asyncio.run(main())


def test_a_page_never_waits_for_an_end(app_dir: Path) -> None:
    """A failed attempt of a workflow is followed by another run, which may run for ever."""

    async def main() -> None:
        async with saros.open(app_dir, "memory://") as app, browser(Console(app)) as client:
            policy = {"initial_interval": 3_600_000, "maximum_attempts": 2}
            handle = await app.start(
                "app:order", {"flaky": True}, id="end-1", options={"retry_policy": policy}
            )

            async def failed() -> bool:
                return (await app.get("end-1").describe()).attempt == 2

            await eventually(failed, "the first attempt has failed", 60)
            page = await client.get("/execution", params={"id": "end-1", "run": handle.run_id})
            assert "flaky" in page.text
            assert "Continued by" in page.text

    asyncio.run(main())


def test_where_it_waits_shows_the_line_of_source_and_the_trace(app_dir: Path) -> None:
    async def main() -> None:
        async with saros.open(app_dir, "memory://") as app:
            trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
            console = Console(app, trace_url="http://localhost:16686/trace/{trace}")
            async with browser(console) as client:
                await app.start("app:order", {}, id="line-1")
                await waiting(app, "line-1")
                text = (await client.get("/execution", params={"id": "line-1"})).text
                assert "process.listen(&#34;approve&#34;):receive()" in text
                run = (await app.backend.history("line-1")).run
                shown = {
                    trace: "ab" * 16,
                    "": f"{trace_begun_by(run.run_id):032x}",
                    f"linked:{trace}": f"{trace_begun_by(run.run_id):032x}",
                    "another run": f"{trace_begun_by('another run'):032x}",
                }
                for carrier, expected in shown.items():
                    found = trace_link(console, msgspec.structs.replace(run, trace=carrier))
                    assert found == f"http://localhost:16686/trace/{expected}"
                assert trace_link(console, run) in text

    asyncio.run(main())


def test_a_page_says_that_all_slots_are_taken(app_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "BEAT_S", 0.1)
    index = app_dir / "_index.yaml"
    options = "worker_options: {max_concurrent_activity_execution_size: 1, worker_stop_timeout: 1ms}"
    text = index.read_text().replace("task_queue: orders", f"task_queue: orders\n    {options}")
    index.write_text(text.replace("[errors]", "[time]"))
    (app_dir / "charge.lua").write_text("return {main = function() require('time').sleep('1h') end}")

    async def main() -> None:
        async with saros.open(app_dir, "memory://") as app, browser(Console(app)) as client:
            for id in ("full-1", "full-2"):
                await app.start("app:order", {}, id=id)

            async def told() -> bool:
                pages = [
                    (await client.get("/execution", params={"id": id})).text for id in ("full-1", "full-2")
                ]
                return any("the slot of its worker is taken" in page for page in pages)

            await eventually(told)

    asyncio.run(main())


def test_a_proxy_tells_who_comes_in(app_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    Settings(host="0.0.0.0", user_header="X-User").check()
    for bad in ({"user_header": "X User"}, {"url": "console.example"}, {"trace_url": "javascript:x"}):
        with pytest.raises(Error, match=r"is no|names no"):
            Settings(**bad).check()  # type: ignore[arg-type]

    async def main() -> None:
        async with saros.open(app_dir, "memory://") as app:
            console = Console(app, user_header="X-User", url="https://console.example")
            async with browser(console, "http://console.example") as client:
                assert (await client.get("/")).status_code == 403
                client.headers["x-user"] = "ada"
                form = {"csrf": await csrf(client), "entry": "app:order", "id": "proxy-1", "args": "[{}]"}
                own, foreign = {"origin": "https://console.example"}, {"origin": "https://evil.example"}
                assert (await client.post("/start", data=form, headers=foreign)).status_code == 403
                assert (await client.post("/start", data=form, headers=own)).status_code == 303

    with caplog.at_level("INFO", "saros.console.audit"):
        asyncio.run(main())
    assert "ada start app:order proxy-1: started proxy-1" in caplog.text


def test_every_response_is_protected_and_none_of_them_fails(app_dir: Path) -> None:
    """Files, errors and refusals too; whatever an address or a form holds."""
    deep = "[" * 100_000
    odd = ("a/b", "../..", "a'b\"c", "a\x00b", "\u202eabc", "%00", "x" * 9_000, "@node|x")
    queries = (
        " and ".join(["status = 'running'"] * 600),
        f"total > {'9' * 5_000}",
        f"id = '{'x' * 20_000}'",
        "start_time > '9999-12-31T23:59:59-14:00' or close_time < '0001-01-01T00:00:00+14:00'",
        "id = 'a\0b'",
    )

    async def main() -> None:
        url = f"sqlite:///{app_dir}/odd.db"
        async with saros.open(app_dir, url) as app, browser(console := Console(app)) as client:
            form = {"csrf": console.guard.csrf, "entry": "app:order", "id": "odd", "args": deep}
            asked = [client.get("/", params={"q": query}) for query in queries]
            asked += [client.get("/execution", params={"id": id, "run": id}) for id in odd]
            asked += [client.get("/", params={"cursor": id, "col": id}) for id in odd]
            asked += [client.get("/execution", params={"id": "x", "from": "\u00b2"})]
            asked += [
                client.get(f"/{path}=%ED%A0%80%FF%00")
                for path in ("execution?id", "?q", "execution?id=x&run")
            ]
            asked += [client.post("/act", data={**form, "id": id, "action": "cancel"}) for id in odd]
            asked += [client.post("/start", data=form), client.get("/static/console.css")]
            asked += [client.options("/"), client.head("/live/executions"), client.put("/nothing")]
            for each in asked:
                response = await each
                assert response.status_code < 500
                assert {name: response.headers[name] for name in HEADERS} == HEADERS
            assert await app.count() == 0

    asyncio.run(main())


def test_a_forged_header_an_opaque_origin_and_a_foreign_cursor_are_refused(app_dir: Path) -> None:
    async def main() -> None:
        async with saros.open(app_dir, "memory://") as app:
            async with browser(Console(app, user_header="X-User")) as client:
                twice = [("x-user", "root"), ("x-user", "eve")]  # its own, and what the proxy added
                assert (await client.get("/", headers=twice)).status_code == 403
            async with browser(console := Console(app, token="sesame")) as client:
                sent = await client.post("/login", data={"token": "sesame"}, headers={"origin": "null"})
                assert sent.status_code == 403
                assert not console.guard.knows("sesam")
            async with browser(Console(app)) as client:
                assert (await client.get("/", params={"cursor": "WzEsIFsiYSJd"})).status_code == 400

    asyncio.run(main())
