"""The admin address: liveness, readiness and metrics."""

from __future__ import annotations

import asyncio
from typing import Final

from saros import App
from saros.model.errors import Error

from ..problem import Receive, Scope, Send, send_whole
from .metrics import CONTENT_TYPE, Metrics

PATIENCE_S: Final = 2.0
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_METRICS: Final = (b"content-type", CONTENT_TYPE.encode())


class Admin:
    def __init__(self, app: App, metrics: Metrics) -> None:
        self.ready = False  # whether the servers listen and are not stopping
        self._app = app
        self._metrics = metrics
        if app.deployment.observer is not None:
            app.deployment.observer.served()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] not in ("GET", "HEAD"):
            await send_whole(send, 405, [_TEXT, (b"allow", b"GET, HEAD")], b"method not allowed\n")
        elif scope["path"] == "/healthz":
            await send_whole(send, 200, [_TEXT], b"ok\n")
        elif scope["path"] == "/readyz":
            reason = await self._unready()
            await send_whole(send, 503 if reason else 200, [_TEXT], (reason or "ready").encode() + b"\n")
        elif scope["path"] == "/metrics":
            observer = self._app.deployment.observer
            others = observer.metrics() if observer is not None else None
            await send_whole(send, 200, [_METRICS], self._metrics.text() + (others[1] if others else b""))
        else:
            await send_whole(send, 404, [_TEXT], b"not found\n")

    async def _unready(self) -> str | None:
        if not self.ready:
            return "starting or stopping"
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._app.backend.lookup("saros.http.ready")
        except (Error, TimeoutError):
            return "the backend does not answer"
        return None
