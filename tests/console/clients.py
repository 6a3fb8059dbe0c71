"""HTTP clients of a console that runs in the test's process."""

from __future__ import annotations

import httpx

from saros_console.web.application import Console


def browser(console: Console, url: str = "http://127.0.0.1") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(console.asgi), base_url=url)
