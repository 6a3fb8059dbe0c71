"""Executions as clients see them: start, mail, end, watchers, history."""

from __future__ import annotations

from typing import Any

from saros.interfaces.history import NewRun, already_exists, withdrawn
from saros.interfaces.signals import Mail
from saros.interfaces.store import check_size
from saros.model.errors import INTERNAL, Error, ErrorData
from saros.model.execution import Description, HistoryPage, Started, StartRequest, Watcher, new_id
from saros.model.records import CANCEL, Outcome, pack
from saros.model.values import Json

from .. import codec
from ..codec import BROKEN
from ..server.partitions import Partitions

PAGE = 2_000
"""Records of a history per reply."""
READ_PATIENCE_S = 15.0
"""How long a client that waits for a result tolerates an outage of the server."""
_REFUSED = {
    b"running": "is running",
    b"used": "was used before",
    b"completed": "has completed before",
}
_REPLACED = pack(Outcome(err=ErrorData("terminated: replaced by a new start", "Canceled", False))).decode()


class Executions:
    """:param payload: the largest value, in bytes."""

    def __init__(self, partitions: Partitions, payload: int) -> None:
        self._partitions = partitions
        self._payload = payload

    async def _run(self, name: str, id: str, args: list[Any], patience: float = 3.0) -> Any:
        return await self._partitions.run(name, self._partitions.keys.partition(id), args, patience)

    async def start(self, new: NewRun, request: StartRequest) -> Started:
        most = self._payload
        for mail in new.mails:
            check_size(mail.body, most, f"the input of {request.id}")
        options, watcher = request.options, request.watcher
        conflict = "fail" if options.execution_error_when_already_started else options.id_conflict_policy
        keys = self._partitions.keys
        named_here = request.name and keys.partition(request.name) == keys.partition(request.id)
        args = [
            codec.new_run(new),
            request.request_id or new_id(),
            codec.watcher_field(watcher) if watcher else "",
            pack(watcher).decode() if watcher else "",
            conflict,
            options.id_reuse_policy,
            codec.message_items(request),
            _REPLACED,
            request.name if named_here else "",
        ]
        what, run_id, pid = await self._run("start", request.id, args)
        if what == b"withdrawn":
            raise withdrawn(request.id)
        if what in _REFUSED:
            raise already_exists(request.id, run_id.decode(), _REFUSED[what])
        started = Started(request.id, run_id.decode(), pid.decode(), what != b"joined")
        if request.name and not named_here:
            args = ["set", request.name, started.pid, ""]
            await self._partitions.run("name", keys.partition(request.name), args)
        return started

    async def post(self, id: str, mail: Mail) -> bool:
        check_size(mail.body, self._payload, f"a message to {id}")
        args = [
            id,
            codec.mail_item(mail),
            mail.run_id,
            mail.key or new_id(),
            mail.request,
            mail.op == CANCEL,
        ]
        return bool(await self._run("enqueue", id, args))

    async def terminate(self, id: str, outcome: Json, run_id: str, request: str) -> bool:
        args = [id, run_id, outcome.decode(), new_id(), request]
        return bool(await self._run("terminate", id, args))

    async def time_out(self, id: str, run_id: str, outcome: Json, following: NewRun | None) -> bool:
        args = [id, run_id, outcome.decode(), *([codec.new_run(following)] if following else [])]
        return bool(await self._run("time_out", id, args))

    async def watch(self, id: str, watcher: Watcher) -> bool:
        args = [id, codec.watcher_field(watcher), pack(watcher).decode()]
        return bool(await self._run("watch", id, args))

    async def unwatch(self, id: str, pid: str) -> None:
        await self._run("watch", id, [id, pid, ""])

    async def release(self, id: str) -> bool:
        """Retry the tasks of an execution that were set aside; return False if there are none."""
        return bool(await self._run("release", id, [id]))

    async def describe(self, id: str, run_id: str) -> Description | None:
        found = await self._run("describe", id, [id, [run_id] if run_id else []])
        if not found:
            return None
        try:
            description = codec.description(*found[0])
        except BROKEN as exc:
            raise _broken(id, exc) from exc
        return description if description.id == id else None

    async def history(self, id: str, run_id: str, start: int, limit: int) -> HistoryPage | None:
        first = await self._page(id, run_id, start, min(limit or PAGE, PAGE))
        if first is None:
            return None
        page, length = first
        records = page.records
        last = min(page.start + limit, length) if limit else length
        while start >= 0 and page.start + len(records) < last:
            at = page.start + len(records)
            more = await self._page(id, page.run.run_id, at, min(last - at, PAGE))
            if more is None or not more[0].records:
                break
            page = more[0]._replace(start=page.start)
            records += page.records
        return page._replace(records=records)

    async def _page(self, id: str, run_id: str, start: int, most: int) -> tuple[HistoryPage, int] | None:
        reply = await self._run("history", id, [id, run_id, start, most], READ_PATIENCE_S)
        if not reply:
            return None
        try:
            blob, status, following, length, items = reply
            records = [codec.read_record(item) for item in items]
            at = start if start >= 0 else max(0, int(length) + start)
            run = codec.read_run(blob)
            return HistoryPage(run, at, records, status.decode(), following.decode()), int(length)
        except BROKEN as exc:
            raise _broken(id, exc) from exc


def _broken(id: str, why: Exception) -> Error:
    return Error(f"the data of {id} in Redis cannot be read: {why}", INTERNAL, retryable=False)
