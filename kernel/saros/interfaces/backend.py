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
    """What clients and the command line ask of executions."""

    async def start(self, request: StartRequest) -> Started:
        """:raises Error: ALREADY_EXISTS under the request's policies; INVALID for bad search attributes."""
        ...

    async def result(self, id: str, run_id: str = "") -> Json:
        """The `Outcome` of a run and of those that continue it; waits for it.

        :raises Error: NOT_FOUND.
        """
        ...

    async def describe(self, id: str, run_id: str = "") -> Description:
        """:raises Error: NOT_FOUND."""
        ...

    def executions(self, query: str = "") -> AsyncIterator[Description]:
        """:raises Error: INVALID for a bad query (see `saros.model.query`)."""
        ...

    async def count(self, query: str = "") -> int:
        """How many runs `executions` would give.

        :raises Error: INVALID for a bad query.
        """
        ...

    async def history(
        self, id: str, run_id: str = "", start: int = 0, wait: bool = False, limit: int = 0
    ) -> HistoryPage:
        """The records of a run from number `start` on; with `wait`, blocks until there are any or it is closed.

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
        """Ask a workflow; gives its handler's result.

        :raises Error: NOT_FOUND, or what the handler failed with.
        """
        ...

    async def update(self, id: str, name: str, args: Json) -> Json:
        """Have a workflow carry out an update, and give its handler's result.

        :raises Error: NOT_FOUND, or what the handler failed with.
        """
        ...

    async def release(self, id: str) -> None:
        """Have the parked task of an execution tried again now.

        :raises Error: NOT_FOUND when none is parked; INVALID where the server alone decides when.
        """
        ...


class Messages(Protocol):
    """What actors, and the executions that they start, ask of others."""

    async def send(self, pid: Pid, op: str, body: Json, key: str = "") -> bool:
        """Put an event (MESSAGE, EXIT...) into the mail of a workflow, or of a process of another node.

        False when it does not run. A second event with the same `key` is dropped, where the backend can.
        """
        ...

    async def ask(self, pid: Pid, ask: Ask, asker: str, key: str = "") -> bool:
        """Monitor, link, cancel or terminate for `asker`; False when `pid` does not run."""
        ...

    async def notify_end(self, watcher: Watcher, ended: str, outcome: Json) -> None:
        """Tell a watcher that is no actor of this process that an actor has ended.

        A workflow hears of it in the run that `watcher` names, and in no other.
        """
        ...

    async def register(self, name: str, pid: str) -> bool:
        """Give a pid a name; False when another has it."""
        ...

    async def lookup(self, name: str) -> str | None: ...

    async def unregister(self, name: str, pid: str = "") -> bool:
        """Free a name (only if it is that pid's, when given); False when it was free."""
        ...


MAX_HANGS: Final = 2
"""So many workers may end because of one execution; then it waits to be released."""


class Backend(Executions, Messages, Insight, Protocol):
    """Where workflows live. Methods raise `saros.Error` of kind UNAVAILABLE when the server cannot be reached."""

    @property
    def url(self) -> str:
        """Where it is, without secrets; for messages."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock of everything in this process that waits."""
        ...

    @property
    def keeps_schedules(self) -> bool:
        """Whether `work` sees to the app's ``schedule`` entries itself; otherwise `saros.app.serving` does."""
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
        """Serve the deployment's task queues until cancelled; then drain: no new tasks, finish those begun."""
        ...

    async def blocked(self, facts: Facts, problem: str) -> str:
        """Note that a program has blocked this process, which is about to end (see `saros.app.watchdog`).

        It runs in a thread of its own, on an event loop of its own: nothing of this process's other one moves.
        An execution to which that happens twice is not tried again before it is released. Gives a sentence on what
        comes of it.
        """
        ...

    @property
    def lost(self) -> str:
        """A sentence on what becomes of all that such a process held, where nothing of it is noted."""
        ...

    def note(self, facts: Facts) -> Json:
        """What `noted` has to know of the execution, as UTF-8; empty when there is nothing to note.

        It is asked in whatever thread runs the code, before each activation: it only looks at what it has.
        """
        ...

    async def noted(self, note: Json, problem: str) -> str:
        """The same as `blocked`, for another process: that backend was opened there only for this."""
        ...
