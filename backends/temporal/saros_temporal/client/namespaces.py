"""The namespaces of an app, with one connection for each namespace that its workers serve.

The *default* namespace is that of the app's first worker. A URL replaces it, it keeps the names of
``process.registry``, and a client without an app uses it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Final

from temporalio.converter import DataConverter

from saros.entries import Entry
from saros.interfaces.deployment import Deployment
from saros.model.background import together
from saros.model.errors import NOT_FOUND, Error
from saros.model.execution import Description, Started

from .connection import connect
from .namespace import Namespace
from .target import Target, target_of

_REMEMBERED: Final = 10_000
_RUN_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class _Place:
    """A target, and the parts of the app that belong to it."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.workers: list[str] = []
        self.wanted: dict[str, str] = {}


def _places(url: str, deployment: Deployment) -> list[_Place]:
    """Return the targets of an app's workers, the default first; clients of one namespace share a connection."""
    registry = deployment.registry
    workers = registry.of_kind("temporal.worker")
    clients = registry.of_kind("temporal.client")
    default = registry.client_of(workers[0].id) if workers else None
    default = default or (clients[0] if clients else None)
    places = [_Place(target_of(url, registry, default))]

    def place_of(client: Entry | None) -> _Place:
        if client is None or client is default:
            return places[0]
        target = target_of("temporal://", registry, client)
        for place in places:
            if place.target == target:
                return place
        places.append(_Place(target))
        return places[-1]

    if default is not None:
        places[0].wanted.update(default.get("search_attributes", {}))
    for worker in workers:
        client = registry.client_of(worker.id)
        place = place_of(client)
        place.workers.append(worker.id)
        if client is not None:
            place.wanted.update(client.get("search_attributes", {}))
    return places


class Namespaces:
    """:param found: the namespaces, the default first."""

    def __init__(self, found: list[Namespace]) -> None:
        self.all = found
        self._of_worker = {worker: each for each in found for worker in each.workers}
        self._started: OrderedDict[str, Namespace] = OrderedDict()  # by id and by run id

    @property
    def default(self) -> Namespace:
        return self.all[0]

    def of_worker(self, worker: str) -> Namespace:
        """Return the namespace of a worker's workflows; for an unknown worker, the default."""
        return self._of_worker.get(worker, self.default)

    def started(self, started: Started, where: Namespace) -> None:
        """Remember the namespace in which an execution was started."""
        if len(self.all) == 1:
            return
        for key in (started.id, started.run_id):
            self._started[key] = where
            self._started.move_to_end(key)
        while len(self._started) > _REMEMBERED:
            self._started.popitem(last=False)

    async def find(self, id: str, run_id: str = "", place: str = "") -> Namespace:
        """Return the namespace of an execution: that of its worker, that of its start, or the first that has it.

        :raises Error: NOT_FOUND for what cannot be a run id: the server calls its form wrong.
        """
        if run_id and not _RUN_ID.fullmatch(run_id):
            raise Error(f"workflow {id} not found", NOT_FOUND, retryable=False)
        if len(self.all) == 1:
            return self.default
        known = self._of_worker.get(place) or self._started.get(run_id or id)
        if known is not None:
            return known
        for each in self.all:
            if await each.knows(id, run_id):
                return each
        return self.default

    async def list(self, query: str) -> AsyncIterator[Description]:
        """Yield the executions of all namespaces, newest first."""
        async with AsyncExitStack() as stack:
            heads: list[tuple[Description, AsyncIterator[Description]]] = []
            for each in self.all:
                found = await stack.enter_async_context(aclosing(each.listed(query)))
                await _advance(heads, found)
            while heads:
                newest = max(heads, key=lambda head: head[0].start_time)
                heads.remove(newest)
                yield newest[0]
                await _advance(heads, newest[1])


async def _advance(
    heads: list[tuple[Description, AsyncIterator[Description]]], found: AsyncIterator[Description]
) -> None:
    async for description in found:
        heads.append((description, found))
        return


async def connected(url: str, deployment: Deployment, converter: DataConverter) -> Namespaces:
    """Connect to all namespaces of an app.

    :raises Error: see `saros_temporal.client.target.target_of` and `saros_temporal.client.connection.connect`.
    """
    places = _places(url, deployment)
    clients = await together(*(connect(place.target, converter) for place in places))
    return Namespaces(
        [
            Namespace(place.target, client, deployment, place.workers, place.wanted)
            for place, client in zip(places, clients, strict=True)
        ]
    )
