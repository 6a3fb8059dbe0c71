"""Saros's own activities: requests of workflows to a process (see `saros_temporal.workflow.system_activities`)."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

import msgspec
from temporalio import activity
from temporalio.client import AsyncActivityHandle, Client
from temporalio.common import RawValue
from temporalio.service import RPCError

from saros.interfaces.host import Host
from saros.model.background import Job, Jobs
from saros.model.errors import NOT_FOUND, Error
from saros.model.execution import Pid, Started, StartRequest
from saros.model.records import Ask, Send
from saros.model.text import cut, one_line
from saros.model.values import Json, error_data

from ..nodes.name_registry import NameRegistry
from ..nodes.node_client import NodeClient
from ..wire.failures import to_failure
from ..wire.operations import (
    ASK,
    END,
    HEARTBEAT_S,
    OWN,
    PRESENCE,
    PRESENT,
    SEND,
    SIDE_EFFECT,
    SPAWN,
    START,
    WATCH,
    End,
    Request,
)
from ..wire.payloads import raw_json, to_payload

S = TypeVar("S", Ask, Send)

log = logging.getLogger("saros.temporal")

ANSWERS: Final = 10_000
"""The number of remembered answers, for repeated requests."""


class SystemBackend(Protocol):
    """The part of the backend that these activities use."""

    @property
    def nodes(self) -> NodeClient: ...

    @property
    def names(self) -> NameRegistry: ...

    @property
    def jobs(self) -> Jobs: ...

    async def start(self, request: StartRequest) -> Started: ...

    async def runs(self, pid: Pid) -> bool: ...

    async def end_of(self, pid: Pid, run_id: str = "") -> Json: ...


class SystemHandlers:
    """Carries out Saros's own activities in one worker.

    :param client: of the worker.
    """

    def __init__(self, client: Client, host: Host, backend: SystemBackend) -> None:
        self._client = client
        self._host = host
        self._backend = backend
        self._answers: OrderedDict[str, Json] = OrderedDict()

    async def answer(self, name: str, args: Sequence[RawValue]) -> RawValue:
        """Carry out a request; an error of the kernel fails the activity."""
        if name == SIDE_EFFECT:
            return args[0]
        host, backend = self._host, self._backend
        body = raw_json(args[0])
        if name == PRESENCE:
            await self._presence(backend)
        try:
            if name in (END, PRESENT):
                return RawValue(to_payload(await _for_node(name, body, host, backend)))
            request = msgspec.json.decode(body, type=Request)
            if name == WATCH:
                self._watch(backend, request)
            answer = self._answers.get(request.key)
            if answer is None:
                answer = await _carry_out(name, request, host, backend)
                self._remember(request.key, answer)
            return RawValue(to_payload(answer))
        except Error as error:
            raise to_failure(error_data(error)) from error

    def _remember(self, key: str, answer: Json) -> None:
        """Answer a repeated request as before, without carrying it out twice."""
        if key:
            self._answers[key] = answer
            if len(self._answers) > ANSWERS:
                self._answers.popitem(last=False)

    async def _presence(self, backend: SystemBackend) -> None:
        """Keep this node present, until cancelled."""
        if backend.nodes.presence.arrived(self._handle()):
            await backend.names.renew()
        activity.raise_complete_async()

    def _handle(self) -> AsyncActivityHandle:
        return self._client.get_async_activity_handle(task_token=activity.info().task_token)

    def _watch(self, backend: SystemBackend, request: Request) -> None:
        """Answer when the watched execution has ended, without holding a slot of the worker meanwhile."""
        backend.jobs.start(_watch(backend, request.pid, self._handle()), f"the watch of {request.pid}")
        activity.raise_complete_async()


async def _carry_out(name: str, request: Request, host: Host, backend: SystemBackend) -> Json:
    if name == ASK and request.ask is not None:
        if request.ask.verb in ("monitor", "link") and _is_elsewhere(request.sender, host):
            await backend.nodes.presence.be_present()  # watchers must be able to see that this node has died
        if request.ask.verb == "monitor":
            return await _monitor(request, request.ask, host, backend)
        if request.ask.verb == "cancel":
            return await _to_another(request, request.ask, host, host.ask)
        if request.ask.verb == "unmonitor":
            return await _unmonitor(request, request.ask, host)
        return await host.ask(_of_its_run(request.ask, request), request.sender, request.key)
    if name == SEND and request.send is not None:
        return await _to_another(request, request.send, host, host.send)
    if name == SPAWN and request.spawn is not None:
        return await _spawn(request, host)
    if name == START and request.start is not None:
        return msgspec.json.encode((await backend.start(request.start)).pid)
    raise Error(f"there is no request {name}", NOT_FOUND, retryable=False)


async def _to_another(
    request: Request, what: S, host: Host, carry_out: Callable[[S, str, str], Awaitable[Json]]
) -> Json:
    """Send a message or a cancel request, unless a workflow sends it to itself: that one gets it before it learns
    that it was sent."""
    dest = await host.resolve(what.to)
    if dest == request.sender:
        return OWN
    try:
        return await carry_out(msgspec.structs.replace(what, to=dest), request.sender, request.key)
    except Error as error:
        if error.kind != NOT_FOUND:
            raise
        named = f"process {one_line(cut(what.to))} not found"  # as the code names it
        raise Error(named, NOT_FOUND, retryable=False) from error


async def _unmonitor(request: Request, ask: Ask, host: Host) -> Json:
    """Return the pid of what the workflow no longer watches."""
    dest = await host.resolve(ask.to)
    await host.ask(msgspec.structs.replace(ask, to=dest), request.sender, request.key)
    return msgspec.json.encode(dest)


def _is_elsewhere(sender: str, host: Host) -> bool:
    """Whether a pid belongs to an actor of another node."""
    pid = Pid.parse(sender)
    return pid is not None and not pid.is_workflow and pid.place != host.node


async def _for_node(name: str, body: Json, host: Host, backend: SystemBackend) -> Json:
    if name == PRESENT:
        await backend.nodes.presence.be_present()
        return b"true"
    end = msgspec.json.decode(body, type=End)
    backend.nodes.forget(end.ended, end.watcher, end.link)
    actor = host.get(end.watcher)
    if actor is not None:
        actor.watched_end(end.ended, bytes(end.outcome), end.link)
    return b"true"


async def _monitor(request: Request, ask: Ask, host: Host, backend: SystemBackend) -> Json:
    """Return the pid that the workflow watches. For an actor, its host reports the end."""
    dest = await host.resolve(ask.to)
    pid = Pid.parse(dest)
    if pid is not None and pid.is_workflow:
        if not await backend.runs(pid):
            raise Error(f"process {ask.to} not found", NOT_FOUND, retryable=False)
        return msgspec.json.encode(dest)
    return await host.ask(_of_its_run(ask, request), request.sender, request.key)


def _of_its_run(ask: Ask, request: Request) -> Ask:
    return msgspec.structs.replace(ask, run_id=request.run_id) if request.run_id else ask


async def _spawn(request: Request, host: Host) -> Json:
    spawn = request.spawn
    assert spawn is not None
    pid = await host.spawn(msgspec.structs.replace(spawn, monitor=False), None)
    actor = host.get(msgspec.json.decode(pid, type=str))
    if actor is not None and spawn.monitor:
        actor.watchers[request.sender] = request.run_id
    return pid


async def _watch(backend: SystemBackend, pid: str, handle: AsyncActivityHandle) -> None:
    end = Job(backend.end_of(Pid.parse(pid) or Pid("", pid)), f"the wait for {pid}")
    try:
        while not end.done():
            await asyncio.wait({end.task}, timeout=HEARTBEAT_S / 3)
            if not end.done():
                await handle.heartbeat()
        await handle.complete(RawValue(to_payload(await end.wait())))
    except (
        Exception
    ) as error:  # cancelled, or lost: the server gives the watch to another worker if it is open
        level = logging.DEBUG if not isinstance(error, RPCError) else logging.INFO
        log.log(level, "the watch of %s ends: %s", pid, error)
    finally:
        await end.end()
