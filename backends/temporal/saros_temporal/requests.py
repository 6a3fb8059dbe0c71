"""Saros's own activities: what workflows ask of a process (see `saros_temporal.system`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from temporalio import activity
from temporalio.common import RawValue
from temporalio.service import RPCError

from saros.errors import NOT_FOUND, Error
from saros.execution import Pid
from saros.program import Ask
from saros.values import Json, error_data

from .failures import to_failure
from .payloads import raw_json, to_payload
from .system import ASK, HEARTBEAT_S, RECORD, SEND, SPAWN, START, WATCH, Request

if TYPE_CHECKING:
    from saros.host import ProcessHost

    from .backend import TemporalBackend
    from .environment import Environment

log = logging.getLogger("saros.temporal")


class Requests:
    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._watching: set[asyncio.Task[None]] = set()

    async def answer(self, name: str, args: Sequence[RawValue]) -> RawValue:
        """Carry a request out; what the kernel refuses fails the activity."""
        if name == RECORD:
            return args[0]
        host, backend = self._environment.host, self._environment.backend
        if host is None or backend is None:
            raise RuntimeError("this worker replays only")
        request = msgspec.json.decode(raw_json(args[0]), type=Request)
        try:
            if name == WATCH:
                self._watch(backend, request)
            return RawValue(to_payload(await _carry_out(name, request, host, backend)))
        except Error as error:
            raise to_failure(error_data(error)) from error

    def _watch(self, backend: TemporalBackend, request: Request) -> None:
        """Answer when the watched execution has ended, without holding a slot of the worker meanwhile."""
        task = asyncio.get_running_loop().create_task(
            _watch(backend, request.pid, activity.info().task_token)
        )
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        backend.on_close(task)
        activity.raise_complete_async()


async def _carry_out(name: str, request: Request, host: ProcessHost, backend: TemporalBackend) -> Json:
    if name == ASK and request.ask is not None:
        if request.ask.verb == "monitor":
            return await _monitor(request, request.ask, host, backend)
        return await host.ask(request.ask, request.sender, request.key)
    if name == SEND and request.send is not None:
        return await host.send(request.send, request.sender, request.key)
    if name == SPAWN and request.spawn is not None:
        return await _spawn(request, host)
    if name == START and request.start is not None:
        return msgspec.json.encode((await backend.start(request.start)).pid)
    raise Error(f"there is no request {name}", NOT_FOUND, retryable=False)


async def _monitor(request: Request, ask: Ask, host: ProcessHost, backend: TemporalBackend) -> Json:
    """The pid that the workflow is to watch; an actor's end is told by its host."""
    dest = await host.resolve(ask.to)
    pid = Pid.parse(dest)
    if pid is not None and pid.is_workflow:
        if not await backend.runs(pid.id):
            raise Error(f"process {ask.to} not found", NOT_FOUND, retryable=False)
        return msgspec.json.encode(dest)
    return await host.ask(ask, request.sender, request.key)


async def _spawn(request: Request, host: ProcessHost) -> Json:
    spawn = request.spawn
    assert spawn is not None
    pid = await host.spawn(msgspec.structs.replace(spawn, monitor=False), None)
    actor = host.get(msgspec.json.decode(pid, type=str))
    if actor is not None and spawn.monitor:
        actor.watchers.add(request.sender)
    return pid


async def _watch(backend: TemporalBackend, pid: str, token: bytes) -> None:
    found = Pid.parse(pid)
    handle = backend.client.get_async_activity_handle(task_token=token)
    end = asyncio.ensure_future(backend.result(found.id if found else pid))
    try:
        while not end.done():
            await asyncio.wait([end], timeout=HEARTBEAT_S / 3)
            if not end.done():
                await handle.heartbeat()
        await handle.complete(RawValue(to_payload(end.result())))
    except (
        Exception
    ) as error:  # cancelled, or lost: the server gives the watch to another worker if it is open
        level = logging.DEBUG if not isinstance(error, RPCError) else logging.INFO
        log.log(level, "the watch of %s ends: %s", pid, error)
    finally:
        end.cancel()
