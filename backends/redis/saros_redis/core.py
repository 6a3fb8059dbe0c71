"""What the parts of the store share: connections, keys, leases, and what this process has leased ahead."""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from saros.interfaces.activities import ActivityLease, ActivityTask, Settled
from saros.interfaces.history import WorkflowTask
from saros.interfaces.signals import Mail, Outgoing
from saros.model.errors import INTERNAL, UNAVAILABLE, Error
from saros.model.execution import Run
from saros.model.records import DONE, Outcome, pack
from saros.model.values import error_data

from . import codec, problems
from .buffer import Buffer
from .client import Client
from .clock import RedisClock, Steady
from .held import Held, Place
from .keys import Keys
from .limits import COMMIT
from .options import Options

log = logging.getLogger("saros.redis")

RUNS: Final = "runs"
ACTIVITIES: Final = "activities"
OWN: Final = "own"  # activities that are begun within a workflow task
OUT: Final = "out"
BATCH = 64
TASK_LIMIT_S = 600.0
"""Nothing takes a workflow task longer than this, and no activity much longer than its own limit."""
BROKEN: Final = (msgspec.MsgspecError, ValueError, LookupError)
"""What reading something raises that this version did not write; the rest of a reply must not suffer for it."""
KNOWN_RUNS = 10_000
"""Runs whose facts a worker remembers, so that the server need not send them again."""


class Core:
    def __init__(self, options: Options, client: Client, keys: Keys, clock: RedisClock) -> None:
        self.options = options
        self.client = client
        self.keys = keys
        self.clock = clock
        self.steady = [Steady() for _ in keys.tags]  # of each partition
        self.consumer = secrets.token_hex(8)  # fresh for each process start
        self.held = Held()
        self.queues: tuple[str, ...] = ()  # of workflows
        self.tasks: Buffer[WorkflowTask] = Buffer(BATCH)
        self.activities: dict[
            tuple[str, ...], Buffer[ActivityLease]
        ] = {}  # by the queues that a worker takes from
        self.out: Buffer[Outgoing] = Buffer(BATCH)
        self._runs: OrderedDict[str, Run] = OrderedDict()

    async def run(self, name: str, partition: int, args: Sequence[Any], patience: float = 3.0) -> Any:
        """Run a script on a partition.

        :raises Error: UNAVAILABLE.
        """
        known = self.steady[partition].known()
        return await self.client.run(name, self.keys.tags[partition], args, patience, known)

    @property
    def patience(self) -> float:
        """How long a worker waits, in seconds, for the server to take what it did: as long as its lease is good."""
        return self.options.lease

    async def read(self, partition: int, kind: str, command: str, key: str, *args: Any) -> Any:
        """A command that reads a key, which is put aside when it is not of that kind: a list, a hash.

        :raises Error: UNAVAILABLE.
        """
        try:
            return await self.client.command(command, key, *args)
        except Error as error:
            if error.__cause__ is None or not problems.is_wrong_type(error.__cause__):
                raise
        await self.run("mend", partition, [key, kind])
        return await self.client.command(command, key, *args)

    def forget_tasks(self) -> None:
        """Let all leases of workflow tasks end: the server was away, and the worker begins anew."""
        self.tasks.clear()
        for proof, place in self.held.snapshot().items():
            if place.stream.startswith(self.keys.ready(place.partition, "")):
                self.held.drop(proof)

    def streams(self, partition: int) -> list[tuple[str, str, str]]:
        """Kind, queue and name of each stream of a partition that this process reads."""
        keys = self.keys
        found = [(RUNS, queue, keys.ready(partition, queue)) for queue in self.queues]
        found += [(ACTIVITIES, queue, keys.activities(partition, queue)) for queue in self.activity_queues]
        found += [(OWN, queue, keys.own(partition, queue)) for queue in self.queues]
        return [*found, (OUT, "", keys.out(partition))]

    @property
    def activity_queues(self) -> tuple[str, ...]:
        """The task queues whose activities this process takes."""
        return tuple(dict.fromkeys(queue for queues in self.activities for queue in queues))

    def activities_of(self, queues: Sequence[str]) -> Buffer[ActivityLease]:
        """The buffer of a worker: each has its own, or a busy one would keep what another waits for."""
        return self.activities.setdefault(tuple(queues), Buffer(0))

    def _keep_activity(self, lease: ActivityLease) -> None:
        found = [buffer for queues, buffer in self.activities.items() if lease.task.task_queue in queues]
        max(found, key=lambda buffer: buffer.room()).put([lease])

    # --- leases -----------------------------------------------------------------------------

    def wanted(
        self, *, tasks: bool = True, activities: Iterable[tuple[str, ...]] | None = None, out: bool = True
    ) -> list[Any] | None:
        """What this process would take along with a reply (see scripts/take.lua).

        :param activities: of the workers with these queues; by default of all.
        """
        rooms = {
            queues: self.activities[queues].room()
            for queues in (self.activities if activities is None else activities)
        }
        runs, out_room = self.tasks.room() if tasks else 0, self.out.room() if out else 0
        return self.asking(runs, rooms, out_room) if runs or out_room or any(rooms.values()) else None

    def asking(
        self, runs: int = 0, activities: Mapping[tuple[str, ...], int] | None = None, out: int = 0
    ) -> list[Any]:
        """The scripts' `wanted`: so much of each kind, of activities by the queues of a worker."""
        rooms = {queues: room for queues, room in (activities or {}).items() if room}
        return [
            self.consumer,
            secrets.token_hex(16),
            self.queues if runs else (),
            runs,
            list(rooms),
            list(rooms.values()),
            out,
            self.options.attempts,
            self.options.payload * COMMIT // 2,  # bytes: what a task records besides its mail is to fit, too
        ]

    async def absorb(self, partition: int, reply: Sequence[Any]) -> int:
        """Keep what came along with a reply; gives how much it was."""
        now, tasks, activities, out = reply
        micros = int(now)
        self.clock.heard(micros)
        # What counts as held must be in a buffer when anything here fails: nobody else would ever get it.
        failed: list[list[Any]] = []
        for entry, fields in out:
            try:
                self.out.put([self._outgoing(partition, entry, fields)])
            except BROKEN as exc:
                await self._aside(partition, OUT, self.keys.out(partition), entry, exc)
        for each in activities:
            try:
                lease = self._activity(partition, each, micros * 1_000)
            except BROKEN as exc:
                log.warning(
                    "activity %s of run %s cannot be read: %s", codec.text(each[2]), codec.text(each[0]), exc
                )
                failed.append(_broken_activity(each, exc))
                continue
            if _spent(lease):
                self.held.drop(lease.token)
                failed.append(codec.settled(Settled(lease, pack(Outcome(err=error_data(_LOST))))))
            else:
                self._keep_activity(lease)
        for each in tasks:
            try:
                self.tasks.put([await self._task(partition, each, micros * 1_000)])
            except BROKEN as exc:
                self.held.drop(codec.text(each[2]))
                await self._aside(partition, RUNS, codec.text(each[6]), each[7], exc)
        if failed:
            await self.run("settle", partition, [failed, None])
        return len(tasks) + len(activities) + len(out)

    async def _aside(self, partition: int, kind: str, stream: str, entry: bytes, why: Exception) -> None:
        """Set something aside that no worker can read: a run waits until somebody releases it."""
        await self.run("aside", partition, [kind, stream, entry.decode(), f"it cannot be read: {why}"])

    async def _task(self, partition: int, found: Sequence[Any], now: int) -> WorkflowTask:
        run_id, blob, fence, length, failures, mails, stream, entry, hangs = found
        run = await self._run(partition, run_id.decode(), blob)
        proof = fence.decode()
        until = time.monotonic() + max(TASK_LIMIT_S, 2 * self.options.lease)
        self.held.add(proof, Place(partition, stream.decode(), entry.decode(), until))
        mail = [codec.read_mail(item) for item in mails]
        return WorkflowTask(run, proof, length, mail, now, failures, hangs)

    async def _run(self, partition: int, run_id: str, blob: bytes) -> Run:
        run = self._runs.pop(run_id, None)
        if run is None:
            if not blob:  # forgotten here, and the server thought we knew it
                reply = await self.run("run", partition, [run_id])
                blob = bytes(reply)
            run = codec.read_run(blob)
        self._runs[run_id] = run
        if len(self._runs) > KNOWN_RUNS:
            self._runs.popitem(last=False)
        return run

    def _activity(self, partition: int, found: Sequence[Any], now: int) -> ActivityLease:
        _run_id, blob, _ref, token, attempt, heartbeat, stream, entry = found
        proof = token.decode()
        task = codec.read_activity(blob, attempt, heartbeat)
        self.held.add(proof, Place(partition, stream.decode(), entry.decode(), _until(task)))
        return ActivityLease(task, proof, now)

    def hold_own(self, partition: int, leases: Sequence[ActivityLease], entries: Sequence[bytes]) -> None:
        """Keep the leases of activities that this process began within their workflow tasks."""
        for lease, entry in zip(leases, entries, strict=True):
            if entry:
                stream = self.keys.own(partition, lease.task.task_queue)
                self.held.add(lease.token, Place(partition, stream, entry.decode(), _until(lease.task)))

    def _outgoing(self, partition: int, entry: bytes, fields: Sequence[bytes]) -> Outgoing:
        found = codec.read_outgoing(fields)
        until = time.monotonic() + TASK_LIMIT_S
        place = Place(partition, self.keys.out(partition), entry.decode(), until)
        self.held.add(proof_of(found), place)
        return found


_LOST = Error("the worker that ran it was lost", UNAVAILABLE)
"""What an activity fails with whose workers were lost more often than its retry policy has attempts."""


def _until(task: ActivityTask) -> float:
    limit = task.call.options.start_to_close_timeout
    return time.monotonic() + limit / 1000 + TASK_LIMIT_S if limit else float("inf")


def proof_of(entry: Outgoing) -> str:
    return f"{entry.op} {entry.key}"


def _broken_activity(found: Sequence[Any], why: Exception) -> list[Any]:
    """The error that an activity ends with which nobody can read, as the script "settle" takes it."""
    run_id, ref = found[0].decode(), int(found[2])
    error = Error(f"the activity cannot be read: {why}", INTERNAL, retryable=False)
    mail = Mail(DONE, ref, pack(Outcome(err=error_data(error))), run_id)
    return [run_id, ref, found[3].decode(), codec.mail_item(mail), -1]


def _spent(lease: ActivityLease) -> bool:
    most = lease.task.call.options.retry_policy.maximum_attempts
    return bool(most) and lease.task.attempt > most
