"""Intake: the tasks that this process requests from the scripts, and the parsing of their replies."""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from saros.insight.presence import identity
from saros.interfaces.activities import ActivityLease, ActivityTask, Settled
from saros.interfaces.history import WorkflowTask
from saros.interfaces.signals import Mail, Outgoing
from saros.interfaces.store import COMMIT
from saros.model.errors import INTERNAL, UNAVAILABLE, Error
from saros.model.execution import Run
from saros.model.records import DONE, Outcome, pack
from saros.model.values import error_data

from .. import codec
from ..codec import BROKEN
from ..keys import OUT, RUNS
from ..options import Options
from ..server.partitions import Partitions
from ..server.server_clock import RedisClock
from .leases import Leases, Place, proof_of
from .prefetch import Prefetch

log = logging.getLogger("saros.redis")

TASK_LIMIT_S: Final = 600.0
"""The longest duration of a workflow task; activities have their own limits."""
KNOWN_RUNS: Final = 10_000
"""The number of runs whose facts a worker caches, so that the server need not send them again."""


class Intake:
    """Requests tasks along with other scripts, and puts the received ones into the buffers of `prefetch`."""

    def __init__(
        self, options: Options, partitions: Partitions, prefetch: Prefetch, leases: Leases, clock: RedisClock
    ) -> None:
        self._partitions = partitions
        self._keys = partitions.keys
        self._prefetch = prefetch
        self._leases = leases
        self._clock = clock
        self._attempts = options.attempts
        self._room = options.payload * COMMIT // 2  # leaves room for what a task records besides its mail
        self._task_limit = max(TASK_LIMIT_S, 2 * options.lease)
        self._runs: OrderedDict[str, Run] = OrderedDict()

    def wanted(
        self, *, tasks: bool = True, activities: Iterable[tuple[str, ...]] | None = None, out: bool = True
    ) -> list[Any] | None:
        """Return the `wanted` of the tasks that a reply may bring (see scripts/common/take.lua), or None.

        :param activities: of the workers with these queues; by default of all.
        """
        rooms = {
            queues: self._prefetch.activities[queues].room()
            for queues in (self._prefetch.activities if activities is None else activities)
        }
        runs, out_room = self._prefetch.tasks.room() if tasks else 0, self._prefetch.out.room() if out else 0
        return self.asking(runs, rooms, out_room) if runs or out_room or any(rooms.values()) else None

    def asking(
        self, runs: int = 0, activities: Mapping[tuple[str, ...], int] | None = None, out: int = 0
    ) -> list[Any]:
        """Return the scripts' `wanted`: the number of each kind, for activities by the queues of a worker."""
        rooms = {queues: room for queues, room in (activities or {}).items() if room}
        return [
            self._prefetch.consumer,
            secrets.token_hex(16),
            self._prefetch.queues if runs else (),
            runs,
            list(rooms),
            list(rooms.values()),
            out,
            self._attempts,
            self._room,
            identity(),
        ]

    async def absorb(self, partition: int, reply: Sequence[Any]) -> int:
        """Keep the tasks of a reply; return their number."""
        now, tasks, activities, out = reply
        micros = int(now)
        self._clock.heard(micros)
        # Leased tasks must reach a buffer even if something here fails: no other worker would ever get them.
        failed: list[list[Any]] = []
        for entry, fields in out:
            try:
                self._prefetch.out.put([self._outgoing(partition, entry, fields)])
            except BROKEN as exc:
                await self._aside(partition, OUT, self._keys.out(partition), entry, exc)
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
                self._leases.drop(lease.token)
                failed.append(codec.settled(Settled(lease, pack(Outcome(err=error_data(_LOST))))))
            else:
                self._prefetch.put_activity(lease)
        for each in tasks:
            try:
                self._prefetch.tasks.put([await self._task(partition, each, micros * 1_000)])
            except BROKEN as exc:
                self._leases.drop(codec.text(each[2]))
                await self._aside(partition, RUNS, codec.text(each[6]), each[7], exc)
        if failed:
            await self._partitions.run("settle", partition, [failed, None])
        return len(tasks) + len(activities) + len(out)

    async def _aside(self, partition: int, kind: str, stream: str, entry: bytes, why: Exception) -> None:
        """Set aside a task that no worker can read: a run waits until it is released."""
        await self._partitions.run(
            "aside", partition, [kind, stream, entry.decode(), f"it cannot be read: {why}"]
        )

    async def _task(self, partition: int, found: Sequence[Any], now: int) -> WorkflowTask:
        run_id, blob, fence, length, failures, mails, stream, entry, hangs = found
        run = await self._run(partition, run_id.decode(), blob)
        proof = fence.decode()
        until = time.monotonic() + self._task_limit
        self._leases.add(proof, Place(partition, stream.decode(), entry.decode(), until))
        mail = [codec.read_mail(item) for item in mails]
        return WorkflowTask(run, proof, length, mail, now, failures, hangs)

    async def _run(self, partition: int, run_id: str, blob: bytes) -> Run:
        run = self._runs.pop(run_id, None)
        if run is None:
            if not blob:  # evicted here, although the server assumed that we have it
                reply = await self._partitions.run("read", partition, ["run", run_id])
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
        self._leases.add(proof, Place(partition, stream.decode(), entry.decode(), _until(task)))
        return ActivityLease(task, proof, now)

    def hold_own(self, partition: int, leases: Sequence[ActivityLease], entries: Sequence[bytes]) -> None:
        """Keep the leases of activities that this process started within their workflow tasks."""
        for lease, entry in zip(leases, entries, strict=True):
            if entry:
                stream = self._keys.own(partition, lease.task.task_queue)
                self._leases.add(lease.token, Place(partition, stream, entry.decode(), _until(lease.task)))

    def _outgoing(self, partition: int, entry: bytes, fields: Sequence[bytes]) -> Outgoing:
        found = codec.read_outgoing(fields)
        until = time.monotonic() + TASK_LIMIT_S
        place = Place(partition, self._keys.out(partition), entry.decode(), until)
        self._leases.add(proof_of(found), place)
        return found

    def forget_tasks(self) -> None:
        """Drop all leases of workflow tasks: the server was unavailable, and the worker starts over."""
        self._prefetch.tasks.clear()
        for proof, place in self._leases.snapshot().items():
            if place.stream.startswith(self._keys.ready(place.partition, "")):
                self._leases.drop(proof)


_LOST = Error("the worker that ran it was lost", UNAVAILABLE)
"""The error of an activity whose workers were lost more often than its retry policy allows."""


def _until(task: ActivityTask) -> float:
    limit = task.call.options.start_to_close_timeout
    return time.monotonic() + limit / 1000 + TASK_LIMIT_S if limit else float("inf")


def _broken_activity(found: Sequence[Any], why: Exception) -> list[Any]:
    """Return the error of an activity that cannot be read, as an argument of the script "settle"."""
    run_id, ref = found[0].decode(), int(found[2])
    error = Error(f"the activity cannot be read: {why}", INTERNAL, retryable=False)
    mail = Mail(DONE, ref, pack(Outcome(err=error_data(error))), run_id)
    return [run_id, ref, found[3].decode(), codec.mail_item(mail), -1, ""]


def _spent(lease: ActivityLease) -> bool:
    most = lease.task.call.options.retry_policy.maximum_attempts
    return bool(most) and lease.task.attempt > most
