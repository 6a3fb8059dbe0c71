"""All entries of an application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from ..errors import NOT_FOUND, Error
from .entry import Entry
from .kinds import CLIENT, WORKER
from .problems import Problem

DEFAULT_TASK_QUEUE = "default"


class Registry:
    """The entries of one app.

    :param root: the app directory.
    :param entries: id -> entry, in the order of files and lines.
    :param warnings: what is odd, but no reason not to run.
    """

    def __init__(self, root: Path, entries: Mapping[str, Entry], warnings: Sequence[Problem] = ()) -> None:
        self.root = root
        self.entries: dict[str, Entry] = dict(entries)
        self.warnings: list[Problem] = list(warnings)

    def get(self, entry_id: str) -> Entry | None:
        """The entry with this full id."""
        return self.entries.get(entry_id)

    def resolve(self, reference: str, namespace: str) -> Entry | None:
        """What a reference in an entry of `namespace` names: a full id, or a name of the same namespace."""
        return self.entries.get(full_id(reference, namespace))

    def of_kind(self, kind: str) -> list[Entry]:
        """All entries of a kind."""
        return [entry for entry in self.entries.values() if entry.kind == kind]

    def of_role(self, role: str) -> list[Entry]:
        """All entries of a role."""
        return [entry for entry in self.entries.values() if entry.role == role]

    def by_type(self, type_name: str) -> Entry | None:
        """The workflow with this type name."""
        return self._types.get(type_name)

    def worker_of(self, entry: Entry) -> str:
        """Id of the worker that runs an entry: its own, else the app's only one, else ``""``.

        ``""`` stands for the worker of an app that declares none. A schedule without a worker has its
        workflow's.
        """
        if entry.worker is not None:
            return entry.worker
        if entry.kind == "schedule" and (workflow := self.get(entry.data["workflow"])) is not None:
            return self.worker_of(workflow)
        return self._workers[0].id if len(self._workers) == 1 else ""

    def client_of(self, worker: str) -> Entry | None:
        """The Temporal client of a worker: its own, else the app's only one.

        :raises Error: of kind ``NotFound``, when there is no such worker.
        """
        own = self._worker(worker).get("client") if worker else None
        if own is not None:
            return self.get(own)
        clients = self.of_kind(CLIENT)
        return clients[0] if len(clients) == 1 else None

    def task_queue(self, worker: str) -> str:
        """Name of a worker's task queue; of the worker ``""``, ``default``.

        :raises Error: of kind ``NotFound``, when there is no such worker.
        """
        if not worker:
            return DEFAULT_TASK_QUEUE
        queue: str = self._worker(worker).get("task_queue") or worker
        client = self.client_of(worker)
        return f"{client.get('tq_prefix', '')}{queue}" if client else queue

    def _worker(self, worker: str) -> Entry:
        entry = self.entries.get(worker)
        if entry is None or entry.kind != WORKER:
            raise Error(f'there is no worker "{worker}" in the app', NOT_FOUND, retryable=False)
        return entry

    @cached_property
    def _workers(self) -> list[Entry]:
        return self.of_kind(WORKER)

    @cached_property
    def _types(self) -> dict[str, Entry]:
        return {entry.type_name: entry for entry in self.of_role("workflow")}


def full_id(reference: str, namespace: str) -> str:
    """``namespace:name`` of a reference in an entry of `namespace`."""
    return reference if ":" in reference else f"{namespace}:{reference}"
