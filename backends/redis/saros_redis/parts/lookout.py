"""Insight for people: pending work, workers, lengths of queues, paused schedules."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from saros.interfaces.insight import ACTIVITY, WORKFLOW, Paused, Queue, Worker
from saros.interfaces.insight.pending import (
    Failure,
    Parked,
    Pending,
    PendingActivity,
    PendingTask,
    pending_activity,
)
from saros.model.errors import INTERNAL, Error
from saros.model.execution import RUNNING
from saros.model.records import pack

from .. import codec
from ..codec import BROKEN
from ..server.partitions import Partitions

_worker = msgspec.json.Decoder(Worker).decode
_paused = msgspec.json.Decoder(Paused).decode
_failure = msgspec.json.Decoder(Failure).decode


class Lookout:
    """See `saros.interfaces.insight.InsightStore`."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions
        self._noted: set[str] = set()  # task queues whose names are stored

    async def note(self, queues: Iterable[str]) -> None:
        """Store the names of task queues, each once per process, because no other key lists the queues.

        If the server is away, the next call tries again; no program depends on the names.
        """
        for name in {*queues} - self._noted:
            with contextlib.suppress(Error):
                await self._announce("queue", name)
                self._noted.add(name)

    async def _announce(self, verb: str, name: str = "", item: str = "", ns: int = 0) -> Any:
        return await self._partitions.run("announce", 0, [verb, name, item, codec.micros(ns)])

    async def pending(self, id: str, run_id: str) -> Pending | None:
        partition = self._partitions.keys.partition(id)
        found = await self._partitions.run("pending", partition, [id, run_id])
        if not found:
            return None
        fields, activities, wake, retries = found
        try:
            return _pending(_members(fields), _members(activities), _time(wake), _members(retries))
        except BROKEN as exc:
            what = f"the data of {id} in Redis cannot be read: {exc}"
            raise Error(what, INTERNAL, retryable=False) from exc

    async def beat(self, worker: Worker, ns: int) -> None:
        if ns > 0:
            await self._announce("beat", worker.id, pack(worker).decode(), ns)
        else:
            await self._announce("gone", worker.id)

    async def workers(self) -> list[Worker]:
        found = []
        for heard, item in await self._announce("workers"):
            try:
                worker = _worker(item)
            except BROKEN:  # another version wrote it
                continue
            worker.heard = int(heard) * 1_000
            found.append(worker)
        return found

    async def queues(self) -> list[Queue]:
        names = sorted(codec.text(name) for name in await self._announce("queues"))
        sums: dict[tuple[str, str], Queue] = {}
        for partition in range(self._partitions.keys.partitions):
            lengths = await self._partitions.run("lengths", partition, [names])
            for name, (runs, run, activities, activity) in zip(names, lengths, strict=True):
                for kind, waiting, entry in ((WORKFLOW, runs, run), (ACTIVITY, activities, activity)):
                    queue = sums.setdefault((name, kind), Queue(name, kind, 0))
                    queue.waiting = (queue.waiting or 0) + int(waiting)
                    since = _since(entry)
                    if since is not None:
                        queue.oldest = since if queue.oldest is None else min(queue.oldest, since)
        return list(sums.values())

    async def pause(self, schedule: str, paused: Paused | None) -> None:
        if paused is None:
            await self._announce("resume", schedule)
        else:
            await self._announce("pause", schedule, pack(paused).decode())

    async def paused(self) -> dict[str, Paused]:
        return {name: _paused(item) for name, item in _members(await self._announce("paused")).items()}


def _members(flat: Sequence[bytes]) -> dict[str, bytes]:
    return {codec.text(flat[at]): flat[at + 1] for at in range(0, len(flat), 2)}


def _time(micros: bytes | None) -> int | None:
    return int(micros) * 1_000 if micros else None


def _since(entry: bytes | None) -> int | None:
    """Return when an entry was added to its stream, in nanoseconds since 1970; None without an entry."""
    return int(entry.split(b"-")[0]) * 1_000_000 if entry else None


def _holder(said: bytes | None) -> tuple[int | None, str]:
    """Return since when a worker has the task, and which worker."""
    at, _, who = (said or b"").partition(b" ")
    return _time(at), codec.text(who)


def _pending(
    run: dict[str, bytes], fields: dict[str, bytes], wake: int | None, retries: dict[str, bytes]
) -> Pending:
    queue, status = codec.text(run["queue"]), codec.text(run["status"])
    run_id = codec.read_run(run["run"]).run_id if "run" in run else ""
    found = Pending(codec.text(run["id"]), run_id, status, queue)
    if status != RUNNING:
        return found
    found.activities = [_activity(ref, fields, _time(retries[ref])) for ref in sorted(retries, key=int)]
    failures, delayed = int(run.get("failures", 0)), run.get("delayed")
    if delayed in (b"1", b"dead") or "problem" in run:
        problem = codec.text(run.get("problem", b""))
        next_try = wake if delayed == b"1" else None
        found.parked = Parked(problem, max(failures, 1), _time(run.get("parked")), next_try)
    elif delayed == b"start":
        found.begins = wake
    if "sched" in run:
        found.task = PendingTask(queue, _since(run["sched"]), failures + 1)
        if "fence" in run:
            found.task.started, found.task.worker = _holder(run.get("taken"))
            found.task.attempt = failures + max(int(run.get("takes", 1)), 1)
    return found


def _activity(ref: str, fields: dict[str, bytes], retry: int | None) -> PendingActivity:
    task = codec.read_activity(fields[ref], int(fields.get(f"{ref}:a", 0)) + 1, fields.get(f"{ref}:h", b""))
    found = pending_activity(task)
    if f"{ref}:t" in fields:
        found.started, found.worker = _holder(fields.get(f"{ref}:s"))
    else:
        found.next_attempt = retry
    if f"{ref}:f" in fields:
        found.failure = _failure(fields[f"{ref}:f"])
    found.heartbeat_time = _time(fields.get(f"{ref}:b"))
    found.canceled = f"{ref}:x" in fields
    return found
