"""One request and its response, while the function of an endpoint runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from saros.entries import Entry
from saros.interfaces.host import Attempt, Host
from saros.model import values
from saros.model.background import Job
from saros.model.errors import CANCELED, INVALID, Error, ErrorData
from saros.model.records import Call, Outcome, pack
from saros.model.text import one_line
from saros.model.values import Json

from ..problem import REQUEST_ID, WIRE, Disconnected, Headers, HttpError, Receive, Scope, Send, send_whole
from .body import WHOLE, Body, text_or_bytes

log = logging.getLogger("saros.http")

GRACE_S: Final = 5.0
"""The time that a function gets to end after its client has disconnected."""

_exchanges: dict[str, Exchange] = {}  # pid of the function -> its request
_TIMED_OUT: Final = pack(Outcome(err=ErrorData("the request took too long", "Timeout", False)))
_GONE: Final = pack(Outcome(err=ErrorData("the client has gone", CANCELED, False)))


async def answer(pid: str, args: list[Any]) -> Any:
    """Answer a call of the service ``@http``, by which a function uses the request that it serves.

    :raises Error: INVALID when it serves no request, CANCELED when the client has disconnected.
    """
    exchange = _exchanges.get(pid)
    if exchange is None:
        raise Error("only the function of an http.endpoint serves a request", INVALID, retryable=False)
    return await exchange.ask(*args)


def responds(pid: str) -> None:
    """Note that a function is about to return the response that it made with `http.response`."""
    exchange = _exchanges.get(pid)
    if exchange is not None:
        exchange.responds = True


def end_streams(host: Host) -> None:
    """Cancel the functions that stream events: their clients reconnect, and the server would wait for them to end."""
    for exchange in list(_exchanges.values()):
        if exchange.host is host and exchange.sends_events:
            exchange.cancel()


class Exchange:
    def __init__(self, scope: Scope, receive: Receive, send: Send, body: Body) -> None:
        self.begun = False
        self.sends_events = False
        self.responds = False
        self.host: Host | None = None
        self._scope = scope
        self._receive = receive
        self._send = send
        self._body = body
        self._gone = False
        self._no_body = False  # a status without a body
        self._writing: asyncio.Lock | None = None  # coroutines of the function may write at the same time
        self._attempt: Attempt | None = None
        self._ended: asyncio.Future[Json | HttpError] = asyncio.get_running_loop().create_future()
        self._watcher: Job[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []

    # --- the function -----------------------------------------------------------------------

    async def run(
        self,
        host: Host,
        entry: Entry,
        info: Json,
        context: Mapping[str, str],
        seconds: float,
        trace: str = "",
    ) -> None:
        """Run the function and send its response.

        :raises HttpError: when there is no response that can be sent.
        :raises Disconnected: when the client has disconnected.
        """
        call = Call(entry.id, context=msgspec.Raw(pack(context)))
        scope = host.attempts.scope({"http": msgspec.Raw(info)}, call)
        scope.trace = trace
        _exchanges[scope.pid] = self
        self.host = host
        try:
            self._attempt = host.attempts.start(entry, call, scope, self._settle)
            if not self._ended.done():
                self._wait(seconds)
            try:
                outcome = await self._ended
            except asyncio.CancelledError:
                self._attempt.abandon(_GONE)
                raise
        except Error as error:  # the code could not be loaded
            log.error("%s cannot run: %s [%s]", entry.id, error, self._scope[REQUEST_ID])
            raise HttpError(500, "The server could not answer.") from error
        finally:
            del _exchanges[scope.pid]
            for timer in self._timers:
                timer.cancel()
            if self._watcher is not None:
                self._watcher.cancel()
        if isinstance(outcome, HttpError):
            raise outcome
        await self._conclude(entry, msgspec.json.decode(outcome, type=Outcome))

    def _settle(self, outcome: Json | HttpError) -> None:
        if not self._ended.done():
            self._ended.set_result(outcome)

    def _wait(self, seconds: float) -> None:
        """Wait for the function; end it when its time is over or its client disconnects."""
        self._timers.append(asyncio.get_running_loop().call_later(seconds, self._too_late))
        if self._body.ended or self._body.length == 0:
            self._watch()
        else:
            self._body.on_end = self._watch

    def _too_late(self) -> None:
        if not self.begun:  # a stream may go on for as long as its client listens
            self._settle(HttpError(504, "The answer took too long."))
            if self._attempt is not None:
                self._attempt.abandon(_TIMED_OUT)

    def _watch(self) -> None:
        if self._watcher is None and not self._ended.done():
            self._watcher = Job(self._until_gone(), "the watch of an HTTP client")

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        """Cancel the function, because the client has disconnected."""
        self._gone = True
        self.cancel()

    def cancel(self) -> None:
        """Cancel the function, and terminate it if it does not end."""
        if self._attempt is None or self._attempt.scope.canceled:
            return
        self._attempt.cancel()
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(GRACE_S, self._attempt.abandon, _GONE))

    # --- calls of the function ----------------------------------------------------------------

    async def ask(self, op: str, *args: Any) -> Any:
        try:
            if op == "body":
                data = await self._body.whole()
                if len(data) > WHOLE:
                    why = (
                        f"the body has {len(data)} bytes, too many to be read at once; read it with stream()"
                    )
                    raise Error(why, INVALID, retryable=False)
                return text_or_bytes(data)
            if op == "read":
                data = await self._body.read(args[0])
                return text_or_bytes(data) if data else None
            if op == "form":
                return await self._body.form()
            if op == "write":
                return await self._write(*args)
        except HttpError as error:
            if error.status in (408, 413):  # the connection cannot serve another request
                self._settle(error)
                if self._attempt is not None:
                    self._attempt.abandon(_GONE)
            raise Error(error.detail, INVALID, retryable=False) from error
        except Disconnected:
            self._leave()
            raise Error("the client has gone", CANCELED, retryable=False) from None
        raise Error(f"the service @http does not know {op}", INVALID, retryable=False)

    async def _write(self, head: dict[str, Any] | bool, data: str | bytes) -> bool:
        if self._writing is None:
            self._writing = asyncio.Lock()
        async with self._writing:
            return await self._write_next(head, data)

    async def _write_next(self, head: dict[str, Any] | bool, data: str | bytes) -> bool:
        if self._gone:
            raise Disconnected
        if isinstance(head, dict):
            headers = _headers(head["headers"])
            self.begun = True
            self._no_body = head["status"] in (204, 304)
            self.sends_events = (b"content-type", b"text/event-stream") in headers
            await self._send({"type": "http.response.start", "status": head["status"], "headers": headers})
        if data and not self._no_body:
            body = data.encode() if isinstance(data, str) else data
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
        elif isinstance(head, dict):  # sends the head
            await self._send({"type": "http.response.body", "body": b"", "more_body": True})
        return True

    def _abort(self) -> None:
        wire = self._scope.get(WIRE)
        if wire is not None:
            wire.abort()

    # --- its end --------------------------------------------------------------------------------

    async def _conclude(self, entry: Entry, outcome: Outcome) -> None:
        if self._gone:
            raise Disconnected
        if outcome.err is not None:
            self._report(entry, outcome.err)
            if self.begun:
                await self.cut()
            raise HttpError(500, "The server could not answer.")
        if not self.responds:
            shown = values.shown(bytes(outcome.ok)) if outcome.ok else None
            if shown is None:
                await send_whole(self._send, 200, [], b"")
                return
            headers = [(b"content-type", b"application/json")]
            await send_whole(self._send, 200, headers, msgspec.json.encode(_plain(shown)))
            return
        result: Any = values.decode(outcome.ok)
        body = result["body"]
        data = body.encode() if isinstance(body, str) else body
        if "status" in result:
            await send_whole(self._send, result["status"], _headers(result["headers"]), data)
        else:
            await self._send({"type": "http.response.body", "body": b"" if self._no_body else data})

    def _report(self, entry: Entry, error: ErrorData) -> None:
        stack = f"\n{error.stack}" if error.stack else ""
        text = f"{error.context}: {error.message}" if error.context else error.message
        log.error("%s failed: %s [%s]%s", entry.id, one_line(text), self._scope[REQUEST_ID], stack)

    async def cut(self) -> None:
        """Cut the connection, so that the client knows that the response is incomplete.

        :raises Disconnected: always.
        """
        self._abort()
        while self._scope.get(WIRE) and (await self._receive())["type"] != "http.disconnect":
            pass
        raise Disconnected


def _headers(table: Any) -> Headers:
    # Lua's empty table arrives as an empty list.
    pairs = table.items() if isinstance(table, dict) else ()
    return [
        (name.encode(), _bytes(item))
        for name, value in pairs
        for item in (value if isinstance(value, list) else [value])
    ]


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """Return the value as the Lua module json writes it: whole numbers have no fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
