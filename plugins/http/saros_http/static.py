"""Files of a directory. Only regular files inside it are served, and none whose name begins with a dot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from saros.entries import Entry

from .endpoint import PARAMS
from .problem import HttpError, Receive, Scope, Send, send_problem

_MISSING: Final = "There is no such file."
REST: Final = "path"


class Static:
    """Answers for an ``http.static`` entry; the path is the parameter `REST`."""

    def __init__(self, entry: Entry) -> None:
        self.directory = Path(entry.paths["directory"]).resolve()
        self._files = StaticFiles(directory=self.directory, check_dir=False)
        self._index: str = entry.get("index", "index.html")
        self._fallback: str | None = entry.get("fallback")
        self._cache: bytes = entry.get("cache_control", "no-cache").encode("latin-1")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        params: list[str] = scope.get(PARAMS) or []
        path = params[params.index(REST) + 1] if REST in params else ""
        try:
            response: Any = await self._response(path, scope)
        except (HTTPException, OSError, ValueError) as exc:
            status = exc.status_code if isinstance(exc, HTTPException) else 404
            await send_problem(scope, send, HttpError(404 if status == 401 else status, _MISSING))
            return
        response.headers["cache-control"] = self._cache.decode("latin-1")
        response.headers["x-content-type-options"] = "nosniff"
        await response(scope, receive, send)

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


def bad(segment: str) -> bool:
    """Whether a segment of a path can lead out of the directory, or to what is hidden in it."""
    return not segment or segment.startswith(".") or any(char in segment for char in '\0\\:<>|"?*')
