"""The contract of a `Backend`: where workflows live, as clients, processes and workers see it.

Memory and Redis get theirs from `saros.engine.StoreBackend` over a `saros.interfaces.store.Store`; Temporal has
its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..model.clock import Clock
from ..model.execution import Description, HistoryPage, Pid, Started, StartRequest, Watcher
from ..model.records import Ask
from ..model.values import Json
from .insight import Insight
from .program import Facts

if TYPE_CHECKING:
    from .deployment import Deployment
    from .host import Host


class Executions(Protocol):
    """What clients and the command line do with executions."""

    async def start(self, request: StartRequest) -> Started:
        """:raises Error: ALREADY_EXISTS under the request's policies; INVALID for bad search attributes."""
        ...

    async def result(self, id: str, run_id: str = "") -> Json:
        """Wait for a run and the runs that continue it, and return the final `Outcome`.

        :raises Error: NOT_FOUND.
        """
        ...

    async def describe(self, id: str, run_id: str = "") -> Description:
        """:raises Error: NOT_FOUND."""
        ...

    def executions(self, query: str = "") -> AsyncIterator[Description]:
        """:raises Error: INVALID for a bad query (see `saros.insight.query`)."""
        ...

    async def count(self, query: str = "") -> int:
        """The number of runs that `executions` would yield.

        :raises Error: INVALID for a bad query.
        """
        ...

    async def history(
        self, id: str, run_id: str = "", start: int = 0, wait: bool = False, limit: int = 0
    ) -> HistoryPage:
        """The records of a run from number `start` on; with `wait`, block until there are any or the run is closed.

        :param start: with `saros.interfaces.history.LAST`, only the last record.
        :param limit: how many at most; 0 for all.
        :raises Error: NOT_FOUND.
        """
        ...

    async def export(self, id: str, run_id: str = "") -> Any:
        """A run's history as JSON data that `replay` accepts.

        :raises Error: NOT_FOUND.
        """
        ...

    async def query(self, id: str, name: str, args: Json, run_id: str = "") -> Json:
        """Query a workflow and return its handler's result, which has seen all that was acknowledged before.

        :raises Error: NOT_FOUND; TIMEOUT if a message waits and no worker takes it; or what the handler failed with.
        """
        ...

    async def update(self, id: str, name: str, args: Json, trace: str = "") -> Json:
        """Have a workflow carry out an update, and return its handler's result.

        :param trace: the carrier of who asks, while somebody observes.
        :raises Error: NOT_FOUND, or what the handler failed with.
        """
        ...

    async def release(self, id: str) -> None:
        """Try now what waits after a failure: the parked task of an execution, and activities before a retry.

        :raises Error: NOT_FOUND when nothing does; INVALID when only the server decides about that.
        """
        ...


class Messages(Protocol):
    """Requests of actors, and of the executions that they start, to others."""

    async def send(self, pid: Pid, op: str, body: Json, key: str = "") -> bool:
        """Put an event (MESSAGE, EXIT...) into the mail of a workflow, or of a process of another node.

        False if it is not running. A second event with the same `key` is dropped if the backend supports that.
        """
        ...

    async def ask(self, pid: Pid, ask: Ask, asker: str, key: str = "") -> bool:
        """Monitor, link, cancel or terminate `pid` for `asker`; False if `pid` is not running."""
        ...

    async def notify_end(self, watcher: Watcher, ended: str, outcome: Json) -> None:
        """Tell a watcher that is not an actor of this process that an actor has ended.

        A workflow receives this only in the run that `watcher` names.
        """
        ...

    async def register(self, name: str, pid: str) -> bool:
        """Register a name for a pid; False if another pid has it."""
        ...

    async def lookup(self, name: str) -> str | None: ...

    async def unregister(self, name: str, pid: str = "") -> bool:
        """Free a name (if `pid` is given, only when the name is that pid's); False if it was free."""
        ...


MAX_HANGS: Final = 2
"""The number of workers that may end because of one execution; after that, it waits to be released."""


class Backend(Executions, Messages, Insight, Protocol):
    """Where workflows live. Methods raise `saros.Error` of kind UNAVAILABLE when the server cannot be reached."""

    @property
    def url(self) -> str:
        """The address of the backend, without secrets; for messages."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock for all waits in this process."""
        ...

    @property
    def keeps_schedules(self) -> bool:
        """True if `work` handles the app's ``schedule`` entries itself; otherwise `saros.app.serving` does."""
        ...

    async def open(self, deployment: Deployment) -> None:
        """Connect.

        :raises Error: UNAVAILABLE or INVALID, naming the server.
        """
        ...

    async def close(self) -> None: ...

    async def join(self, host: Host) -> None:
        """Let other processes reach the actors of `host`, from before the first starts until the end."""
        ...

    async def work(self, host: Host) -> None:
        """Serve the deployment's task queues until cancelled; then drain: take no new tasks, finish begun ones."""
        ...

    async def blocked(self, facts: Facts, problem: str) -> str:
        """Record that a program has blocked this process, which is about to end (see `saros_watchdog.watchdog`).

        Runs in its own thread, on its own event loop, because the process's main event loop is blocked.
        An execution to which this happens twice is not retried until it is released. Returns a sentence that
        says what happens next.
        """
        ...

    @property
    def lost(self) -> str:
        """A sentence that says what happens to the work of such a process when no note of it exists."""
        ...

    def note(self, facts: Facts) -> Json:
        """What `noted` needs to know about the execution, as UTF-8; empty when there is nothing to note.

        Called before each activation, in the thread that runs the code: it only reads what is in memory.
        """
        ...

    async def noted(self, note: Json, problem: str) -> str:
        """Like `blocked`, but called in another process, in which this backend was opened only for the call."""
        ...
