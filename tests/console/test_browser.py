"""The console in a real browser."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, async_playwright, expect

from .conftest import Served

PATIENCE_MS = 60_000


@asynccontextmanager
async def tab(chromium: str, theme: str = "light") -> AsyncIterator[Page]:
    """A page; at the end, nothing foreign was asked for, and nothing was complained of."""
    async with async_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = await browser.new_page(
            color_scheme="dark" if theme == "dark" else "light", viewport={"width": 1280, "height": 860}
        )
        page.set_default_timeout(PATIENCE_MS)
        asked: list[str] = []
        faults: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
        yield page
        assert {urlsplit(url).hostname for url in asked} == {"127.0.0.1"}
        assert faults == []
        await browser.close()


@pytest.fixture(params=["memory", "redis"])
def backend(request: pytest.FixtureRequest) -> str:
    return "memory://" if request.param == "memory" else str(request.getfixturevalue("redis_url"))


def test_list_open_signal_and_completion_live(chromium: str, served: Served, backend: str) -> None:
    async def main() -> None:
        async with served(backend) as (app, url), tab(chromium) as page:
            await page.goto(url)
            await app.start("app:order", {"total": 5}, id="live-1")  # appears without a reload
            row = page.get_by_role("link", name="live-1")
            await expect(row).to_be_visible(timeout=PATIENCE_MS)
            await row.click()
            await expect(page.get_by_text("waits for the signal approve")).to_be_visible(timeout=PATIENCE_MS)
            await page.get_by_label("Name").fill("approve")
            await page.get_by_label("What it gets").fill('["yes"]')
            await page.get_by_role("button", name="Signal").click()
            await expect(page.get_by_text("sent approve to live-1")).to_be_visible(timeout=PATIENCE_MS)
            await expect(page.locator("h1 + .status.completed")).to_be_visible(timeout=PATIENCE_MS)
            await expect(page.get_by_role("button", name="Signal")).to_be_hidden()

    asyncio.run(main())


def test_keyboard_and_themes(chromium: str, served: Served) -> None:
    async def main() -> None:
        async with served() as (app, url), tab(chromium) as page:
            await app.start("app:order", {}, id="key-1")
            await page.goto(url)
            await page.keyboard.press("/")
            await expect(page.locator("#q")).to_be_focused()
            await page.keyboard.press("Escape")
            await page.keyboard.press("t")
            await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
            await page.reload()
            await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
            await page.keyboard.press("?")
            await expect(page.locator("#help")).to_be_visible()
            await page.keyboard.press("Escape")
            await page.keyboard.press("j")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("heading", name="key-1")).to_be_visible(timeout=PATIENCE_MS)

    asyncio.run(main())


def test_read_only_shows_no_action(chromium: str, served: Served) -> None:
    async def main() -> None:
        async with served(read_only=True) as (app, url), tab(chromium) as page:
            handle = await app.start("app:order", {}, id="look-1")
            await page.goto(f"{url}execution?id=look-1")
            await expect(page.get_by_text("read-only")).to_be_visible()
            assert await page.locator("form[method=post]").count() == 0
            await page.goto(f"{url}bulk")
            await expect(page.get_by_text("this console is read-only")).to_be_visible()
            assert (await handle.describe()).status == "running"

    asyncio.run(main())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_screenshots(chromium: str, served: Served, theme: str, tmp_path: Path) -> None:
    """Kept where ``SAROS_SCREENSHOTS`` says: docs/console.md shows them."""
    folder = Path(os.environ.get("SAROS_SCREENSHOTS", tmp_path))

    async def main() -> None:
        async with served() as (app, url), tab(chromium, theme) as page:
            for number in range(8):
                order = {
                    "total": 20 + number,
                    "customer": f"c-{number}",
                    "refused": number == 3,
                    "away": number == 7,
                }
                handle = await app.start("app:order", order, id=f"order-{1001 + number}")
                if number % 4 == 1:
                    await handle.signal("approve", {"by": "Ada"})
                    await handle.result(60)
                if number == 6:
                    await handle.cancel("ordered twice")
            grounds = []
            for name, path in (
                ("executions", ""),
                ("execution", "execution?id=order-1002"),
                ("waiting", "execution?id=order-1008"),
                ("workers", "workers"),
                ("schedules", "schedules"),
                ("start", "start"),
                ("bulk", "bulk"),
            ):
                await page.goto(url + path)
                await page.screenshot(path=folder / f"{name}-{theme}.png")
                grounds.append(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert set(grounds) == {"rgb(17, 20, 28)" if theme == "dark" else "rgb(246, 246, 243)"}

    asyncio.run(main())
