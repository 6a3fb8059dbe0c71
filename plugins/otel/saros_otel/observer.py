"""The observer: turns what it hears into spans and metrics."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from anyio import to_thread
from opentelemetry import trace as api
from opentelemetry.context import Context, attach
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode

from saros.interfaces.activations import watch
from saros.interfaces.backend import Backend
from saros.interfaces.deployment import Deployment
from saros.interfaces.observer import PARKED, Closed, Done, Span
from saros.interfaces.runtime import CallScope
from saros.interfaces.store import OK
from saros.model.background import Job, Jobs
from saros.model.errors import Error
from saros.model.execution import CONTINUED
from saros.model.records import Outcome
from saros.model.values import Json

from .backlog import follow_queues
from .carriers import Contexts, is_linked, linked, read, written
from .histories import Histories
from .instruments import Instruments
from .parked import ParkedRuns
from .setup import metering, resource, tracing
from .timed import Timed
from .wanted import Wanted

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

log = logging.getLogger("saros.otel")

AT_ONCE: Final = 8
"""The most histories that are read concurrently to write their spans."""
LAST_S: Final = 10.0
"""How long a process that ends may take to export what is pending."""
_KNOWN: Final = 10_000
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class OtelObserver:
    """See `saros.interfaces.observer.Observer`."""

    def __init__(
        self,
        deployment: Deployment,
        backend: Backend,
        tracers: tuple[TracerProvider, SpanProcessor | None],
        meters: tuple[MeterProvider, CollectorRegistry | None],
    ) -> None:
        self._deployment = deployment
        self._backend = backend
        self._tracers, self._processor = tracers
        self._meters, self._registry = meters
        self._tracer = self._tracers.get_tracer("saros") if self._processor is not None else None
        self._contexts = Contexts(self._tracers.sampler)
        self._histories = Histories(backend, self._contexts, self._tracers.resource)
        self._instruments = Instruments(self._meters.get_meter("saros"), self._registry)
        self._jobs = Jobs()
        self._queues: Job[None] | None = None
        self._free = asyncio.Semaphore(AT_ONCE)
        self._written: OrderedDict[str, None] = OrderedDict()  # runs
        self._running = 0
        self._instruments.measure("saros_activity_running", {}, lambda: self._running)
        self.parked = ParkedRuns(self._instruments)
        watch.meters.append(self._used)

    # --- spans ----------------------------------------------------------------------------------

    def client(self, call: str, id: str, workflow: str, trace: str) -> Span:
        labels = {"operation": call}
        span = None
        if self._tracer is not None:
            given = read(trace)
            name = f"{call.capitalize()}Workflow" + (f":{workflow}" if workflow else "")
            context = _within(given) if given is not None else None
            kind = SpanKind.PRODUCER if call in ("start", "signal") else SpanKind.CLIENT
            span = self._tracer.start_span(name, context, kind, {"saros.workflow_id": id})

        def ended(seconds: float, route: str, error: str) -> None:
            self._instruments.count("saros_request", labels)
            self._instruments.record("saros_request_latency", labels, seconds)
            if error:
                self._instruments.count("saros_request_failure", {**labels, "error_kind": error})
            _end(span, error)

        return Timed(span, ended)

    def request(self, server: str, method: str, headers: Mapping[str, str]) -> Span:
        span = None
        method = method if method in _METHODS else "other"
        if self._tracer is not None:
            given = read(headers.get("traceparent", ""))
            attributes = {"http.request.method": method, "saros.server": server}
            span = self._tracer.start_span(
                method, _within(given) if given is not None else Context(), SpanKind.SERVER, attributes
            )

        def ended(seconds: float, route: str, status: str) -> None:
            labels = {"server": server, "method": method, "route": route, "status": status}
            self._instruments.record("saros_http_request_latency", labels, seconds)
            if span is not None:
                span.update_name(f"{method} {route}")
                span.set_attributes({"http.route": route, "http.response.status_code": int(status)})
                _end(span, status if status >= "500" else "")

        return Timed(span, ended)

    def attempt(self, entry: str, scope: CallScope, trace: str, done: Done) -> Done:
        info, began = scope.info, time.perf_counter()
        labels = {"task_queue": str(info.get("task_queue", "")), "activity_type": entry}
        span = self._attempt_span(entry, info, trace)
        if span is not None:
            scope.trace = written(span.get_span_context())
            within = api.set_span_in_context(span)
            scope.on_enter.append(lambda: attach(within))
        if info.get("attempt") == 1:
            waited = time.time() - info.get("scheduled_time", 0) / 1e9
            self._instruments.record("saros_activity_schedule_to_start_latency", labels, waited)
        self._running += 1

        def ended(outcome: Json) -> None:
            self._running -= 1
            self._instruments.record("saros_activity_execution_latency", labels, time.perf_counter() - began)
            kind = _kind_of(outcome)
            if kind:
                failed = {**labels, "error_kind": kind}
                self._instruments.count("saros_activity_execution_failed", failed)
            _end(span, kind)
            done(outcome)

        return ended

    def _attempt_span(self, entry: str, info: Mapping[str, Any], trace: str) -> api.Span | None:
        if self._tracer is None:
            return None
        run_id, activity_id = str(info.get("run_id", "")), str(info.get("activity_id", ""))
        attributes: dict[str, str | int] = {
            "saros.workflow_id": str(info.get("workflow_id", "")),
            "saros.run_id": run_id,
            "saros.entry": entry,
            "saros.attempt": int(info.get("attempt", 1)),
        }
        parent = self._contexts.of(trace, run_id, activity_id)
        return self._tracer.start_span(f"RunActivity:{entry}", _within(parent), SpanKind.SERVER, attributes)

    # --- workflow tasks -------------------------------------------------------------------------

    def taken(self, queue: str, workflow: str) -> None:
        self._instruments.count("saros_workflow_task_taken", _task(queue, workflow))

    def cached(self, queue: str, workflow: str, hit: bool) -> None:
        name = "saros_sticky_cache_hit" if hit else "saros_sticky_cache_miss"
        self._instruments.count(name, _task(queue, workflow))

    def replayed(self, queue: str, workflow: str, events: int, seconds: float) -> None:
        labels = _task(queue, workflow)
        self._instruments.count("saros_replayed_events", labels, events)
        self._instruments.record("saros_workflow_task_replay_latency", labels, seconds)

    def task_ended(self, queue: str, workflow: str, run_id: str, result: str, seconds: float) -> None:
        labels = _task(queue, workflow)
        self.parked.heard(workflow, run_id, result == PARKED)
        if result == PARKED:
            self._instruments.count("saros_workflow_task_execution_failed", labels)
            return
        self._instruments.record("saros_workflow_task_execution_latency", labels, seconds)
        if result != OK:
            self._instruments.count("saros_commit_refused", {**labels, "reason": result})

    def closed(self, closed: Closed) -> None:
        name = "continue_as_new" if closed.status == CONTINUED else closed.status
        self._instruments.count(f"saros_workflow_{name}", _task(closed.task_queue, closed.type))
        if self._processor is None or closed.run_id in self._written:
            return
        self._written[closed.run_id] = None
        if len(self._written) > _KNOWN:
            self._written.popitem(last=False)
        self._jobs.start(self._write(closed.id, closed.run_id), f"writing the trace of {closed.id}")

    async def _write(self, id: str, run_id: str) -> None:
        """Write the spans of a run that has ended."""
        processor = self._processor
        if processor is None:
            return
        try:
            async with self._free:
                for span in await self._histories.spans(id, run_id):
                    processor.on_end(span)
        except Error as error:
            log.warning(
                "the trace of %s was not written: %s; write it later with saros trace --export", id, error
            )

    def _used(self, entry: str, instructions: int, grown: int) -> None:
        """See `saros.interfaces.activations.Meter`."""
        labels = {"entry": entry}
        self._instruments.count("saros_lua_instructions", labels, instructions)
        self._instruments.add("saros_lua_memory", labels, grown)

    def handed(self, workflow: str, trace: str, parent: str = "") -> str:
        if parent and (not trace or is_linked(trace)):
            trace = parent  # the trace begins with that run
        entry = self._deployment.registry.by_type(workflow)
        wanted = entry is not None and entry.get("meta.trace") == "linked"
        return linked(trace) if wanted else trace

    def delivered(self, op: str, error: str) -> None:
        if error:
            self._instruments.count("saros_delivery_failure", {"operation": op, "error_kind": error})
        else:
            self._instruments.count("saros_delivered", {"operation": op})

    def fired(self, schedule: str) -> None:
        self._instruments.count("saros_schedule_fired", {"schedule": schedule})

    def measure(self, name: str, labels: Mapping[str, str], value: Callable[[], float]) -> None:
        self._instruments.measure(name, labels, value)

    def metrics(self) -> tuple[str, bytes] | None:
        if self._registry is None:
            return None
        from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)

    def follow_queues(self) -> None:
        """Start to measure the backend's task queues."""
        self._queues = Job(follow_queues(self._backend, self._instruments), "measuring task queues")

    async def close(self) -> None:
        watch.meters.remove(self._used)
        if self._queues is not None:
            await self._queues.end()
        await self._jobs.wait(LAST_S)
        await self._jobs.end()
        await to_thread.run_sync(self._shut_down)

    def _shut_down(self) -> None:
        self._tracers.shutdown()
        self._meters.shutdown()


def make(deployment: Deployment, backend: Backend, wanted: Wanted) -> OtelObserver:
    """Return an observer that exports what is wanted."""
    about = resource()
    made = OtelObserver(
        deployment, backend, tracing(wanted.traces, about), metering(wanted.metrics, wanted.scraped, about)
    )
    if wanted.metrics or wanted.scraped:
        made.follow_queues()
    return made


def _task(queue: str, workflow: str) -> dict[str, str]:
    return {"task_queue": queue, "workflow_type": workflow}


def _within(parent: SpanContext) -> Context:
    return api.set_span_in_context(NonRecordingSpan(parent), Context())


def _end(span: api.Span | None, error: str) -> None:
    if span is not None:
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end()


def _kind_of(outcome: Json) -> str:
    """The kind of the error in an `Outcome`; empty for success."""
    if outcome.startswith(b'{"ok"') or outcome == b"{}":
        return ""
    error = msgspec.json.decode(outcome, type=Outcome).err
    return error.kind if error is not None else ""
