"""Observers of an open app, which hear the requests of its clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import msgspec

from ..interfaces.backend import Backend
from ..interfaces.deployment import Deployment
from ..interfaces.observer import Closed, Done, Observer, Span
from ..interfaces.runtime import CallScope, current
from ..model.errors import Error
from ..model.execution import TERMINATED, Pid, Started, StartRequest
from ..model.records import CANCEL, MESSAGE, Ask, CancelRequest, Message, pack, unpack
from ..model.values import Json

T = TypeVar("T")
Make = Callable[[Deployment, Backend, bool], Observer | None]


class Observed:
    """A backend that reports the requests of its clients to observers; it passes on everything else.

    A request without a carrier gets the carrier of the function that makes it, if one runs here.
    """

    def __init__(self, backend: Backend, observer: Observer) -> None:
        self._backend = backend
        self._observer = observer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def start(self, request: StartRequest) -> Started:
        span = self._observer.client("start", request.id, request.type, request.trace or _carrier())
        trace = self._observer.handed(request.type, span.trace)
        asked = msgspec.structs.replace(request, trace=trace)
        return await _told(span, self._backend.start(asked))

    async def send(self, pid: Pid, op: str, body: Json, key: str = "") -> bool:
        if op == MESSAGE:
            message = unpack(body, Message)
            if not _is_workflow(message.sender):
                span = self._observer.client("signal", pid.id, "", message.trace or _carrier())
                body = pack(msgspec.structs.replace(message, trace=span.trace))
                return await _told(span, self._backend.send(pid, op, body, key))
        elif op == CANCEL and not _is_workflow(unpack(body, CancelRequest).sender):
            span = self._observer.client("cancel", pid.id, "", _carrier())
            return await _told(span, self._backend.send(pid, op, body, key))
        return await self._backend.send(pid, op, body, key)

    async def update(self, id: str, name: str, args: Json, trace: str = "") -> Json:
        span = self._observer.client("update", id, "", trace or _carrier())
        return await _told(span, self._backend.update(id, name, args, span.trace))

    async def query(self, id: str, name: str, args: Json, run_id: str = "") -> Json:
        span = self._observer.client("query", id, "", _carrier())
        return await _told(span, self._backend.query(id, name, args, run_id))

    async def ask(self, pid: Pid, ask: Ask, asker: str, key: str = "") -> bool:
        if ask.verb != "terminate" or not pid.is_workflow:
            return await self._backend.ask(pid, ask, asker, key)
        span = self._observer.client("terminate", pid.id, "", _carrier())
        done = await _told(span, self._backend.ask(pid, ask, asker, key))
        if done:
            found = await self._backend.describe(pid.id)
            if found.status == TERMINATED:
                closed = Closed(found.id, found.run_id, found.type, found.task_queue, found.status)
                self._observer.closed(closed)
        return done


def _is_workflow(sender: str) -> bool:
    """Whether a sender is a workflow, whose own history records what it has sent."""
    pid = Pid.parse(sender)
    return pid is not None and pid.is_workflow


def _carrier() -> str:
    scope = current.get()
    return scope.carrier if scope is not None else ""


async def _told(span: Span, work: Awaitable[T]) -> T:
    try:
        result = await work
    except Error as error:
        span.end(error.kind)
        raise
    except BaseException as raised:
        span.end(type(raised).__name__)
        raise
    span.end()
    return result


class Observers:
    """Several observers as one. The first observer with a carrier supplies it."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def __getattr__(self, name: str) -> Callable[..., None]:
        calls = [getattr(each, name) for each in self._observers]

        def tell(*args: Any) -> None:
            for call in calls:
                call(*args)

        return tell

    def client(self, *args: Any) -> Span:
        return _Spans([each.client(*args) for each in self._observers])

    def request(self, *args: Any) -> Span:
        return _Spans([each.request(*args) for each in self._observers])

    def attempt(self, entry: str, scope: CallScope, trace: str, done: Done) -> Done:
        for each in self._observers:
            done = each.attempt(entry, scope, trace, done)
        return done

    def handed(self, workflow: str, trace: str, parent: str = "") -> str:
        for each in self._observers:
            trace = each.handed(workflow, trace, parent)
        return trace

    def metrics(self) -> tuple[str, bytes] | None:
        found = [metrics for each in self._observers if (metrics := each.metrics())]
        return (found[0][0], b"".join(text for _, text in found)) if found else None

    async def close(self) -> None:
        for each in self._observers:
            await each.close()


class _Spans:
    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self.trace = next((span.trace for span in spans if span.trace), "")

    def route(self, pattern: str) -> None:
        for span in self._spans:
            span.route(pattern)

    def end(self, error: str = "") -> None:
        for span in self._spans:
            span.end(error)


def observed(backend: Backend, deployment: Deployment, makers: Sequence[Make], works: bool) -> Backend:
    """Let plugins observe an app; return the backend that the app's clients must use."""
    made = [make(deployment, backend, works) for make in makers]
    listening = [each for each in made if each is not None]
    if not listening:
        return backend
    observer = listening[0] if len(listening) == 1 else cast(Observer, Observers(listening))
    deployment.observer = observer
    return cast(Backend, Observed(backend, observer))
