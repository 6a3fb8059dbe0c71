"""`Insight` on Temporal: over the namespaces of an app."""

from __future__ import annotations

import abc
import base64
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
from temporalio.client import WorkflowHistory

from saros.entries import Entry
from saros.insight.occurrences import schedule_entry
from saros.interfaces.deployment import Deployment
from saros.interfaces.insight import Page, Paused, Queue, Schedule, Stack, Worker
from saros.interfaces.insight.pending import Pending, PendingActivity
from saros.model.clock import Clock
from saros.model.errors import INVALID, NOT_FOUND, TIMEOUT, UNAVAILABLE, Error
from saros.model.execution import RUNNING
from saros.model.records import pack

from ..wire.operations import STACK_QUERY
from .insight_client import InsightClient
from .messages import QUERY_S
from .namespaces import Namespaces

ASKED_S: Final = 3.0
"""How long a worker may take to tell a stack that can be found here as well."""


class TemporalInsight(abc.ABC):
    """See `saros.interfaces.insight.Insight`.

    Lists are in the order of the server: without an index that sorts, those that run come first, newest first, and
    then those that have ended, the last ended first.
    """

    clock: Clock

    @property
    @abc.abstractmethod
    def deployment(self) -> Deployment: ...

    @property
    @abc.abstractmethod
    def namespaces(self) -> Namespaces: ...

    @abc.abstractmethod
    async def replayed_stack(self, history: WorkflowHistory) -> Stack:
        """Return the stack that a replay of a history shows, whose payloads are decoded."""

    async def pending(self, id: str, run_id: str = "") -> Pending:
        namespace = await self.namespaces.find(id, run_id)
        return await InsightClient(namespace).pending(await namespace.describe(id, run_id))

    async def activities(self, id: str, run_id: str = "") -> list[PendingActivity]:
        namespace = await self.namespaces.find(id, run_id)
        return await InsightClient(namespace).activities(id, run_id)

    async def stack(self, id: str, run_id: str = "") -> Stack:
        """Ask a worker; without one that answers, replay the history here."""
        namespace = await self.namespaces.find(id, run_id)
        description = await namespace.describe(id, run_id)
        if description.status != RUNNING:
            return Stack()
        queue = description.task_queue
        at_hand = self.deployment.registry.by_type(description.type) is not None
        polled = await InsightClient(namespace).queues([queue], self.clock.now())
        if any(each.pollers for each in polled):
            try:
                found = await namespace.messages.query(
                    id, STACK_QUERY, b"[]", description.run_id, ASKED_S if at_hand else QUERY_S
                )
                return msgspec.json.decode(found, type=Stack)
            except Error as error:
                if error.kind != TIMEOUT:
                    raise
        if not at_hand:
            raise Error(
                f"no worker of task queue {queue} answers, and {description.type} is not at hand here",
                UNAVAILABLE,
                hint="start a worker, or give the app",
            )
        return await self.replayed_stack(await namespace.decoded(id, description.run_id))

    # --- lists --------------------------------------------------------------------------------

    async def page(self, query: str = "", limit: int = 100, cursor: str = "") -> Page:
        """List one namespace after the other."""
        number, token = _read(cursor)
        spaces = self.namespaces.all
        if number >= len(spaces):
            raise _bad_cursor()
        items, following = await spaces[number].page(query, limit, token)
        if following:
            return Page(items, _cursor(number, following))
        return Page(items, _cursor(number + 1, b"") if number + 1 < len(spaces) else "")

    async def counts(self, query: str = "") -> dict[str, int]:
        found: dict[str, int] = {}
        for namespace in self.namespaces.all:
            for status, count in (await namespace.counts(query)).items():
                found[status] = found.get(status, 0) + count
        return found

    # --- workers ------------------------------------------------------------------------------

    async def _queues(self, also: Sequence[str]) -> AsyncIterator[tuple[InsightClient, list[str]]]:
        """Yield the task queues to ask each namespace about: the server has no list of them.

        A client without an app knows those of the executions that run.
        """
        registry = self.deployment.registry
        for namespace in self.namespaces.all:
            own = {registry.task_queue(worker) for worker in namespace.workers}
            if not own and registry.entries:
                own.update(registry.task_queues())
            if namespace is self.namespaces.default:
                own.update(also)
            yield InsightClient(namespace), sorted(own | await namespace.task_queues())

    async def workers(self, also: Sequence[str] = ()) -> list[Worker]:
        now = self.clock.now
        return [w async for each, names in self._queues(also) for w in await each.workers(names, now())]

    async def queues(self, also: Sequence[str] = ()) -> list[Queue]:
        now = self.clock.now
        return [q async for each, names in self._queues(also) for q in await each.queues(names, now())]

    # --- schedules ----------------------------------------------------------------------------

    def _client(self, entry: Entry) -> InsightClient:
        worker = self.deployment.registry.worker_of(entry)
        return InsightClient(self.namespaces.of_worker(worker))

    def _entry(self, id: str) -> Entry:
        return schedule_entry(self.deployment.registry, id)

    async def schedules(self) -> list[Schedule]:
        """Yield the app's schedules that a worker has set up on the server."""
        found = []
        for entry in self.deployment.registry.of_kind("schedule"):
            try:
                found.append(await self._client(entry).schedule(entry))
            except Error as error:
                if error.kind != NOT_FOUND:
                    raise
        return found

    async def paused(self) -> dict[str, Paused]:
        return {each.id: each.paused for each in await self.schedules() if each.paused is not None}

    async def pause(self, schedule: str, reason: str = "") -> None:
        entry = self._entry(schedule)
        await self._client(entry).pause(entry, reason)

    async def resume(self, schedule: str) -> None:
        entry = self._entry(schedule)
        await self._client(entry).resume(entry)

    async def trigger(self, schedule: str) -> str:
        entry = self._entry(schedule)
        return await self._client(entry).trigger(entry)


def _cursor(number: int, token: bytes) -> str:
    return base64.urlsafe_b64encode(pack([number, token])).decode()


def _read(cursor: str) -> tuple[int, bytes]:
    if not cursor:
        return 0, b""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[int, bytes])
    except (ValueError, msgspec.MsgspecError):
        raise _bad_cursor() from None


def _bad_cursor() -> Any:
    return Error("this is not a valid cursor; use the one from the previous page", INVALID, retryable=False)
