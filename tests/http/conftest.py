"""Fixtures that serve small apps on a free port, from a separate thread, to plain HTTP clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

import saros
from saros_http import serving

MODULES = ["http", "http_client", "json", "time", "funcs", "ctx"]


class Site:
    """A served app. Its methods are those of an HTTP client; `raw` talks to the bare socket."""

    def __init__(self, path: Path, backend: str, verify: Any = True) -> None:
        self._path, self._backend = path, backend
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        assert self._started.wait(20), "the site did not start"
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        self.client = httpx.Client(base_url=self.url, timeout=20, verify=verify)

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:
            self._failure = failure
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with saros.open(self._path, self._backend) as self.app:
            urls = await serving(self.app)
            self.url = urls["app:web"]
            self.admin = urls.get("app:web#admin", "")
            self._started.set()
            await self._stop.wait()

    def stop(self) -> None:
        """Start the shutdown without waiting; `close` waits until it has finished."""
        self._loop.call_soon_threadsafe(self._stop.set)

    def close(self) -> None:
        self.client.close()
        if self._thread.is_alive():
            self.stop()
            self._thread.join(20)
        assert not self._thread.is_alive(), "the site did not stop"
        if self._failure is not None:
            raise self._failure

    def on_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the app's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(90)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    def raw(self, *parts: bytes) -> bytes:
        """Send bytes, and return everything received until the server closes."""
        with socket.create_connection(self.address, timeout=20) as sock:
            for part in parts:
                sock.sendall(part)
            return read_all(sock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


def read_all(sock: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(1 << 16):
            data += part
    return data


Serve = Callable[..., Site]


def write(
    path: Path,
    routes: Mapping[str, str],
    *,
    service: Mapping[str, Any] | None = None,
    routers: Mapping[str, Mapping[str, Any]] | None = None,
    entries: tuple[Mapping[str, Any], ...] = (),
    files: Mapping[str, str] | None = None,
    endpoints: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write an app. `routes` maps ``"[router] METHOD /path"`` to the body of a Lua function."""
    data: list[dict[str, Any]] = [
        {"name": "worker", "kind": "temporal.worker", "task_queue": "main"},
        {
            "name": "web",
            "kind": "http.service",
            "addr": "127.0.0.1:0",
            "admin": {"addr": ":0"},
            **(service or {}),
        },
        {"name": "api", "kind": "http.router"},
    ]
    for name, router in (routers or {}).items():
        data.append({"name": name, "kind": "http.router", "prefix": f"/{name}", **router})
    path.mkdir(parents=True, exist_ok=True)
    for number, (route, code) in enumerate(routes.items()):
        *router_name, method, url = route.split()
        name = f"f{number}"
        (path / f"{name}.lua").write_text(f"return function()\n{code}\nend\n")
        data.append(
            {"name": name, "kind": "function.lua", "source": f"file://{name}.lua", "modules": MODULES}
        )
        data.append(
            {
                "name": f"{name}.endpoint",
                "kind": "http.endpoint",
                "method": method,
                "path": url,
                "func": name,
                "meta": {"router": router_name[0] if router_name else "api"},
                **(endpoints or {}).get(route, {}),
            }
        )
    data.extend(dict(entry) for entry in entries)
    for name, text in (files or {}).items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (path / "_index.yaml").write_text(yaml.safe_dump({"namespace": "app", "entries": data}, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """``serve(routes, ...)`` writes and serves an app (see `write`); ``serve(path=...)`` serves an existing one."""
    with contextlib.ExitStack() as stack:

        def start(
            routes: Mapping[str, str] | None = None,
            *,
            path: Path | None = None,
            backend: str = "memory://",
            verify: Any = True,
            **more: Any,
        ) -> Site:
            if path is None:
                path = write(tmp_path_factory.mktemp("app"), routes or {}, **more)
            site = Site(path, backend, verify)
            stack.callback(site.close)
            return site

        yield start
