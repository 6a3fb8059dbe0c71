"""Opens an application on a backend: the implementation of `saros.open`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..interfaces.backend import Backend
from ..interfaces.deployment import Deployment
from .app import App, Guard
from .hookspecs import Guarded
from .loading import check_code, load_app
from .observing import observed
from .plugins import Plugins, installed

DEFAULT_BACKEND: Final = "memory://"
SILENCE_S: Final = 10.0
"""How long an activation may be silent, unless an option says otherwise."""

Connect = Callable[[Callable[[], Coroutine[Any, Any, Backend]]], Awaitable[Backend]]
"""Makes one attempt or several to connect, each with the function that it gets, and returns the open backend."""


@contextlib.asynccontextmanager
async def open_app(
    path: str | Path | None,
    backend: str | None = None,
    *,
    workers: bool = True,
    services: bool = True,
    plugins: Plugins | None = None,
    options: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    check: Callable[[Deployment], None] | None = None,
    watchdog: float = SILENCE_S,
    connect: Connect | None = None,
) -> AsyncIterator[App]:
    """Open an application directory on a backend.

    :param path: None opens a client without entries, which can look at executions and send requests to them.
    :param backend: its URL; by default that in ``SAROS_BACKEND``, or ``memory://``.
    :param workers: serve the app's task queues here; False makes a client only.
    :param services: with workers, also serve its supervised processes, schedules and HTTP.
    :param plugins: by default all installed plugins.
    :param options: of the backend, in addition to those of its URL.
    :param env: the variables for ``${env:NAME}`` in YAML; by default the environment.
    :param check: called with the loaded app before anything is opened.
    :param watchdog: a process with workers ends, with a line on stderr and status 86, when an entry's code blocks
        it for this many seconds; 0 for never (see `saros_watchdog`). If the code holds Python's lock, the
        process is killed instead.
    :param connect: how to wait for a server that is not up yet; by default, one attempt is made.
    :raises AppError: for an invalid app, with every problem.
    :raises Error: when the backend is unknown or cannot be reached.
    """
    plugins = installed() if plugins is None else plugins
    url = backend or os.environ.get("SAROS_BACKEND") or DEFAULT_BACKEND

    def loading() -> Deployment:
        loaded = load_app(path, plugins, env)
        if check is not None:
            check(loaded)
        return loaded

    deployment = loading()

    @contextlib.contextmanager
    def reloading() -> Iterator[Deployment]:
        with contextlib.ExitStack() as stack:
            for runtime in plugins.runtimes():
                if runtime.reloading is not None:
                    stack.enter_context(runtime.reloading(str(deployment.registry.root)))
            newer = loading()
            check_code(newer)
            yield newer

    root = str(deployment.registry.root)
    given = {"root": root, **(options or {})}
    works = workers and path is not None

    async def attempt() -> Backend:
        backend = plugins.backend(url).make(url, given)
        await backend.open(deployment)
        return backend

    made = await (attempt() if connect is None else connect(attempt))
    made = observed(made, deployment, [plugin.make for plugin in plugins.observers()], works)
    guards: list[Guard] = []
    if watchdog > 0 and path is not None:
        guarded = Guarded(made, url, given, str(path), env, root, watchdog)
        guards = [partial(plugin.guard, guarded) for plugin in plugins.guards()]
    serve = [service.serve for service in plugins.services()]
    app = App(deployment, made, serve, guards, None if path is None else reloading)
    try:
        if works:
            await made.join(app.host)
            app.start_workers(services=services)
            await app.serving()
        yield app
    finally:
        await app.close()
