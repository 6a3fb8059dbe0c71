"""A Lua program: one `Vm` that runs one execution (see `saros.program.Program`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from saros.entries import Entry
from saros.errors import INTERNAL, CodeError, Error
from saros.program import Command, Event, Facts

if TYPE_CHECKING:
    from .runtime import LuaRuntime
    from .vm import Vm

_OPS = {
    op.encode(): op
    for op in ["call", "timer", "rescind", "spawn", "send", "ask", "attrs", "version", "side_effect", "answer", "continue", "complete", "fail"]
}
_TASK_HINTS = {
    "budget": "block now and then (sleep, call, receive), or leave heavy work to an activity",
    "memory": "keep less data in the program, and pass references instead of values",
}


class LuaProgram:
    """:raises CodeError: never here; code is loaded with the START event."""

    def __init__(self, runtime: LuaRuntime, entry: Entry, vm: Vm, facts: Facts) -> None:
        self._runtime = runtime
        self._entry = entry
        self._vm: Vm | None = vm
        self._facts = facts
        self._advance: Callable[..., tuple[Any, ...]] = vm.rt.advance
        vm.bind(self.host)

    def advance(self, events: Sequence[Event]) -> list[Sequence[Command]]:
        vm = self._vm
        if vm is None:
            raise Error(f"the program of {self._entry.id} is closed", INTERNAL)
        length, size = self._facts.history()
        flat: list[Any] = []
        for op, ref, body, time in events:
            flat += (op.encode(), ref, bytes(body), time)
        output = vm.call(self._advance, length, size, *flat)
        if output and output[0] is False:
            raise self._failed(output[1].decode(), output[2].decode(errors="replace"))
        return _outputs(output)

    def _failed(self, reason: str, message: str) -> Error:
        if reason == "code":
            place, _, text = message.partition(": ")
            if ":" in place and place.rpartition(":")[2].isdigit():
                return CodeError(text, where=place)
            return CodeError(message, where=self._entry.where())
        return Error(message, INTERNAL, retryable=False, where=self._entry.where(), hint=_TASK_HINTS.get(reason))

    def where(self, ref: int) -> str | None:
        if self._vm is None:
            return None
        line = self._vm.call(self._vm.rt.line_of, ref)
        return line.decode() if line else None

    def close(self) -> None:
        vm, self._vm = self._vm, None
        if vm is not None:
            self._advance = _closed
            self._runtime.give_back(vm)

    # --- the host side of rt.host -----------------------------------------------------------

    def host(self, name: bytes, *args: Any) -> tuple[Any, ...]:
        """Answer the library: ``True, value...`` or ``False, kind, message``; never raises."""
        try:
            function = _HOST.get(name)
            if function is not None:
                result = function(self, *args)
            else:
                result = self._runtime.host_function(name.decode())(*args)
        except Error as error:
            return False, error.kind.encode(), str(error).encode()
        except Exception as error:  # an error of ours or of a plugin, told where it was caused
            return False, INTERNAL.encode(), f"{name.decode()} failed: {error!r}".encode()
        if isinstance(result, tuple):
            return True, *result
        return True, result

    def _source(self, id: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes]:
        entry = self._entry
        if id:
            found = self._runtime.entry(id.decode())
            if found is None:
                raise CodeError(f"{entry.id} imports {id.decode()}, which the app does not have")
            entry = found
        return self._runtime.source(entry)

    def _module(self, name: bytes) -> None:
        assert self._vm is not None
        self._runtime.check_module(name.decode(), self._entry, workflow=self._vm.workflow)

    def _version(self, change_id: bytes, lowest: int, highest: int) -> tuple[int, bool]:
        return self._facts.version_of(change_id.decode(), lowest, highest)

    def _recorded(self, ref: int) -> bytes | None:
        return self._facts.recorded(ref)

    def _refuse_attributes(self, search: bytes) -> bytes | None:
        why = self._facts.refuse_attributes(search)
        return why.encode() if why else None

    def _log(self, level: bytes, message: bytes, fields: bytes) -> None:
        self._facts.log(level.decode(), message.decode(errors="replace"), fields)

    def _heartbeat(self, details: bytes) -> None:
        self._facts.heartbeat(details)

    def _is_canceled(self) -> bool:
        return self._facts.is_canceled()

    def _random(self, count: int) -> bytes:
        return os.urandom(min(int(count), 1 << 20))


_HOST: dict[bytes, Callable[..., Any]] = {
    b"source": LuaProgram._source,
    b"module": LuaProgram._module,
    b"version": LuaProgram._version,
    b"recorded": LuaProgram._recorded,
    b"refuse_attributes": LuaProgram._refuse_attributes,
    b"log": LuaProgram._log,
    b"heartbeat": LuaProgram._heartbeat,
    b"is_canceled": LuaProgram._is_canceled,
    b"random": LuaProgram._random,
}


def _outputs(flat: tuple[Any, ...]) -> list[Sequence[Command]]:
    """Commands per event, from the flat ``n, op, ref, body, ..., n, ...`` that Lua returns."""
    outputs: list[Sequence[Command]] = []
    at, end = 0, len(flat)
    while at < end:
        stop = at + 1 + 3 * flat[at]
        outputs.append(
            [Command(_OPS[flat[i]], flat[i + 1], flat[i + 2]) for i in range(at + 1, stop, 3)] if stop > at + 1 else ()
        )
        at = stop
    return outputs


def _closed(*_: Any) -> tuple[Any, ...]:
    return False, b"closed", b"the program is closed"
