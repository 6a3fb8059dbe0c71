"""A handle to one execution, with the operations that a client has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec

from ..interfaces.backend import Backend
from ..interfaces.insight import Stack
from ..interfaces.insight.pending import Pending
from ..model import values
from ..model.errors import NOT_FOUND, TIMEOUT, Error
from ..model.execution import RUNNING, HistoryPage, Pid, check_text, check_topic, new_id, value_of
from ..model.presentation import Line, lines
from ..model.records import CANCEL, MESSAGE, Ask, CancelRequest, Message, pack
from .description import Description, described

PAGE: Final = 1_000
"""Events of a history that are read at once."""


class Handle:
    """One execution, made by `App.start` or `App.get`.

    All methods apply to the newest run under the id, even if it is newer than the handle. Only a handle from
    `App.get` with a `run_id` applies to that run; operations that need a running execution (such as a signal)
    raise NOT_FOUND once that run has ended. `result` and `watch` follow the execution to its end: from the
    started or given run, or else the newest one, through all runs that continue it.

    :ivar id: the workflow id.
    :ivar run_id: the run that `App.start` started, or that `App.get` was given; empty for the newest.
    :ivar pid: the address that Lua code uses for the execution; empty if the handle comes from `App.get`.
    :ivar created: False if the execution was already running, and `App.start` joined it.
    """

    def __init__(
        self,
        backend: Backend,
        id: str,
        run_id: str = "",
        pid: str = "",
        *,
        created: bool = False,
        only_run: bool = False,
    ) -> None:
        self._backend = backend
        self.id = id
        self.run_id = run_id
        self.pid = pid
        self.created = created
        self._only = run_id if only_run else ""
        """The run to which all methods apply; empty for the newest."""

    def __repr__(self) -> str:
        return f"Handle({self.id!r}, run_id={self.run_id!r})"

    @property
    def _pid(self) -> Pid:
        return Pid.parse(self.pid) or Pid("", self.id)

    async def _expect_running(self) -> None:
        """:raises Error: NOT_FOUND when the handle is for one run, and that has ended."""
        if self._only and (await self._backend.describe(self.id, self._only)).status != RUNNING:
            raise Error(f"run {self._only} of {self.id} has ended", NOT_FOUND, retryable=False)

    async def result(self, timeout: float | None = None) -> Any:
        """Wait for the execution's end and return its result.

        :param timeout: in seconds; None for no limit.
        :raises Error: the execution's failure; TIMEOUT when it did not end in time.
        """
        try:
            async with asyncio.timeout(timeout):
                body = await self._backend.result(self.id, self.run_id)
        except TimeoutError:
            raise Error(f"{self.id} did not end within {timeout:g} s", TIMEOUT) from None
        return values.decode(value_of(body))

    async def signal(self, topic: str, *payloads: Any) -> None:
        """Send a message.

        :param topic: the topic of the message.
        :param payloads: its values.
        :raises Error: NOT_FOUND when the execution is not running; INVALID for a topic that begins with ``@``.
        """
        await self._expect_running()
        if not await self._backend.send(self._pid, MESSAGE, pack(message_of(topic, payloads)), new_id()):
            raise _not_running(self.id)

    async def query(self, name: str, *args: Any) -> Any:
        """Call a handler of ``workflow.on_query``. A query changes nothing, and ended executions answer it, too.

        :param name: of the handler.
        :param args: its arguments.
        :raises Error: NOT_FOUND, or the handler's failure.
        """
        check_text(name, "query name")
        return values.decode(await self._backend.query(self.id, name, values.encode_args(args), self._only))

    async def update(self, name: str, *args: Any) -> Any:
        """Call a handler of ``workflow.on_update``, and return its result.

        :param name: of the handler.
        :param args: the arguments of the handler and of its validator, which runs first.
        :raises Error: NOT_FOUND, or the validator's or handler's failure.
        """
        await self._expect_running()
        check_text(name, "update name")
        return values.decode(await self._backend.update(self.id, name, values.encode_args(args)))

    async def cancel(self, reason: str = "") -> None:
        """Ask the execution to end; its code decides how.

        :param reason: a text for its code.
        :raises Error: NOT_FOUND when the execution is not running.
        """
        await self._expect_running()
        body = pack(CancelRequest("", check_text(reason, "reason")))
        if not await self._backend.send(self._pid, CANCEL, body, new_id()):
            raise _not_running(self.id)

    async def terminate(self, reason: str = "") -> None:
        """End the execution immediately; its code cannot react.

        :param reason: a text for those that wait for the result.
        :raises Error: NOT_FOUND when the execution is not running.
        """
        await self._expect_running()
        if not await self._backend.ask(self._pid, Ask("terminate", reason=check_text(reason, "reason")), ""):
            raise _not_running(self.id)

    async def release(self) -> None:
        """Try now, instead of after a pause, what has failed: its parked task, and activities that wait for a retry.

        :raises Error: NOT_FOUND when nothing is parked or waits.
        """
        await self._expect_running()
        await self._backend.release(self.id)

    async def describe(self) -> Description:
        """Describe the execution's state.

        :raises Error: NOT_FOUND.
        """
        return described(await self._backend.describe(self.id, self._only))

    async def pending(self) -> Pending:
        """What is under way in the newest run: activities and their failures, timers, children, its task.

        :raises Error: NOT_FOUND.
        """
        return await self._backend.pending(self.id, self._only)

    async def stack(self) -> Stack:
        """Where the code of the newest run waits, and what it listens to; its history is replayed here.

        :raises Error: NOT_FOUND, or why the app's code cannot replay it.
        """
        return await self._backend.stack(self.id, self._only)

    async def history(self) -> list[Line]:
        """The history in readable form.

        :raises Error: NOT_FOUND.
        """
        page = await self._backend.history(self.id, self._only)
        return lines(page.records, page.start)

    async def lines(self) -> AsyncIterator[Line]:
        """Yield the history in readable form, reading it in pages of `PAGE` events.

        :raises Error: NOT_FOUND.
        """
        run_id, start = self._only, 0
        opened: dict[int, Any] = {}
        while True:
            page = await self._backend.history(self.id, run_id, start, limit=PAGE)
            for line in lines(page.records, start, opened):
                yield line
            if len(page.records) < PAGE:
                return
            run_id, start = page.run.run_id, start + len(page.records)

    async def export(self) -> Any:
        """The history as JSON data that `saros replay` reads.

        :raises Error: NOT_FOUND.
        """
        return await self._backend.export(self.id, self._only)

    async def watch(self) -> AsyncIterator[Line]:
        """Yield readable events as they happen, from the first one until the execution has ended.

        :raises Error: NOT_FOUND.
        """
        run_id, start = self.run_id, 0
        opened: dict[int, Any] = {}
        while True:
            page: HistoryPage = await self._backend.history(self.id, run_id, start, wait=True)
            for line in lines(page.records, start, opened):
                yield line
            run_id, start = page.run.run_id, start + len(page.records)
            if page.status == RUNNING:
                continue
            if not page.next_run_id:
                return
            run_id, start, opened = page.next_run_id, 0, {}


def message_of(topic: str, payloads: Sequence[Any]) -> Message:
    """:raises Error: INVALID for a topic that is reserved, or payloads that are not data or too large."""
    check_topic(topic)
    return Message(
        topic, "", msgspec.Raw(values.encode_args([*payloads], "the message has", len(topic.encode())))
    )


def _not_running(id: str) -> Error:
    return Error(f"workflow {id} not found, or it has ended", NOT_FOUND, retryable=False)
