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
from ..interfaces.backend import Backend
from ..interfaces.deployment import Deployment
from ..model import values
from ..model.background import LIMIT_S, Job, end_all
from ..model.clock import Clock
from ..model.errors import INTERNAL, INVALID, Error
from ..model.execution import StartRequest, check_id, check_topic, error_of, new_id
from ..model.options import check_start, parse_start_options
from ..model.query import selecting
from ..model.records import Message
from ..processes import ProcessHost
from .description import Description, described
from .handle import Handle
from .serving import served
from .watchdog import Watchdog

log = logging.getLogger("saros")

Serve = Callable[["App"], AbstractAsyncContextManager[None] | None]
"""Gives a context within which a service runs, or None if the app has none."""


class App(AppInsight):
    """An opened application; made by `saros.open`.

    :ivar backend: where its workflows live, as the rest of Saros sees it: raw values, nanoseconds.
    """

    def __init__(
        self,
        deployment: Deployment,
        backend: Backend,
        services: Sequence[Serve] = (),
        watchdog: Watchdog | None = None,
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
            tuple(
                Message(check_topic(topic), "", msgspec.Raw(values.encode_args([body])))
                for topic, body in messages
            ),
            name,
            request_id=new_id(),
        )
        check_start(start_options, request.id)
        started = await self.backend.start(request)
        return Handle(self.backend, started.id, started.run_id, started.pid, created=started.created)

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
        return Handle(self.backend, id, run_id, only_run=bool(run_id))

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
        for serve in self._services:
            context = serve(self)
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
        if self._reloading is None:
            raise Error("this app was not opened from a directory", INVALID, retryable=False)
        with self._reloading() as newer:
            pass  # the runtimes keep the new code once the context has ended without an error
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


def _tell_failure(workers: asyncio.Task[None]) -> None:
    """Say at once that the workers have ended; whoever awaits or closes them gets the error."""
    if not workers.cancelled() and workers.exception() is not None:
        log.error("the workers of this app have stopped: %s", workers.exception())
