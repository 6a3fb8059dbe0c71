"""All entries of an application, or the reasons why it cannot be loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from ..model.errors import INVALID, NOT_FOUND, Error
from ..model.records import CallOptions, StartOptions
from ..model.text import cut, one_line, shown
from .entry import CLIENT, WORKER, Entry
from .problems import Problem, in_order

DEFAULT_TASK_QUEUE = "default"


class Registry:
    """The entries of one app.

    :param root: the app directory.
    :param entries: id -> entry, in the order of files and lines.
    :param warnings: problems with which the app can run nevertheless.
    """

    def __init__(self, root: Path, entries: Mapping[str, Entry], warnings: Sequence[Problem] = ()) -> None:
        self.root = root
        self.entries: dict[str, Entry] = dict(entries)
        self.warnings: list[Problem] = list(warnings)

    def get(self, entry_id: str) -> Entry | None:
        """Return the entry with this full id."""
        return self.entries.get(entry_id)

    def resolve(self, reference: str, namespace: str) -> Entry | None:
        """Return the entry that a reference in `namespace` names: a full id, or a name in the same namespace."""
        return self.entries.get(full_id(reference, namespace))

    def of_kind(self, kind: str) -> list[Entry]:
        """Return all entries of a kind."""
        return [entry for entry in self.entries.values() if entry.kind == kind]

    def of_role(self, role: str) -> list[Entry]:
        """Return all entries of a role."""
        return [entry for entry in self.entries.values() if entry.role == role]

    def by_type(self, type_name: str) -> Entry | None:
        """Return the workflow with this type name."""
        return self._types.get(type_name)

    def worker_of(self, entry: Entry) -> str:
        """Return the id of the worker that runs an entry: its own, else the app's only one, else ``""``.

        ``""`` stands for the worker of an app that declares none. A schedule without a worker has its
        workflow's.
        """
        if entry.worker is not None:
            return entry.worker
        if entry.kind == "schedule" and (workflow := self.get(entry.data["workflow"])) is not None:
            return self.worker_of(workflow)
        return self._workers[0].id if len(self._workers) == 1 else ""

    def client_of(self, worker: str) -> Entry | None:
        """Return the Temporal client of a worker: its own, else the app's only one.

        :raises Error: of kind ``NotFound``, when there is no such worker.
        """
        own = self._worker(worker).get("client") if worker else None
        if own is not None:
            return self.get(own)
        clients = self.of_kind(CLIENT)
        return clients[0] if len(clients) == 1 else None

    def task_queue(self, worker: str) -> str:
        """Return the name of a worker's task queue; for the worker ``""``, ``default``.

        :raises Error: of kind ``NotFound``, when there is no such worker.
        """
        if not worker:
            return DEFAULT_TASK_QUEUE
        queue: str = self._worker(worker).get("task_queue") or worker
        client = self.client_of(worker)
        return f"{client.get('tq_prefix', '')}{queue}" if client else queue

    def entry(self, id: str) -> Entry:
        """:raises Error: NOT_FOUND; retryable, because another version of the app may have the entry."""
        entry = self.entries.get(id)
        if entry is None:
            raise Error(f"the app has no entry {one_line(cut(id))}", NOT_FOUND, retryable=True)
        return entry

    def workflow(self, id: str) -> Entry:
        """Return the workflow with that entry id or type name.

        :raises Error: NOT_FOUND or INVALID.
        """
        entry = self.get(id) or self.by_type(id)
        if entry is None:
            raise Error(f"the app has no workflow {one_line(cut(id))}", NOT_FOUND, retryable=True)
        if entry.role != "workflow":
            raise Error(
                f"{id} is a {entry.kind}, not a workflow", INVALID, retryable=False, where=entry.where()
            )
        return entry

    def callable(self, id: str) -> Entry:
        """Return the function (or process) that a call names.

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

    def worker_and_queue(self, entry: Entry, host: str) -> tuple[str, str]:
        """Return the worker and the task queue for a workflow that is started on `host`.

        A host is a worker's entry id, "@" for the worker that the entry names, or a task queue.

        :raises Error: NOT_FOUND or INVALID.
        """
        if host in ("", "@"):
            worker = self.worker_of(entry)
            return worker, self.task_queue(worker)
        found = self.resolve(host, entry.namespace)
        if found is None or found.kind != WORKER:
            for candidate in self.of_kind(WORKER):
                if self.task_queue(candidate.id) == host:
                    return candidate.id, host
        if found is None:
            if host == DEFAULT_TASK_QUEUE and not self.of_kind(WORKER):
                return "", host
            raise Error(f"there is no worker {one_line(cut(host))}", NOT_FOUND, retryable=False)
        if found.kind != WORKER:
            raise Error(f"{host} is a {found.kind}; workflows run on a {WORKER}", INVALID, retryable=False)
        return found.id, self.task_queue(found.id)

    def check_namespace(self, options: StartOptions, worker: str, actual: str = "default") -> None:
        """Check that the option ``namespace`` of a start, if any, names where the worker works.

        :param actual: the namespace in use, which the client entry need not name.
        :raises Error: INVALID, naming both.
        """
        if not options.namespace:
            return
        client = self.client_of(worker)
        declared = client.get("namespace") if client else actual
        if options.namespace not in (declared, actual):
            raise Error(
                f"option namespace is {shown(options.namespace)}, but the worker {worker or '(default)'} works for"
                f" {shown(declared)}; start it on a worker whose client has that namespace",
                INVALID,
                retryable=False,
            )

    def activity_queue(self, entry: Entry | None, options: CallOptions, caller_queue: str) -> str:
        """Return the task queue on which a workflow's call runs."""
        if options.task_queue:
            return options.task_queue
        if entry is not None and entry.worker:
            return self.task_queue(entry.worker)
        return caller_queue

    def is_local(self, entry: Entry | None, options: CallOptions) -> bool:
        """Return whether a workflow's call runs inside the workflow's own task."""
        if entry is None or options.task_queue:
            return False
        return entry.local if options.local is None else options.local

    def task_queues(self) -> tuple[str, ...]:
        """Return the task queues that this app's workers serve."""
        workers = self.of_kind(WORKER)
        queues = [self.task_queue(worker.id) for worker in workers]
        return tuple(dict.fromkeys(queues)) or (DEFAULT_TASK_QUEUE,)

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
    """Return the ``namespace:name`` of a reference in an entry of `namespace`."""
    return reference if ":" in reference else f"{namespace}:{reference}"


class AppError(Error):
    """An application cannot be loaded; `problems` holds every reason, sorted by file and line.

    The message has one line per problem. With a single problem, `where` and `hint` are the problem's.

    :param rest: the app without the entries that have a problem, and its warnings, as far as it was read.
    """

    def __init__(self, problems: Iterable[Problem], rest: Registry | None = None) -> None:
        self.problems: list[Problem] = in_order(problems)
        self.rest = rest
        only = self.problems[0] if len(self.problems) == 1 else None
        text = "\n".join(f"{p}; {p.hint}" if p.hint else str(p) for p in self.problems)
        super().__init__(
            _sentence(only) if only else text,
            INVALID,
            retryable=False,
            where=only.where or None if only else None,
            hint=only.hint if only else None,
        )
        self._text = text

    def __str__(self) -> str:
        return self._text


def _sentence(problem: Problem) -> str:
    return f"{problem.entry}: {problem.message}" if problem.entry else problem.message
