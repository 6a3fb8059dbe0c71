"""The console in a real browser."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from importlib import resources
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

import pytest
from playwright.async_api import Browser, FloatRect, Page, async_playwright, expect

import saros
from saros_testing import eventually

from .conftest import Served

pytestmark = pytest.mark.xdist_group("browser")  # one process installs it, where it is missing

PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


class Room:
    """One browser for all tests of this process, and the loop that they run on."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.runner = asyncio.Runner()
        self._stack = contextlib.AsyncExitStack()
        self._browser: Browser | None = None

    async def _launched(self) -> Browser:
        if self._browser is None:
            playwright = await self._stack.enter_async_context(async_playwright())
            arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
            self._browser = await playwright.chromium.launch(executable_path=self.path, args=arguments)
        return self._browser

    @contextlib.asynccontextmanager
    async def tab(self) -> AsyncIterator[Page]:
        """A page of its own; at the end, nothing foreign was asked for, and nothing was complained of."""
        browser = await self._launched()
        page = await browser.new_page(color_scheme="light", viewport={"width": 1280, "height": 860})
        page.set_default_timeout(PATIENCE_MS)
        asked: list[str] = []
        faults: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
        page.on("dialog", lambda dialog: faults.append(f"dialog {dialog.message}"))
        yield page
        assert {urlsplit(url).hostname for url in asked} == {"127.0.0.1"}
        assert faults == []
        await page.close()

    def close(self) -> None:
        self.runner.run(self._stack.aclose())
        self.runner.close()


@pytest.fixture(scope="session")
def room(chromium: str) -> Iterator[Room]:
    made = Room(chromium)
    yield made
    made.close()


def test_a_run_is_followed_live_and_a_retry_hurried(room: Room, served: Served, backend: str) -> None:
    async def main() -> None:
        async with served(backend) as (app, url), room.tab() as page:
            await app.start("app:order", {"away": True}, id="away-1")
            await page.goto(url)
            await app.start("app:order", {"total": 5}, id="live-1")  # appears without a reload
            await eventually(lambda: _listed(app, "live-1"), "the server lists it", PATIENCE_MS / 1_000)
            await page.get_by_role("link", name="live-1").click()
            await expect(page.get_by_text("waits for the signal approve")).to_be_visible()
            await page.get_by_label("Name").fill("approve")
            await page.get_by_label("What it gets").fill('["yes"]')
            await page.get_by_role("button", name="Signal").click()
            await expect(page.get_by_text("sent approve to live-1")).to_be_visible()
            await expect(page.locator("h1 + .status.completed")).to_be_visible()
            await expect(page.get_by_role("button", name="Signal")).to_be_hidden()
            await expect(page.get_by_label("Timeline of the run")).to_contain_text("charge")
            await expect(page.locator(".data pre").first).to_contain_text('"total": 5')

            await page.goto(f"{url}?status=retrying&q=id%20%3D%20%27away-1%27")
            await expect(page.get_by_text("the bank is away")).to_be_visible()
            await page.get_by_role("link", name="away-1").click()
            await expect(page.get_by_text("has failed once, last: Unavailable").first).to_be_visible()
            await page.get_by_role("button", name="Retry now").click()
            await expect(page.get_by_text("has failed 2 times").first).to_be_visible()

    room.runner.run(main())


async def _listed(app: saros.App, id: str) -> bool:
    return await app.count(f"id = '{id}' and status = 'running'") == 1


def test_keyboard_alone(room: Room, served: Served) -> None:
    async def main() -> None:
        async with served() as (_, url), room.tab() as page:
            press = page.keyboard.press
            await page.goto(url)
            await press("/")
            await expect(page.locator("#q")).to_be_focused()
            await press("Escape")
            await press("t")
            await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
            await page.reload()
            await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
            await press("?")
            await expect(page.locator("#help")).to_be_visible()
            await press("Escape")
            await _tab_to(page, "Start a workflow")
            await press("Enter")
            await page.wait_for_url("**/start*")
            await _tab_to(page, "app:order")
            await press("Tab")
            await press("Control+A")
            await page.keyboard.type("[{}]")
            await press("Tab")
            await page.keyboard.type("key-1")
            await press("Enter")
            await _arrived(page, "key-1")
            await press("g")
            await _arrived(page, "Executions")
            await press("j")
            await expect(page.get_by_role("link", name="key-1")).to_be_focused()
            await press("Enter")
            await expect(page.get_by_role("heading", name="key-1")).to_be_visible()
            await _tab_to(page, "Cancel")
            await press("Enter")
            await expect(page.get_by_text("asked key-1 to end")).to_be_visible()
            await expect(page.locator("h1 + .status.canceled")).to_be_visible()

    room.runner.run(main())


async def _arrived(page: Page, heading: str) -> None:
    """Wait until a page with this heading is there, and its scripts hear keys: a heading is shown before they run."""
    await expect(page.get_by_role("heading", name=heading)).to_be_visible()
    await page.wait_for_load_state()


async def _tab_to(page: Page, text: str) -> None:
    """Press the tabulator until what has this text has the focus."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if text in (await page.evaluate("document.activeElement.textContent")).strip()[:40]:
            return
    raise AssertionError(f"{text} is not reached by the keyboard")


def test_many_are_cancelled_and_counted(room: Room, served: Served) -> None:
    async def main() -> None:
        async with served() as (app, url), room.tab() as page:
            for number in range(7):
                await app.start("app:order", {}, id=f"many-{number}")
            await page.goto(f"{url}bulk?q=id%20!%3D%20%27many-3%27")
            await expect(page.get_by_text("6 running executions are selected")).to_be_visible()
            await page.get_by_label("To confirm").fill("cancel 6")
            await page.get_by_role("button", name="Do it").click()
            await expect(page.get_by_text("6 done, 0 failed")).to_be_visible()
            await page.goto(f"{url}?status=canceled")
            await expect(page.locator(".tabs [aria-current] b")).to_have_text("6")
            assert await app.count(status="running") == 1

    room.runner.run(main())


def test_hostile_text_does_nothing(room: Room, served: Served) -> None:
    hostile = "<script>alert(1)</script><img src=//evil.example/x onerror=alert(2)>\x1b[31m\u202eabc"

    async def main() -> None:
        async with served() as (app, url), room.tab() as page:
            id = '"><img src=x onerror=alert(3)>'
            await app.start("app:order", {"note": hostile, "big": "x" * 1_500_000, "refused": True}, id=id)
            await page.goto(url)
            await page.get_by_role("link", name="onerror").click()
            await expect(page.get_by_role("heading", level=1)).to_have_text(id)
            await expect(page.locator(".data pre").first).to_contain_text("<script>alert(1)")
            assert await page.locator("img").count() == 0
            assert len(await page.content()) < 400_000
            await page.goto(f"{url}?q={quote(hostile)}")
            await expect(page.get_by_role("alert")).to_contain_text("bad query")

    room.runner.run(main())


def test_read_only_shows_no_action(room: Room, served: Served) -> None:
    async def main() -> None:
        async with served(read_only=True) as (app, url), room.tab() as page:
            handle = await app.start("app:order", {}, id="look-1")
            await page.goto(f"{url}execution?id=look-1")
            await expect(page.get_by_text("read-only")).to_be_visible()
            assert await page.locator("form[method=post]").count() == 0
            await page.goto(f"{url}bulk")
            await expect(page.get_by_text("this console is read-only")).to_be_visible()
            assert (await handle.describe()).status == "running"

    room.runner.run(main())


PAGES = (
    ("executions", ""),
    ("execution", "execution?id=order-1002"),
    ("waiting", "execution?id=order-1008"),
    ("family", "execution?id=order-1009"),
    ("failures", "failures"),
    ("workers", "workers"),
    ("schedules", "schedules"),
    ("entries", "entries"),
    ("start", "start"),
    ("bulk", "bulk"),
)


RULES = ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]
THEMES: tuple[tuple[Literal["light", "dark"], list[str], str], ...] = (
    ("light", RULES, "rgb(246, 246, 243)"),
    ("dark", ["color-contrast"], "rgb(17, 20, 28)"),  # what does not hang on colours is the same in both
)


def test_pages_are_accessible_in_both_themes(room: Room, served: Served) -> None:
    """Pictures are kept where ``SAROS_SCREENSHOTS`` says, if it is set: docs/console.md shows them."""
    folder = os.environ.get("SAROS_SCREENSHOTS")
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()

    async def main() -> None:
        async with served() as (app, url), room.tab() as page:
            for number in range(9):
                order = {
                    "total": 20 + number,
                    "customer": f"c-{number}",
                    "refused": number in (3, 4),
                    "away": number == 7,
                    "child": number == 8,
                }
                handle = await app.start("app:order", order, id=f"order-{1001 + number}")
                if number % 4 == 1:
                    await handle.signal("approve", {"by": "Ada"})
                if number == 6:
                    await handle.cancel("ordered twice")
                if number in (1, 3, 4, 5, 6):
                    await _ended(app.get(handle.id))
            found = []
            for name, path in PAGES:
                await page.emulate_media(color_scheme="light")
                await page.goto(url + path)
                if name == "waiting":
                    await expect(page.get_by_role("button", name="Retry now")).to_be_visible()
                await page.evaluate(axe)
                for theme, rules, ground in THEMES:
                    await page.emulate_media(color_scheme=theme)
                    if folder:
                        last = ".legend" if name == "waiting" else "#main"
                        await _keep(page, Path(folder) / f"{name}-{theme}.png", last)
                    shown = await page.evaluate("getComputedStyle(document.body).backgroundColor")
                    assert shown == ground, name
                    judged = await page.evaluate(
                        "rules => axe.run({runOnly: rules, resultTypes: ['violations']})", rules
                    )
                    found += [
                        f"{name}, {theme}: {each['id']}, {each['help']}: {each['nodes'][0]['html'][:200]}"
                        for each in judged["violations"]
                        if each["impact"] in ("serious", "critical", "moderate")
                    ]
            assert found == []

    room.runner.run(main())


async def _keep(page: Page, path: Path, last: str) -> None:
    """Make a picture of a page, down to the element `last`."""
    box = await page.locator(last).bounding_box()
    assert box is not None
    below = 0 if last == "#main" else 24
    area: FloatRect = {"x": 0, "y": 0, "width": 1280, "height": box["y"] + box["height"] + below}
    await page.screenshot(path=path, full_page=True, clip=area)


async def _ended(handle: saros.Handle) -> None:
    """Until an execution has ended, however it ends."""
    with contextlib.suppress(saros.Error):
        await handle.result(60)
