"""The Python API: an opened application, and handles to its executions."""

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

from . import values
from .backend import Backend
from .background import LIMIT_S, Job, end_all
from .clock import Clock
from .deployment import Deployment, value_of
from .entries import AppError, Problem, Registry, load
from .entries.problems import in_order
from .errors import INVALID, NOT_FOUND, TIMEOUT, CodeError, Error
from .execution import (
    RUNNING,
    Description,
    HistoryPage,
    Pid,
    StartRequest,
    check_id,
    check_topic,
    new_id,
)
from .host import ProcessHost
from .options import check_start
from .plugins import Plugins, installed
from .presentation import Line, lines
from .program import CANCEL, MESSAGE, Ask, CancelRequest, Message, StartOptions, pack
from .python import fresh_modules
from .query import both, status_of
from .serving import served
from .watchdog import SILENCE_S, Watchdog

log = logging.getLogger("saros")

DEFAULT_BACKEND = "memory://"


def load_app(
    path: str | Path | None, plugins: Plugins | None = None, env: Mapping[str, str] | None = None
) -> Deployment:
    """Load an app and the runtimes for it; of the path None, an app without entries.

    :raises AppError: with every problem of its YAML files at once.
    """
    plugins = plugins or installed()
    if path is None:
        return Deployment(Registry(Path.cwd(), {}), {}, {})
    known = {*plugins.modules(), *(name for runtime in plugins.runtimes() for name in runtime.always)}
    return _deployment(load(path, plugins.kinds(), env, known_modules=known), plugins)


def check_app(path: str | Path, plugins: Plugins | None = None, *, thorough: bool = False) -> Deployment:
    """Load an app and compile all its code.

    :param thorough: whether to read the code, too, for what would fail where it runs.
    :raises AppError: with every problem of YAML and code.
    """
    plugins = plugins or installed()
    try:
        deployment = load_app(path, plugins)
    except AppError as error:
        if error.rest is None:
            raise
        rest = _deployment(error.rest, plugins)
        problems = code_problems(rest)
        if thorough:
            problems = with_findings(problems, rest, complete=False)
        raise AppError([*error.problems, *problems], error.rest) from None
    problems = code_problems(deployment)
    if thorough:
        problems = with_findings(problems, deployment, complete=True)
    if problems:
        raise AppError(problems, deployment.registry)
    return deployment


def check_code(deployment: Deployment) -> None:
    """Compile all the code of an app.

    :raises AppError: with every problem.
    """
    if problems := code_problems(deployment):
        raise AppError(problems, deployment.registry)


def code_problems(deployment: Deployment) -> list[Problem]:
    """What is wrong with an app's code; a mistake in what several entries share is told once."""
    problems: dict[tuple[str, str], Problem] = {}
    for entry in sorted(deployment.registry.entries.values(), key=lambda entry: entry.role != "library"):
        runner: Any = deployment.programs.get(entry.runtime) or deployment.functions.get(entry.runtime)
        if runner is None:
            continue
        try:
            runner.check(entry)
        except CodeError as error:
            where = error.where or entry.where()
            problem = Problem(error.message, where, entry.id, error.hint or "")
            problems.setdefault((error.message, where), problem)
    return list(problems.values())


def with_findings(problems: list[Problem], deployment: Deployment, *, complete: bool) -> list[Problem]:
    """These problems, and what reading the code finds in other lines.

    :param complete: whether all entries of the app are there.
    """
    told = {problem.where: problem for problem in problems}
    found: dict[tuple[str, str], Problem] = {}
    for entry in deployment.registry.entries.values():
        runtime = deployment.programs.get(entry.runtime)
        for problem in [] if runtime is None else runtime.findings(entry, complete=complete):
            if problem.where not in told:
                found.setdefault((problem.message, problem.where), problem)
    return in_order([*problems, *found.values()])


def _deployment(registry: Registry, plugins: Plugins) -> Deployment:
    modules = plugins.modules()
    programs: dict[str, Any] = {}
    functions: dict[str, Any] = {}
    for runtime in plugins.runtimes():
        (functions if runtime.functions else programs)[runtime.name] = runtime.make(registry, modules)
    return Deployment(registry, programs, functions, modules)


class Handle:
    """One execution. Without `run_id` every method means its newest run.

    :param created: what `App.start` says: False when it ran already, and the handle is that of the one that runs.
    """

    def __init__(self, app: App, id: str, run_id: str = "", pid: str = "", *, created: bool = False) -> None:
        self._app = app
        self.id = id
        self.run_id = run_id
        self.pid = pid
        self.created = created

    def __repr__(self) -> str:
        return f"Handle({self.id!r}, run_id={self.run_id!r})"

    @property
    def _pid(self) -> Pid:
        return Pid.parse(self.pid) or Pid("", self.id)

    async def result(self, timeout: float | None = None) -> Any:
        """Wait for the end, at most `timeout` seconds, and give the result.

        :raises Error: what the execution failed with; TIMEOUT when it did not end in time.
        """
        try:
            async with asyncio.timeout(timeout):
                body = await self._app.backend.result(self.id, self.run_id)
        except TimeoutError:
            raise Error(f"{self.id} did not end within {timeout:g} s", TIMEOUT) from None
        return values.decode(value_of(body))

    async def signal(self, topic: str, *payloads: Any) -> None:
        """Send a message.

        :raises Error: NOT_FOUND when it does not run; INVALID for a topic that begins with ``@``.
        """
        message = Message(check_topic(topic), "", msgspec.Raw(values.encode_args(payloads)))
        if not await self._app.backend.send(self._pid, MESSAGE, pack(message), new_id()):
            raise _not_running(self.id)

    async def query(self, name: str, *args: Any) -> Any:
        """Ask a handler of ``workflow.on_query``.

        :raises Error: NOT_FOUND, or what the handler failed with.
        """
        return values.decode(
            await self._app.backend.query(self.id, name, values.encode_args(args), self.run_id)
        )

    async def update(self, name: str, *args: Any) -> Any:
        """Have a handler of ``workflow.on_update`` do something, and give what it returns.

        :raises Error: NOT_FOUND, or what the validator or handler failed with.
        """
        return values.decode(await self._app.backend.update(self.id, name, values.encode_args(args)))

    async def cancel(self, reason: str = "") -> None:
        """Ask the execution to end.

        :raises Error: NOT_FOUND when it does not run.
        """
        body = pack(CancelRequest("", reason))
        if not await self._app.backend.send(self._pid, CANCEL, body, new_id()):
            raise _not_running(self.id)

    async def terminate(self, reason: str = "") -> None:
        """End the execution at once.

        :raises Error: NOT_FOUND when it does not run.
        """
        if not await self._app.backend.ask(self._pid, Ask("terminate", reason=reason), ""):
            raise _not_running(self.id)

    async def release(self) -> None:
        """Have the task of a parked execution tried again now, instead of after its pause.

        :raises Error: NOT_FOUND when none is parked.
        """
        await self._app.backend.release(self.id)

    async def describe(self) -> Description:
        """:raises Error: NOT_FOUND."""
        return await self._app.backend.describe(self.id, self.run_id)

    async def history(self) -> list[Line]:
        """The readable history of the run.

        :raises Error: NOT_FOUND.
        """
        page = await self._app.backend.history(self.id, self.run_id)
        return lines(page.records, page.start)

    async def export(self) -> Any:
        """The history as JSON data that `saros replay` reads."""
        return await self._app.backend.export(self.id, self.run_id)

    async def watch(self) -> AsyncIterator[Line]:
        """Readable events as they happen, from the first on, until the execution has ended."""
        run_id, start = self.run_id, 0
        opened: dict[int, Any] = {}
        while True:
            page: HistoryPage = await self._app.backend.history(self.id, run_id, start, wait=True)
            for line in lines(page.records, start, opened):
                yield line
            run_id, start = page.run.run_id, start + len(page.records)
            if page.status == RUNNING:
                continue
            if not page.next_run_id:
                return
            run_id, start, opened = page.next_run_id, 0, {}


class App:
    """An opened application; made by `saros.open`."""

    def __init__(
        self,
        deployment: Deployment,
        backend: Backend,
        plugins: Plugins,
        watchdog: float = 0.0,
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
        self._watchdog = Watchdog(watchdog, backend.blocked) if watchdog > 0 else None

    @property
    def registry(self) -> Registry:
        return self.deployment.registry

    @property
    def clock(self) -> Clock:
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
        :param options: start options as in Lua, without prefix: ``{"id_reuse_policy": ...}``; times in ms.
        :param messages: (topic, payload) pairs that it finds in its inbox before any other.
        :raises Error: NOT_FOUND, ALREADY_EXISTS, INVALID.
        """
        workflow = self.deployment.workflow(entry)
        worker_id, queue = self.deployment.worker_and_queue(workflow, worker)
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

        :raises Error: what the function failed with.
        """
        await self.backend.join(self.host)
        return await self.host.run(entry, list(args), dict(context or {}))

    def get(self, id: str, run_id: str = "") -> Handle:
        """A handle to an existing execution."""
        return Handle(self, id, run_id)

    async def list(self, query: str = "", *, status: str = "") -> AsyncIterator[Description]:
        """Runs that a query (see `saros.query`) selects, newest first.

        :raises Error: INVALID for a bad query.
        """
        async for description in self.backend.executions(_selecting(query, status)):
            yield description

    async def count(self, query: str = "", *, status: str = "") -> int:
        """How many runs a query selects.

        :raises Error: INVALID for a bad query.
        """
        return await self.backend.count(_selecting(query, status))

    # --- life -------------------------------------------------------------------------------

    async def _work(self, services: bool) -> None:
        workers = Job(self.backend.work(self.host), "the workers")
        stop = Job(self._stop.wait(), "the wait for the end")
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
        with fresh_modules(str(self.registry.root)):
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
    :param watchdog: a process with workers ends, with a line on stderr and the status 86, when code of an entry
        blocks it for so many seconds; 0 for never (see `saros.watchdog`).
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
    made = plugins.backend(url).make(url, {"root": str(deployment.registry.root), **(options or {})})
    await made.open(deployment)
    app = App(deployment, made, plugins, watchdog, None if path is None else loading)
    try:
        if workers and path is not None:
            await made.join(app.host)
            app.start_workers(services=services)
            await app.serving()
        yield app
    finally:
        await app.close()


def _selecting(query: str, status: str) -> str:
    return both(query, f"status = '{status_of(status)}'" if status else "")


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


def _not_running(id: str) -> Error:
    return Error(f"workflow {id} not found, or it has ended", NOT_FOUND, retryable=False)
