"""The Python API: an opened application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from anyio import CancelScope

from ..entries import Registry
from ..interfaces.backend import Backend
from ..interfaces.deployment import Deployment
from ..model import values
from ..model.background import LIMIT_S, Job, end_all
from ..model.clock import Clock
from ..model.errors import INTERNAL, INVALID, Error
from ..model.execution import StartRequest, check_id, check_topic, new_id
from ..model.options import check_start
from ..model.outcomes import error_of
from ..model.query import selecting
from ..model.records import Message, StartOptions
from ..processes import ProcessHost
from .board import Elsewhere
from .description import Description, described
from .handle import Handle
from .loading import check_code, load_app
from .plugins import Plugins, installed
from .serving import served
from .watchdog import SILENCE_S, Watchdog

log = logging.getLogger("saros")

DEFAULT_BACKEND = "memory://"


class App:
    """An opened application; made by `saros.open`.

    :ivar backend: where its workflows live, as the rest of Saros sees it: raw values, nanoseconds.
    """

    def __init__(
        self,
        deployment: Deployment,
        backend: Backend,
        plugins: Plugins,
        watchdog: Watchdog | None = None,
        loading: Callable[[], Deployment] | None = None,
    ) -> None:
        self._loading = loading
        self.deployment = deployment
        self.backend = backend
        self.plugins = plugins
        self.host = ProcessHost(deployment, backend, backend.clock)
        self._workers: Job[None] | None = None
        self._stop = asyncio.Event()
        self._serving = asyncio.Event()
        self._watchdog = watchdog

    @property
    def registry(self) -> Registry:
        """The entries of the app."""
        return self.deployment.registry

    @property
    def clock(self) -> Clock:
        """What tells the time here: real, or virtual with ``memory://?time=skip``."""
        return self.backend.clock

    async def start(
        self,
        entry: str,
        *args: Any,
        id: str | None = None,
        name: str = "",
        worker: str = "@",
        options: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        messages: Sequence[tuple[str, Any]] = (),
    ) -> Handle:
        """Start a workflow.

        :param entry: entry id or type name.
        :param args: what it gets.
        :param id: its workflow id; by default a random one.
        :param name: the name that it is registered as, and its id when there is none.
        :param worker: the entry of the worker that runs it; by default that of its entry's meta.
        :param options: start options as in Lua, without prefix: ``{"id_reuse_policy": ...}``; times in ms.
        :param context: values of ``ctx``, which flow on to all that it calls.
        :param messages: (topic, payload) pairs that it finds in its inbox before any other.
        :raises Error: NOT_FOUND, ALREADY_EXISTS, INVALID.
        """
        workflow = self.deployment.registry.workflow(entry)
        worker_id, queue = self.deployment.registry.worker_and_queue(workflow, worker)
        start_options = start_options_of(options or {})
        request = StartRequest(
            check_id(
                new_id()
                if id is None and not name and not start_options.id
                else id or start_options.id or name
            ),
            workflow.id,
            workflow.type_name,
            worker_id,
            start_options.task_queue or queue,
            msgspec.Raw(values.encode_args(args)),
            msgspec.Raw(values.encode(dict(context or {}))),
            start_options,
            tuple(
                Message(check_topic(topic), "", msgspec.Raw(values.encode_args([body])))
                for topic, body in messages
            ),
            name,
            request_id=new_id(),
        )
        check_start(start_options, request.id)
        started = await self.backend.start(request)
        return Handle(self, started.id, started.run_id, started.pid, created=started.created)

    async def call(self, entry: str, *args: Any, context: Mapping[str, Any] | None = None) -> Any:
        """Run a function in this process and give its result. While it runs, others can reach it.

        :param entry: entry id.
        :param args: what it gets.
        :param context: values of ``ctx``.
        :raises Error: what the function failed with.
        """
        await self.backend.join(self.host)
        return await self.host.run(entry, list(args), dict(context or {}))

    def get(self, id: str, run_id: str = "") -> Handle:
        """Give a handle to an existing execution, without asking whether there is one.

        :param run_id: the one run that all methods of the handle then mean; empty for the newest.
        """
        return Handle(self, id, run_id, only_run=bool(run_id))

    async def list(self, query: str = "", *, status: str = "") -> AsyncIterator[Description]:
        """Runs that a query (see `saros.model.query`) selects, newest first.

        :param query: empty for all.
        :param status: and that have this status.
        :raises Error: INVALID for a bad query.
        """
        async for description in self.backend.executions(selecting(query, status)):
            yield described(description)

    async def count(self, query: str = "", *, status: str = "") -> int:
        """How many runs a query selects.

        :param query: empty for all.
        :param status: and that have this status.
        :raises Error: INVALID for a bad query.
        """
        return await self.backend.count(selecting(query, status))

    # --- life -------------------------------------------------------------------------------

    async def _work(self, services: bool) -> None:
        workers = Job(self.backend.work(self.host), "the workers")
        stop = Job(self._stop.wait(), "the wait for the end")
        faults: list[Exception] = []

        def failed(error: Exception) -> None:
            faults.append(error)
            self._stop.set()

        self.backend.clock.failed = failed
        try:
            # Services need the workers, and stop first. They are not cancelled, but left: each takes its time.
            async with contextlib.AsyncExitStack() as stack:
                if services:
                    await self._serve(stack)
                self._serving.set()
                await asyncio.wait({workers.task, stop.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._serving.set()  # or never will
            await end_all([stop, workers], math.inf)  # a backend's own limits hold
        failure = workers.failure()
        if failure is not None:
            raise failure
        if faults:
            raise Error(f"a timer failed: {error_of(faults[0]).message}", INTERNAL) from faults[0]

    async def _serve(self, stack: contextlib.AsyncExitStack) -> None:
        """Start the services, until all run or the app is to stop."""
        joined = Job(self.backend.join(self.host), "joining the other nodes")
        stopped = Job(self._stop.wait(), "the wait for the end")
        try:
            await asyncio.wait({joined.task, stopped.task}, return_when=asyncio.FIRST_COMPLETED)
            if not joined.done():
                return
            await joined.wait()
        finally:
            await end_all([joined, stopped], LIMIT_S)
        await stack.enter_async_context(served(self.host, self.backend))
        for service in self.plugins.services():
            context = service.serve(self)
            if context is not None and not self._stop.is_set():
                await stack.enter_async_context(context)

    def start_workers(self, *, services: bool = True) -> asyncio.Task[None]:
        """Serve the app's task queues in the background.

        :param services: and what else it serves: supervised processes, schedules, HTTP.
        """
        if self._workers is None:
            if self._watchdog is not None:
                self._watchdog.start()
            self._stop, self._serving = asyncio.Event(), asyncio.Event()
            self._workers = Job(self._work(services), "the app")
            self._workers.task.add_done_callback(_tell_failure)
        return self._workers.task

    def reload(self) -> None:
        """Load the app anew: functions, new processes and workflows run its new code from now on.

        A workflow that runs replays on it with its next task (on Temporal, once its worker has it no longer in its
        cache). A process that runs goes on with its code; it hears OUTDATED if it is upgradable. Task queues, routes,
        schedules and the list of services stay as they are until the next start.

        :raises AppError: with every problem of the new version; the old one goes on.
        """
        if self._loading is None:
            raise Error("this app was not opened from a directory", INVALID, retryable=False)
        with contextlib.ExitStack() as stack:
            for runtime in self.plugins.runtimes():
                if runtime.reloading is not None:
                    stack.enter_context(runtime.reloading(str(self.registry.root)))
            newer = self._loading()
            check_code(newer)
        self.deployment.adopt(newer)
        self.host.outdated()

    async def serving(self) -> None:
        """Wait until what `start_workers` started serves, the services included, or has ended."""
        if self._workers is not None:
            await self._serving.wait()

    async def stop_workers(self) -> None:
        """Drain the workers: no new tasks, those begun are finished.

        :raises Exception: what the workers failed with, if they did.
        """
        workers, self._workers = self._workers, None
        if workers is not None:
            self._stop.set()
            with CancelScope(shield=True):
                await asyncio.wait({workers.task})
            failure = workers.failure()
            if failure is not None:
                raise failure

    async def close(self) -> None:
        """Drain the workers and close the backend."""
        with CancelScope(shield=True):
            try:
                await self.stop_workers()
            finally:
                if self._watchdog is not None:
                    self._watchdog.stop()
                await self.host.close()
                await self.backend.close()


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
) -> AsyncIterator[App]:
    """Open an application directory on a backend.

    :param path: None opens a client that knows no entries: for looking at executions and talking to them.
    :param backend: its URL; by default that in ``SAROS_BACKEND``, or ``memory://``.
    :param workers: serve the app's task queues here; False makes a client only.
    :param services: with workers, also serve its supervised processes, schedules and HTTP.
    :param plugins: by default all that are installed.
    :param options: of the backend, beside those of its URL.
    :param env: what ``${env:NAME}`` in YAML refers to; by default the environment.
    :param check: called with what is loaded, before anything is opened.
    :param watchdog: a process with workers ends, with a line on stderr and the status 86, when code of an entry
        blocks it for so many seconds; 0 for never (see `saros.app.watchdog`). Code that keeps Python's lock has the
        process killed instead.
    :raises AppError: for a bad app, with every problem.
    :raises Error: when the backend is unknown or cannot be reached.
    """
    import os

    plugins = plugins or installed()
    url = backend or os.environ.get("SAROS_BACKEND") or DEFAULT_BACKEND

    def loading() -> Deployment:
        loaded = load_app(path, plugins, env)
        if check is not None:
            check(loaded)
        return loaded

    deployment = loading()
    root = str(deployment.registry.root)
    given = {"root": root, **(options or {})}
    made = plugins.backend(url).make(url, given)
    await made.open(deployment)
    dog = None
    if watchdog > 0 and path is not None:
        elsewhere = Elsewhere(url, given, str(path), env, root, made.note, made.lost)
        dog = Watchdog(watchdog, made.blocked, elsewhere)
    app = App(deployment, made, plugins, dog, None if path is None else loading)
    try:
        if workers and path is not None:
            await made.join(app.host)
            app.start_workers(services=services)
            await app.serving()
        yield app
    finally:
        await app.close()


def _tell_failure(workers: asyncio.Task[None]) -> None:
    """Say at once that the workers have ended; whoever awaits or closes them gets the error."""
    if not workers.cancelled() and workers.exception() is not None:
        log.error("the workers of this app have stopped: %s", workers.exception())


def start_options_of(options: Mapping[str, Any]) -> StartOptions:
    """Start options from plain values, as Lua's ``process.with_options`` takes them.

    :raises Error: INVALID, naming the option.
    """
    if not options:
        return StartOptions()
    plain: dict[str, Any] = {}
    for key, value in options.items():
        name = key.removeprefix("temporal.").removeprefix("workflow.")
        plain[name] = value
    unknown = set(plain) - set(StartOptions.__struct_fields__)
    if unknown:
        raise Error(f"unknown start option {sorted(unknown)[0]}", "Invalid", retryable=False)
    try:
        return msgspec.json.decode(values.encode(plain), type=StartOptions)
    except msgspec.ValidationError as exc:
        raise Error(f"bad start option: {exc}", "Invalid", retryable=False) from exc
