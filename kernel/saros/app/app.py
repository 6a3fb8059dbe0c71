"""The Python API: an opened application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import msgspec
from anyio import CancelScope

from ..entries import Registry
from ..insight.app_insight import AppInsight
from ..insight.query import selecting
from ..interfaces.backend import Backend
from ..interfaces.deployment import Deployment
from ..model import values
from ..model.background import LIMIT_S, Job, end_all
from ..model.clock import Clock
from ..model.errors import INTERNAL, INVALID, Error
from ..model.execution import StartRequest, check_id, check_text, error_of, new_id
from ..model.options import check_name, check_start, parse_start_options
from ..processes import ProcessHost
from .description import Description, described
from .handle import Handle, message_of

log = logging.getLogger("saros")

Serve = Callable[["App"], AbstractAsyncContextManager[None] | None]
"""Returns a context manager that runs a service, or None if the app has none."""
Guard = Callable[[], AbstractContextManager[None]]
"""Returns a context manager within which something watches over this process."""


class App(AppInsight):
    """An opened application; made by `saros.open`.

    :ivar backend: where its workflows live, as the rest of Saros sees it: raw values, nanoseconds.
    """

    def __init__(
        self,
        deployment: Deployment,
        backend: Backend,
        services: Sequence[Serve] = (),
        guards: Sequence[Guard] = (),
        reloading: Callable[[], AbstractContextManager[Deployment]] | None = None,
    ) -> None:
        self._reloading = reloading
        self.deployment = deployment
        self.backend = backend
        self._services = services
        self.host = ProcessHost(deployment, backend, backend.clock)
        self._workers: Job[None] | None = None
        self._stop = asyncio.Event()
        self._serving = asyncio.Event()
        self._guards = guards
        self._guarding: contextlib.ExitStack | None = None

    @property
    def registry(self) -> Registry:
        """The entries of the app."""
        return self.deployment.registry

    @property
    def clock(self) -> Clock:
        """The clock of this app: real, or virtual with ``memory://?time=skip``."""
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
        :param args: its arguments.
        :param id: the workflow id; by default a random one.
        :param name: the name under which it is registered; also the id, if none is given.
        :param worker: the entry of the worker that runs it; by default that of its entry's meta.
        :param options: start options as in Lua, without prefix: ``{"id_reuse_policy": ...}``; times in ms.
        :param context: values of ``ctx``, which are passed on to everything that it calls.
        :param messages: (topic, payload) pairs, which are in its inbox before any other message.
        :raises Error: NOT_FOUND, ALREADY_EXISTS, INVALID.
        """
        workflow = self.deployment.registry.workflow(entry)
        worker_id, queue = self.deployment.registry.worker_and_queue(workflow, worker)
        start_options = parse_start_options(options or {})
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
            tuple(message_of(topic, [body]) for topic, body in messages),
            check_name(name),
            request_id=new_id(),
        )
        check_start(start_options, request.id)
        started = await self.backend.start(request)
        return Handle(self.backend, started.id, started.run_id, started.pid, created=started.created)

    async def call(self, entry: str, *args: Any, context: Mapping[str, Any] | None = None) -> Any:
        """Run a function in this process and return its result. Other processes can reach it while it runs.

        :param entry: entry id.
        :param args: its arguments.
        :param context: values of ``ctx``.
        :raises Error: the function's failure.
        """
        await self.backend.join(self.host)
        return await self.host.run(entry, list(args), dict(context or {}))

    def get(self, id: str, run_id: str = "") -> Handle:
        """Return a handle to an execution, without checking that it exists.

        :param run_id: the run to which all methods of the handle apply; empty for the newest.
        :raises Error: INVALID for text that is not valid Unicode.
        """
        check_text(id, "workflow id")
        return Handle(self.backend, id, check_text(run_id, "run id"), only_run=bool(run_id))

    async def list(self, query: str = "", *, status: str = "") -> AsyncIterator[Description]:
        """Runs that a query (see `saros.insight.query`) selects, newest first.

        :param query: empty for all.
        :param status: only runs with this status.
        :raises Error: INVALID for a bad query.
        """
        async for description in self.backend.executions(selecting(query, status)):
            yield described(description)

    async def count(self, query: str = "", *, status: str = "") -> int:
        """The number of runs that a query selects.

        :param query: empty for all.
        :param status: count only runs with this status.
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
            # Services need the workers, so they stop first. They are not cancelled: each stops in its own time.
            async with contextlib.AsyncExitStack() as stack:
                if services:
                    await self._serve(stack)
                self._serving.set()
                await asyncio.wait({workers.task, stop.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._serving.set()  # wakes `serving`, which would otherwise wait for ever
            await end_all([stop, workers], math.inf)  # a backend's own limits hold
        failure = workers.failure()
        if failure is not None:
            raise failure
        if faults:
            raise Error(f"a timer failed: {error_of(faults[0]).message}", INTERNAL) from faults[0]

    async def _serve(self, stack: contextlib.AsyncExitStack) -> None:
        """Start the services; return when all run or the app must stop."""
        joined = Job(self.backend.join(self.host), "joining the other nodes")
        stopped = Job(self._stop.wait(), "the wait for the end")
        try:
            await asyncio.wait({joined.task, stopped.task}, return_when=asyncio.FIRST_COMPLETED)
            if not joined.done():
                return
            await joined.wait()
        finally:
            await end_all([joined, stopped], LIMIT_S)
        for serve in self._services:
            context = serve(self)
            if context is not None and not self._stop.is_set():
                await stack.enter_async_context(context)

    def start_workers(self, *, services: bool = True) -> asyncio.Task[None]:
        """Serve the app's task queues in the background.

        :param services: also run the app's services: supervised processes, schedules, HTTP.
        """
        if self._workers is None:
            if self._guarding is None:
                self._guarding = contextlib.ExitStack()
                for guard in self._guards:
                    self._guarding.enter_context(guard())
            self._stop, self._serving = asyncio.Event(), asyncio.Event()
            self._workers = Job(self._work(services), "the app")
            self._workers.task.add_done_callback(_tell_failure)
        return self._workers.task

    def reload(self) -> None:
        """Reload the app: functions, new processes and workflows run the new code from now on.

        A running workflow replays on the new code with its next task (on Temporal, once it has left its worker's
        cache). A running process keeps its code; it receives OUTDATED if it is upgradable. Task queues, routes,
        schedules and the list of services do not change until the next start.

        :raises AppError: with every problem of the new version; the old version stays in use.
        """
        if self._reloading is None:
            raise Error("this app was not opened from a directory", INVALID, retryable=False)
        with self._reloading() as newer:
            pass  # the runtimes keep the new code when the context ends without an error
        self.deployment.adopt(newer)
        self.host.outdated()

    async def serving(self) -> None:
        """Wait until the workers and services that `start_workers` started are ready, or have ended."""
        if self._workers is not None:
            await self._serving.wait()

    async def stop_workers(self) -> None:
        """Drain the workers: take no new tasks, and finish those that have begun.

        :raises Exception: the workers' failure, if any.
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
                if self._guarding is not None:
                    self._guarding.close()
                await self.host.close()
                if self.deployment.observer is not None:
                    await self.deployment.observer.close()
                await self.backend.close()


def _tell_failure(workers: asyncio.Task[None]) -> None:
    """Log the workers' failure immediately; callers that wait for or close them get the error."""
    if not workers.cancelled() and workers.exception() is not None:
        log.error("the workers of this app have stopped: %s", workers.exception())
