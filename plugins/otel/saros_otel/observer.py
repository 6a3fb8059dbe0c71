"""The observer: turns what it hears into spans and metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec
from anyio import to_thread
from opentelemetry import trace as api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanContext, SpanKind

from saros.interfaces.activations import watch
from saros.interfaces.backend import Backend
from saros.interfaces.deployment import Deployment
from saros.interfaces.observer import PARKED, Closed, Done, Span
from saros.interfaces.runtime import CallScope
from saros.interfaces.store import OK
from saros.model.background import Job
from saros.model.execution import CONTINUED
from saros.model.records import Outcome
from saros.model.values import Json

from .backlog import follow_queues
from .carriers import Contexts, activity_span_id_of, is_linked, linked, read
from .instruments import Instruments
from .parked import ParkedRuns
from .setup import metering, resource, tracing
from .timed import Timed
from .traces.ended import failed
from .traces.run_spans import RunSpans
from .traces.spans import LiveSpan, Spans, Unsampled
from .wanted import Wanted

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_PRODUCERS: Final = ("start", "signal")


class OtelObserver:
    """See `saros.interfaces.observer.Observer`.

    :param tracers: the processor is None if nobody wants traces.
    :param meters: the collector is None if metrics are not scraped.
    :param pushed: whether metrics are exported. Metrics that are only scraped are counted once a server offers them.
    """

    def __init__(
        self,
        deployment: Deployment,
        backend: Backend,
        tracers: tuple[TracerProvider, SpanProcessor | None],
        meters: tuple[MeterProvider, CollectorRegistry | None],
        pushed: bool,
    ) -> None:
        self._deployment = deployment
        self._backend = backend
        self._tracers, processor = tracers
        self._meters, self._registry = meters
        self._contexts = Contexts(self._tracers.sampler)
        self._spans = Spans(self._tracers, processor) if processor is not None else None
        self._runs = RunSpans(backend, self._contexts, processor) if processor is not None else None
        self._instruments = Instruments(self._meters.get_meter("saros"), self._registry, counting=False)
        self._queues: Job[None] | None = None
        self._running = 0
        self._instruments.measure("saros_activity_running", {}, lambda: self._running)
        self.parked = ParkedRuns(self._instruments)
        if pushed:
            self._count()

    def _count(self) -> None:
        """Count from now on, and measure the backend's task queues."""
        if not self._instruments.counting:
            self._instruments.counting = True
            watch.meters.append(self._used)
            self._queues = Job(follow_queues(self._backend, self._instruments), "measuring task queues")

    # --- spans ----------------------------------------------------------------------------------

    def client(self, call: str, id: str, workflow: str, trace: str) -> Span:
        span = None
        if self._spans is not None:
            name = f"{call.capitalize()}Workflow" + (f":{workflow}" if workflow else "")
            kind = SpanKind.PRODUCER if call in _PRODUCERS else SpanKind.CLIENT
            span = self._spans.start(name, read(trace) or _current(), kind, {"saros.workflow_id": id})

        def ended(seconds: float, route: str, error: str) -> None:
            self._instruments.count("saros_request", (call,))
            self._instruments.record("saros_request_latency", (call,), seconds)
            if error:
                self._instruments.count("saros_request_failure", (call, error))
            _end(span, error)

        return Timed(span, ended)

    def request(self, server: str, method: str, headers: Mapping[str, str]) -> Span:
        span = None
        method = method if method in _METHODS else "other"
        if self._spans is not None:
            attributes = {"http.request.method": method, "saros.server": server}
            span = self._spans.start(
                method, read(headers.get("traceparent", "")), SpanKind.SERVER, attributes
            )

        def ended(seconds: float, route: str, status: str) -> None:
            self._instruments.record("saros_http_request_latency", (server, method, route, status), seconds)
            if isinstance(span, LiveSpan):
                span.update_name(f"{method} {route}")
                span.set_attributes({"http.route": route, "http.response.status_code": int(status)})
                _end(span, status if status >= "500" else "")

        return Timed(span, ended)

    def attempt(self, entry: str, scope: CallScope, trace: str, done: Done) -> Done:
        spans, counting = self._spans, self._instruments.counting
        span = self._attempt_span(spans, entry, scope, trace) if spans is not None else None
        if not counting and not isinstance(span, LiveSpan):
            return done
        info, began = scope.info, time.perf_counter()
        labels = str(info.get("task_queue", "")), entry
        if counting and info.get("attempt") == 1:
            waited = time.time() - info.get("scheduled_time", 0) / 1e9
            self._instruments.record("saros_activity_schedule_to_start_latency", labels, waited)
        self._running += 1

        def ended(outcome: Json) -> None:
            self._running -= 1
            kind = _kind_of(outcome)
            if counting:
                seconds = time.perf_counter() - began
                self._instruments.record("saros_activity_execution_latency", labels, seconds)
                if kind:
                    self._instruments.count("saros_activity_execution_failed", (*labels, kind))
            _end(span, kind)
            done(outcome)

        return ended

    def _attempt_span(self, spans: Spans, entry: str, scope: CallScope, trace: str) -> LiveSpan | Unsampled:
        info = scope.info
        run_id = info.get("run_id", "")
        trace_id, sampled = self._contexts.trace(trace, run_id)
        span = spans.within(
            trace_id,
            activity_span_id_of(run_id, info.get("activity_id", "")),
            sampled,
            f"RunActivity:{entry}",
            SpanKind.SERVER,
            {
                "saros.workflow_id": info.get("workflow_id", ""),
                "saros.run_id": run_id,
                "saros.entry": entry,
                "saros.attempt": info.get("attempt", 1),
            },
        )
        scope.span = span
        return span

    # --- workflow tasks -------------------------------------------------------------------------

    def taken(self, queue: str, workflow: str) -> None:
        self._instruments.count("saros_workflow_task_taken", (queue, workflow))

    def cached(self, queue: str, workflow: str, hit: bool) -> None:
        name = "saros_sticky_cache_hit" if hit else "saros_sticky_cache_miss"
        self._instruments.count(name, (queue, workflow))

    def replayed(self, queue: str, workflow: str, events: int, seconds: float) -> None:
        self._instruments.count("saros_replayed_events", (queue, workflow), events)
        self._instruments.record("saros_workflow_task_replay_latency", (queue, workflow), seconds)

    def task_ended(self, queue: str, workflow: str, run_id: str, result: str, seconds: float) -> None:
        self.parked.heard(workflow, run_id, result == PARKED)
        if result == PARKED:
            self._instruments.count("saros_workflow_task_execution_failed", (queue, workflow))
            return
        self._instruments.record("saros_workflow_task_execution_latency", (queue, workflow), seconds)
        if result != OK:
            self._instruments.count("saros_commit_refused", (queue, workflow, result))

    def closed(self, closed: Closed) -> None:
        name = "continue_as_new" if closed.status == CONTINUED else closed.status
        self._instruments.count(f"saros_workflow_{name}", (closed.task_queue, closed.type))
        if self._runs is not None:
            self._runs.closed(closed)

    def _used(self, entry: str, instructions: int, grown: int) -> None:
        """See `saros.interfaces.activations.Meter`."""
        self._instruments.count("saros_lua_instructions", (entry,), instructions)
        self._instruments.add("saros_lua_memory", ("entry", entry), grown)

    def handed(self, workflow: str, trace: str, parent: str = "") -> str:
        if parent and (not trace or is_linked(trace)):
            trace = parent  # the trace begins with that run
        entry = self._deployment.registry.by_type(workflow)
        wanted = entry is not None and entry.get("meta.trace") == "linked"
        return linked(trace) if wanted else trace

    def delivered(self, op: str, error: str) -> None:
        if error:
            self._instruments.count("saros_delivery_failure", (op, error))
        else:
            self._instruments.count("saros_delivered", (op,))

    def fired(self, schedule: str) -> None:
        self._instruments.count("saros_schedule_fired", (schedule,))

    def measure(self, name: str, labels: Mapping[str, str], value: Callable[[], float]) -> None:
        self._instruments.measure(name, labels, value)

    def served(self) -> None:
        if self._registry is not None:
            self._count()

    def metrics(self) -> tuple[str, bytes] | None:
        if self._registry is None:
            return None
        from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)

    async def close(self) -> None:
        if self._used in watch.meters:
            watch.meters.remove(self._used)
        if self._queues is not None:
            await self._queues.end()
        if self._runs is not None:
            await self._runs.close()
        await to_thread.run_sync(self._shut_down)

    def _shut_down(self) -> None:
        self._tracers.shutdown()
        self._meters.shutdown()


def make(deployment: Deployment, backend: Backend, wanted: Wanted) -> OtelObserver:
    """Return an observer that exports what is wanted."""
    about = resource()
    tracers, meters = tracing(wanted.traces, about), metering(wanted.metrics, wanted.scraped, about)
    return OtelObserver(deployment, backend, tracers, meters, pushed=bool(wanted.metrics))


def _current() -> SpanContext | None:
    """The span in which the calling code runs, if it has one."""
    found = api.get_current_span().get_span_context()
    return found if found.is_valid else None


def _end(span: LiveSpan | Unsampled | None, error: str) -> None:
    if isinstance(span, LiveSpan):
        if error:
            span.set_status(failed(error))
        span.end()


def _kind_of(outcome: Json) -> str:
    """The kind of the error in an `Outcome`; empty for success."""
    if outcome.startswith(b'{"ok"') or outcome == b"{}":
        return ""
    error = msgspec.json.decode(outcome, type=Outcome).err
    return error.kind if error is not None else ""
