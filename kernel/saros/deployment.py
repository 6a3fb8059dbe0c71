"""A deployment: one application with the plugins that run it. Drivers ask it what an entry is and can do."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

import msgspec

from . import values
from .entries import Entry, Registry
from .entries.registry import DEFAULT_TASK_QUEUE
from .errors import INTERNAL, INVALID, NOT_FOUND, CodeError, Error, ErrorData
from .modules import Module, Service
from .plain import cut, json_visible, one_line, shown
from .program import CallOptions, Facts, Outcome, Program, Runtime, StartOptions
from .raw import Raw
from .scope import CallScope
from .values import Json

DEFAULT_QUEUE = DEFAULT_TASK_QUEUE


class Functions(Protocol):
    """Runs the functions of a runtime whose code does real I/O, such as Python."""

    def check(self, entry: Entry) -> None:
        """Raise `CodeError` when the entry's code cannot run."""
        ...

    def call(self, entry: Entry, args: Raw, scope: CallScope) -> Awaitable[Json]:
        """Run one attempt and return the result's JSON; raises `saros.Error`, or whatever the code raises."""
        ...


class Deployment:
    """:param programs: runtime name -> what makes programs of its entries.
    :param functions: runtime name -> what runs its functions.
    """

    def __init__(
        self,
        registry: Registry,
        programs: Mapping[str, Runtime],
        functions: Mapping[str, Functions],
        modules: Mapping[str, Module] | None = None,
    ) -> None:
        self.registry = registry
        self.programs = programs
        self.functions = functions
        self.version = 0
        """How often the app was loaded anew: a program that an older version made runs older code."""
        self.services: dict[str, Service] = {}
        for module in (modules or {}).values():
            self.services.update(module.services)

    def entry(self, id: str) -> Entry:
        """:raises Error: NOT_FOUND; retryable, because another version of the app may have the entry."""
        entry = self.registry.get(id)
        if entry is None:
            raise Error(f"the app has no entry {one_line(cut(id))}", NOT_FOUND, retryable=True)
        return entry

    def workflow(self, id: str) -> Entry:
        """The workflow with that entry id or type name.

        :raises Error: NOT_FOUND or INVALID.
        """
        entry = self.registry.get(id) or self.registry.by_type(id)
        if entry is None:
            raise Error(f"the app has no workflow {one_line(cut(id))}", NOT_FOUND, retryable=True)
        if entry.role != "workflow":
            raise Error(
                f"{id} is a {entry.kind}, not a workflow", INVALID, retryable=False, where=entry.where()
            )
        return entry

    def callable(self, id: str) -> Entry:
        """The function (or process) that a call names.

        :raises Error: NOT_FOUND or INVALID.
        """
        entry = self.entry(id)
        if entry.role not in ("function", "process"):
            raise Error(
                f"{id} is a {entry.kind}, which cannot be called as a function",
                INVALID,
                retryable=False,
            )
        return entry

    def program(self, entry: Entry, *, workflow: bool, facts: Facts, trace: bool = False) -> Program:
        """A fresh program of an entry; with `trace` it knows the line of each command.

        :raises CodeError: when its code cannot be loaded.
        """
        runtime = self.programs.get(entry.runtime)
        if runtime is None:
            raise CodeError(f"no installed plugin runs entries of kind {entry.kind}", where=entry.where())
        return runtime.program(entry, workflow=workflow, facts=facts, trace=trace)

    def worker_and_queue(self, entry: Entry, host: str) -> tuple[str, str]:
        """The worker and the task queue for a workflow that is started on `host`.

        A host is a worker's entry id, "@" for the worker that the entry names, or a task queue.

        :raises Error: NOT_FOUND or INVALID.
        """
        registry = self.registry
        if host in ("", "@"):
            worker = registry.worker_of(entry)
            return worker, registry.task_queue(worker)
        found = registry.resolve(host, entry.namespace)
        if found is None or found.kind != "temporal.worker":
            for candidate in registry.of_kind("temporal.worker"):
                if registry.task_queue(candidate.id) == host:
                    return candidate.id, host
        if found is None:
            if host == DEFAULT_QUEUE and not registry.of_kind("temporal.worker"):
                return "", host
            raise Error(f"there is no worker {one_line(cut(host))}", NOT_FOUND, retryable=False)
        if found.kind != "temporal.worker":
            raise Error(
                f"{host} is a {found.kind}; workflows run on a temporal.worker", INVALID, retryable=False
            )
        return found.id, registry.task_queue(found.id)

    def check_namespace(self, options: StartOptions, worker: str, actual: str = "default") -> None:
        """Check that the option ``namespace`` of a start, if any, names where the worker works.

        :param actual: that namespace's own name, which its client entry may not tell.
        :raises Error: INVALID, naming both.
        """
        if not options.namespace:
            return
        client = self.registry.client_of(worker)
        declared = client.get("namespace") if client else actual
        if options.namespace not in (declared, actual):
            raise Error(
                f"option namespace is {shown(options.namespace)}, but the worker {worker or '(default)'} works for"
                f" {shown(declared)}; start it on a worker whose client has that namespace",
                INVALID,
                retryable=False,
            )

    def call_queue(self, entry: Entry | None, options: CallOptions, caller_queue: str) -> str:
        """The task queue on which a workflow's call runs."""
        if options.task_queue:
            return options.task_queue
        if entry is not None and entry.worker:
            return self.registry.task_queue(entry.worker)
        return caller_queue

    def is_local(self, entry: Entry | None, options: CallOptions) -> bool:
        """Whether a workflow's call runs inside the workflow's own task."""
        if entry is None or options.task_queue:
            return False
        return entry.local if options.local is None else options.local

    def adopt(self, newer: Deployment) -> None:
        """Be that of an app that was loaded anew. Programs that run go on with the code that they have."""
        self.registry, self.services = newer.registry, newer.services
        self.programs, self.functions = newer.programs, newer.functions
        self.version += 1

    def refresh(self) -> None:
        """Have sources read anew, after code could not run."""
        for runtime in self.programs.values():
            runtime.refresh()

    def log(self, level: str, message: str, fields: Json, name: str) -> None:
        """Write what an entry's code logs; `name` is its entry and execution."""
        logger = logging.getLogger("saros.app")
        number = logging.getLevelName(level.upper())
        if isinstance(number, int) and logger.isEnabledFor(number):
            text = "" if fields in (b"", b"{}", b"[]") else " " + json_visible(fields.decode())
            parts = {"message": message, "fields": msgspec.json.decode(fields or b"{}"), "source": name}
            logger.log(number, "%s%s [%s]", one_line(message), text, one_line(name), extra={"saros": parts})

    def task_queues(self) -> tuple[str, ...]:
        """The task queues that this app's workers serve."""
        workers = self.registry.of_kind("temporal.worker")
        queues = [self.registry.task_queue(worker.id) for worker in workers]
        return tuple(dict.fromkeys(queues)) or (DEFAULT_QUEUE,)


def value_of(body: Json) -> Json:
    """The value in an `Outcome`.

    :raises Error: what it failed with.
    """
    outcome = msgspec.json.decode(body, type=Outcome)
    if outcome.err is not None:
        raise values.to_error(outcome.err)
    return bytes(outcome.ok) if outcome.ok else values.NULL


def error_of(raised: BaseException) -> ErrorData:
    """What an exception that a function raised is to its caller (see "Failure semantics"). It raises nothing."""
    if isinstance(raised, Error):
        try:
            return values.error_data(raised)
        except Exception:  # a class of the user's own, without what an Error has
            return ErrorData(
                f"{values.text_of(type(raised).__name__)} is not a whole saros.Error", INTERNAL, False
            )
    kind: str
    if isinstance(raised, TimeoutError):
        kind = "Timeout"
    elif isinstance(raised, OSError):
        kind = "Unavailable"
    else:
        kind = "Internal"
    name = values.text_of(type(raised).__name__)
    text = values.text_of(raised) or name
    retryable: Any = None if kind != "Internal" else False
    return ErrorData(f"{name}: {text}" if kind == "Internal" else text, kind, retryable)
