"""The contract of a `Store`: all that the durable engine needs of a database.

One rule keeps it small: **everything that reaches an execution is mail in its inbox**: its start, messages,
results of calls, fired timers, exits of children. A workflow task is *take* (mail and a fence), run the
program, *commit*; the commit is one atomic transition, or nothing (see invariant 1 of the architecture).

What a transition does to *others* leaves through its outbox: the store hands the entries out, the engine's
courier delivers them, and the reply comes back as mail. Entries are delivered at least once; `Mail.key`
makes a repeated delivery harmless.

All times are nanoseconds since 1970 by the store's own clock, for people to read. What has to happen later is
given as a duration: a store measures it by a clock that nobody sets (see `saros.clock`), or makes up for it when
its clock is set.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from .errors import ALREADY_EXISTS, CANCELED, TIMEOUT, Error, ErrorData
from .execution import Description, HistoryPage, Record, Run, Started, StartRequest, Watcher
from .program import ASK, Ask, Call, Outcome, pack
from .raw import ABSENT
from .values import Json

MS = 1_000_000


def already_exists(id: str, run_id: str, what: str) -> Error:
    """Why an execution cannot be started: there is a run of that id.

    :param what: that is said of it, such as "is running".
    """
    return Error(
        f"workflow {id} {what}",
        ALREADY_EXISTS,
        retryable=False,
        details={"workflow_id": id, "run_id": run_id},
    )


def withdrawn(id: str) -> Error:
    """Why an execution is not started: its request was withdrawn before it was carried out."""
    return Error(f"the start of workflow {id} was withdrawn", CANCELED, retryable=False)


class Mail(msgspec.Struct, frozen=True, gc=False):
    """An event on its way into an execution (`op`, `ref` and `body` as in `saros.program.Event`)."""

    op: str
    ref: int
    body: Json
    run_id: str = ""  # only this run may receive it; "" means whichever runs
    key: str = ""  # a second mail with the same key is dropped; "" is never compared
    request: str = ""  # only the execution that this start request made may receive it; see `Store.post`


class NodeMail(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A request to an actor of another node, or the reply to one.

    `op` is an event for the actor (`body` as in `saros.program.Event`), ASK (an `Ask`), EXIT or LINK_DOWN of
    `asker` (an `Outcome`), or DONE: the reply (an `Outcome`). A request without a reply is sent again.
    """

    id: str  # of the request
    sender: str  # the node that gets the reply
    op: str
    to: str  # a pid
    body: msgspec.Raw
    asker: str = ""  # a pid
    key: str = ""  # requests with the same key are carried out once


class WorkflowTask(NamedTuple):
    """A run with mail, leased to one worker: only a commit with this `fence` is accepted."""

    run: Run
    fence: str
    length: int  # records of history
    mails: Sequence[Mail]
    now: int
    failures: int  # how often in a row this task was parked
    hangs: int = 0  # and how often of these because it had blocked its worker


class CallTask(msgspec.Struct, omit_defaults=True):
    """A call on its way to a worker. `id`, `run_id` and `ref` name it."""

    id: str
    run_id: str
    ref: int
    task_queue: str
    pid: str  # of the caller
    type: str  # of the calling workflow
    call: Call
    scheduled: int = 0
    attempt: int = 1
    heartbeat: msgspec.Raw = ABSENT  # the details that the last attempt recorded


class CallLease(NamedTuple):
    """One attempt of a call, leased to one worker."""

    task: CallTask
    token: str
    now: int


class Deadline(NamedTuple):
    """Something that happens `delay` nanoseconds after the commit, unless the transition `clear` comes first.

    A delay below zero is over already. Deadlines happen in the order of their times, and equal ones in that in
    which they were set.

    `guard` says to what it applies: ``timer`` (always), ``start`` (only while no worker has taken call
    `ref`), ``close`` (only while call `ref` is open), ``run`` (ends the whole run with `mail.body`,
    an `Outcome`). A fired ``start`` or ``close`` closes its call.
    """

    ref: int
    delay: int
    mail: Mail
    guard: str = "timer"


TIMER: Final = "timer"
TO_START: Final = "start"
TO_CLOSE: Final = "close"
TO_RUN: Final = "run"


class Outgoing(NamedTuple):
    """A request of one execution that concerns another.

    `op` and `body` are a SPAWN, SEND or ASK command; or EXIT or DONE mail for a watcher (`to`); or TIME_OUT
    with the `Outcome` of a run whose `run_timeout` has passed and that another run may follow: the engine
    answers with `Store.time_out`. The reply goes to run `run_id` of `id` as DONE of `ref`; `ref` 0 wants
    none. `key` names it for ever.
    """

    id: str
    run_id: str
    pid: str
    ref: int
    op: str
    body: Json
    key: str
    to: Watcher | None = None


class Child(NamedTuple):
    """A workflow that command `ref` of a run starts, and what the end of that run is to it.

    Its start request is `child_request` of the run and `ref`; `policy` is ``terminate`` or ``request_cancel``.
    """

    ref: int
    id: str
    policy: str


def child_request(run_id: str, ref: int) -> str:
    """The id of the request by which command `ref` of a run starts a workflow."""
    return f"{run_id}:{ref}"


def farewell(run: Run, child: Child) -> Outgoing:
    """What the end of a run asks of a child."""
    verb = "terminate" if child.policy == "terminate" else "cancel"
    request = child_request(run.run_id, child.ref)
    body = pack(Ask(verb, f"|{child.id}", reason=PARENT_ENDED, request=request))
    return Outgoing(run.id, run.run_id, str(run.pid), 0, ASK, body, f"{request}:{verb}")


PARENT_ENDED: Final = "the parent has ended"


def timed_out(ms: int) -> Json:
    """The `Outcome` of a run that has taken its `run_timeout` or `execution_timeout`, in milliseconds."""
    return pack(Outcome(err=ErrorData(f"timed out after {ms / 1000:g} s", TIMEOUT, False)))


class Limit(NamedTuple):
    """After how many nanoseconds a run ends as timed out.

    They count from its creation, or with `total` from that of the execution's first run. With `again` another run
    may follow it, which takes a TIME_OUT in the outbox.
    """

    delay: int
    outcome: Json
    again: bool
    total: bool


class NewRun(NamedTuple):
    """A run to create, with its first mail (START, then messages)."""

    run: Run
    mails: tuple[Mail, ...]
    delay: int = 0  # nanoseconds until its first task, unless CANCEL comes first

    @property
    def limits(self) -> list[Limit]:
        """What the options of the run limit."""
        options = self.run.options
        found = []
        if options.run_timeout:
            delay = self.delay + options.run_timeout * MS
            again = options.retry_policy is not None or bool(options.cron_schedule)
            found.append(Limit(delay, timed_out(options.run_timeout), again, False))
        if options.execution_timeout:
            delay = options.execution_timeout * MS
            found.append(Limit(delay, timed_out(options.execution_timeout), False, True))
        return found


class Close(NamedTuple):
    """The end of a run; `next` continues the execution (continue-as-new, retry, cron)."""

    status: str
    outcome: Json  # an `Outcome`
    next: NewRun | None = None


class Commit(msgspec.Struct):
    """One workflow task's whole effect."""

    run: Run
    fence: str
    expected: int  # history length that the task was computed from
    consumed: int  # number of mails
    records: list[Record] = []
    calls: list[CallTask] = []
    leased: list[
        CallLease
    ] = []  # calls whose attempt runs here already, under this token: as if it had been taken
    canceled: list[int] = []  # calls to drop; a running attempt hears of it with its next heartbeat
    asked: list[
        int
    ] = []  # calls to cancel whose own end still counts; they may be among `calls` and `leased`
    deadlines: list[Deadline] = []
    cleared: list[int] = []  # timers to drop
    outbox: list[Outgoing] = []
    children: list[Child] = []  # that the outbox starts, and that the run's end concerns
    ended: list[int] = []  # children (their refs) whose end the run has heard of
    search: dict[str, msgspec.Raw] = {}  # upserts; JSON null removes
    memo: dict[str, msgspec.Raw] = {}
    close: Close | None = None


class Settled(NamedTuple):
    """The end of a call's attempt.

    With `retry_in` (nanoseconds) another one follows, unless the call is closed before that (`TO_CLOSE`).
    """

    lease: CallLease
    outcome: Json  # an `Outcome`
    retry_in: int | None = None


class LostNode(NamedTuple):
    node: str
    watches: list[tuple[str, Watcher]]  # pid of an actor, and who is to hear of its end


LAST: Final = -1
"""As the start of a history: only its last record."""
UNTIL_CLOSED: Final = 1 << 62

OK: Final = "ok"
FENCED: Final = "fenced"  # another worker owns the task: forget the program
CONFLICT: Final = "conflict"  # the history is not what the task was computed from: load it again


class Store(Protocol):
    """A database of executions. Every method raises `saros.Error` of kind UNAVAILABLE when it cannot be reached."""

    @property
    def url(self) -> str:
        """Where it is, without secrets; for messages."""
        ...

    # --- clients ----------------------------------------------------------------------------

    async def start(self, new: NewRun, request: StartRequest) -> Started:
        """Create an execution, under the request's id policies.

        An execution that runs already gets the request's messages and watcher (`use_existing`).

        :raises Error: ALREADY_EXISTS, with the running or last run's id in the details; CANCELED when the
            request was withdrawn (see `post` and `terminate`).
        """
        ...

    async def post(self, id: str, mail: Mail) -> bool:
        """Put mail into the inbox of a running execution; False when there is none.

        CANCEL wakes a run that waits for its start (`NewRun.delay`). When `mail.request` has not made its
        execution yet, that request is withdrawn instead: whenever it is carried out, nothing is started.
        """
        ...

    async def terminate(self, id: str, outcome: Json, run_id: str = "", request: str = "") -> bool:
        """End a run at once as terminated; False when none runs.

        :param request: only what this start request made; see `post` for one that has yet to be carried out.
        """
        ...

    async def time_out(self, id: str, run_id: str, outcome: Json, following: NewRun | None) -> bool:
        """End a run as timed out; False when it has ended. Its execution goes on with `following`, if any."""
        ...

    async def release(self, id: str) -> bool:
        """Have what was parked or set aside of a running execution tried again now; False when nothing is."""
        ...

    async def watch(self, id: str, watcher: Watcher) -> bool:
        """Make `watcher` hear of the end of a running execution; False when none runs."""
        ...

    async def unwatch(self, id: str, pid: str) -> None: ...

    async def describe(self, id: str, run_id: str = "") -> Description | None:
        """Tell about a run; the newest of its execution by default."""
        ...

    def executions(self, query: str = "") -> AsyncIterator[Description]:
        """Every run that a query (see `saros.query`) selects, newest start first."""
        ...

    async def history(self, id: str, run_id: str = "", start: int = 0) -> HistoryPage | None:
        """The records of a run from number `start` on; only the last with `LAST`."""
        ...

    async def changed(self, id: str, run_id: str, length: int) -> None:
        """Return once the run has more than `length` records or is closed (or, at the latest, after a while).

        With `UNTIL_CLOSED` as `length` only the end counts.
        """
        ...

    # --- names ------------------------------------------------------------------------------

    async def register(self, name: str, pid: str) -> bool:
        """Give a pid a name; False when another live pid has it."""
        ...

    async def lookup(self, name: str) -> str | None: ...

    async def unregister(self, name: str, pid: str = "") -> bool:
        """Free a name (only if it is that pid's, when given); False when it was free."""
        ...

    # --- workers ----------------------------------------------------------------------------

    async def take(self, queues: Sequence[str], limit: int) -> list[WorkflowTask]:
        """Lease runs that have mail; blocks until there is at least one."""
        ...

    async def commit(self, commits: Sequence[Commit]) -> list[str]:
        """Apply each commit atomically; OK, FENCED or CONFLICT for each."""
        ...

    async def park(self, task: WorkflowTask, problem: str, delay: int, *, hung: bool = False) -> None:
        """Give a failed task back, to be taken again after `delay` ns (-1: when it is released); its mail stays.

        :param hung: it has blocked its worker, whose process is about to end.
        """
        ...

    def last_words(self) -> Store | str:
        """For a process that a program has blocked, and that is about to end: a store of the same database, which
        another thread may open; or, when all that it holds ends with the process, what is lost.
        """
        ...

    async def take_calls(self, queues: Sequence[str], limit: int) -> list[CallLease]:
        """Lease calls for an attempt; blocks until there is at least one."""
        ...

    async def settle(self, results: Sequence[Settled]) -> None:
        """End attempts. A result of an attempt that no longer counts is dropped."""
        ...

    async def heartbeat(self, lease: CallLease, details: Json | None) -> bool:
        """Keep a lease and record details; True when the call has been cancelled (or is lost)."""
        ...

    async def outbox(self, limit: int) -> list[Outgoing]:
        """Lease entries to deliver; blocks until there is at least one."""
        ...

    async def delivered(self, entry: Outgoing, reply: Mail | None) -> None:
        """Take an entry out of the outbox and put the reply into its sender's inbox, atomically."""
        ...

    # --- nodes: processes that have actors --------------------------------------------------

    async def join_node(self, node: str) -> None:
        """Count a node of this process as alive from now on: until the store is closed, or the process dies."""
        ...

    async def send_node(self, node: str, mail: NodeMail) -> bool:
        """Put mail into the box of a node; False when that is not alive. Mail may get lost on the way."""
        ...

    async def node_mail(self, node: str) -> list[NodeMail]:
        """Take what is in the box of a node of this process; blocks until there is something."""
        ...

    async def watch_node(self, pid: str, watcher: Watcher) -> None:
        """Remember, for when its node dies, that `watcher` is to hear of the end of an actor."""
        ...

    async def unwatch_node(self, pid: str, watcher: Watcher) -> None: ...

    async def lost_nodes(self) -> list[LostNode]:
        """Nodes that have died and are not yet forgotten; blocks until there is one."""
        ...

    async def forget_node(self, node: str) -> None:
        """Take note that the watchers of a lost node have been told."""
        ...

    # --- life -------------------------------------------------------------------------------

    async def open(self) -> None: ...

    async def run(self) -> None:
        """Fire deadlines, reclaim lost leases: what each worker process does for all. Runs until cancelled."""
        ...

    async def close(self) -> None: ...
