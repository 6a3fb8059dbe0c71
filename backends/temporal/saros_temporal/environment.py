"""What the workflows and activities of one worker share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saros.entries import Entry
from saros.interfaces.deployment import Deployment
from saros.interfaces.program import Facts, Program
from saros.model.errors import CodeError, Error

from .handover import LocalActivities
from .search import SearchAttributes

if TYPE_CHECKING:
    from temporalio.client import Client

    from saros.interfaces.host import Host

    from .backend import TemporalBackend


class Environment:
    """:param worker: entry id of the worker, or ``""`` for an app without one.

    `host`, `client` and `backend` are None in a replay of an exported history, which runs no activity.
    """

    def __init__(
        self,
        deployment: Deployment,
        worker: str,
        search: SearchAttributes,
        host: Host | None = None,
        client: Client | None = None,
        backend: TemporalBackend | None = None,
    ) -> None:
        self.deployment = deployment
        self.worker = worker
        self.search = search
        self.host = host
        self.client = client
        self.backend = backend
        self.local = LocalActivities()
        registry = deployment.registry
        own = registry.client_of(worker) if worker else None
        self._elsewhere = frozenset(
            other.id
            for other in registry.of_kind("temporal.worker")
            if worker and registry.client_of(other.id) is not own
        )

    def is_elsewhere(self, worker: str) -> bool:
        """Whether another worker has another client: no child or external signal of Temporal's gets there.

        The entries alone say so, so that a replay on another server comes to the same answer.
        """
        return worker in self._elsewhere

    @property
    def place(self) -> str:
        """The first part of the pids of this worker's workflows."""
        return self.worker or "default"

    def workflow(self, type_name: str) -> Entry:
        """:raises CodeError: when the app has no such workflow; it fails the task, not the workflow."""
        try:
            return self.deployment.registry.workflow(type_name)
        except Error as error:
            raise CodeError(f"cannot run {type_name}: {error.message}", where=error.where) from None

    def program(self, entry: Entry, facts: Facts) -> Program:
        """A fresh program.

        :raises CodeError: when its code cannot be loaded.
        """
        return self.deployment.program(entry, workflow=True, facts=facts)

    def refresh(self) -> None:
        """Have sources read anew: a task has failed, and somebody may repair the code."""
        self.deployment.refresh()
