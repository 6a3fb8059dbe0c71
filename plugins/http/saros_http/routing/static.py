"""Files of a directory. Only regular files inside it are served, and none whose name begins with a dot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from saros.entries import Entry

from ..problem import HttpError, Message, Receive, Scope, Send, send_problem
from .endpoint import PARAMS

_MISSING: Final = "There is no such file."
REST: Final = "path"


class Static:
    """Answers for an ``http.static`` entry; the path is the parameter `REST`."""

    def __init__(self, entry: Entry) -> None:
        self.directory = Path(entry.paths["directory"]).resolve()
        self._files = StaticFiles(directory=self.directory, check_dir=False)
        options = entry.get("static_options") or {}
        self._index: str = options.get("index") or entry.get("index", "index.html")
        self._fallback: str | None = entry.get("fallback") or (self._index if options.get("spa") else None)
        self._cache: str = options.get("cache") or entry.get("cache_control", "no-cache")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        params: list[str] = scope.get(PARAMS) or []
        path = params[params.index(REST) + 1] if REST in params else ""
        try:
            response: Any = await self._response(path, scope)
        except (HTTPException, OSError, ValueError) as exc:
            status = exc.status_code if isinstance(exc, HTTPException) else 404
            await send_problem(scope, send, HttpError(404 if status == 401 else status, _MISSING))
            return
        response.headers["cache-control"] = self._cache
        response.headers["x-content-type-options"] = "nosniff"
        await response(_known_range(scope), receive, _problems(scope, send))

    async def _response(self, path: str, scope: Mapping[str, Any]) -> Any:
        segments = path.split("/")
        if any(bad(segment) for segment in segments[:-1]) or (segments[-1] and bad(segments[-1])):
            raise HTTPException(404)
        if not segments[-1]:  # a directory
            segments[-1] = self._index
        try:
            return await self._files.get_response("/".join(segments), dict(scope))
        except HTTPException as exc:
            if exc.status_code != 404 or self._fallback is None:
                raise
            return await self._files.get_response(self._fallback, dict(scope))


def _known_range(scope: Scope) -> Scope:
    """The request without ranges of anything but bytes, which a server ignores (RFC 9110, 14.2)."""
    headers = scope["headers"]
    kept = [pair for pair in headers if pair[0] != b"range" or pair[1].lower().startswith(b"bytes=")]
    return scope if len(kept) == len(headers) else {**scope, "headers": kept}


def _problems(scope: Scope, send: Send) -> Send:
    """Send refused ranges as problems."""
    refused = False

    async def send_on(message: Message) -> None:
        nonlocal refused
        if message["type"] == "http.response.start" and message["status"] in (400, 416):
            refused = True
            size = [value for name, value in message["headers"] if name == b"content-range"]
            headers = {"Content-Range": f"bytes {size[0].decode().removeprefix('bytes ')}"} if size else {}
            text = "The file has no such range." if message["status"] == 416 else "The range is malformed."
            await send_problem(scope, send, HttpError(message["status"], text, headers))
        elif not refused:
            await send(message)

    return send_on


def bad(segment: str) -> bool:
    """Whether a segment of a path can lead out of the directory, or to what is hidden in it."""
    return not segment or segment.startswith(".") or any(char in segment for char in '\0\\:<>|"?*')
