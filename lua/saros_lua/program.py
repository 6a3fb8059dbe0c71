"""A Lua program: one `Vm` that runs one execution (see `saros.interfaces.program.Program`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from saros.entries import Entry
from saros.interfaces.activations import watch
from saros.interfaces.program import Facts, Inspection
from saros.model.errors import INTERNAL, CodeError, Error
from saros.model.records import EVENT_OPS, OUTDATED, QUERY, Command, Event, unpack
from saros.model.text import shown

from .modules.hash import derive
from .sandbox.vm import MAX_VALUE, Stopped, Vm

Source = tuple[int, bytes, bytes, bytes, bytes, bytes]
"""A source as Lua gets it: number, bytecode, method, usable modules, imports (a line each, ``alias=id``), entry id.

No two sources ever have the same number, so VMs may cache by it."""

_COMMANDS = (
    *("call", "timer", "rescind", "spawn", "send", "ask", "attrs", "version", "side_effect", "answer"),
    *("tell", "continue", "complete", "fail"),
)
_OPS = {op.encode(): op for op in _COMMANDS}
_EVENTS = {op: op.encode() for op in (*EVENT_OPS, QUERY, OUTDATED)}
_HINTS = {
    "budget": "block now and then (sleep, call, receive), or leave heavy work to an activity",
    "memory": "keep less data in the program, and pass references instead of values",
}


class ProgramRuntime(Protocol):
    """The part of the runtime that a program needs."""

    def entry(self, id: str) -> Entry | None: ...

    def source(self, entry: Entry, *, workflow: bool) -> Source: ...

    def refusal(self, name: str, entry_id: str, *, workflow: bool) -> Error: ...

    def host_function(self, name: str) -> Callable[..., Any]: ...

    def give_back(self, vm: Vm) -> None: ...


class LuaProgram:
    def __init__(self, runtime: ProgramRuntime, entry: Entry, vm: Vm, facts: Facts) -> None:
        self._runtime = runtime
        self._entry = entry
        self._vm: Vm | None = vm
        self._facts = facts
        self._workflow = vm.workflow
        self._advance = vm.fn("advance")
        self._stopped = False
        self._measured = 0  # bytes that meters have heard of
        vm.host = self._answer

    def advance(self, events: Sequence[Event]) -> list[Sequence[Command]]:
        vm = self._vm
        if vm is None:
            raise Error(f"the program of {self._entry.id} is closed", INTERNAL)
        outputs: list[Sequence[Command]] = []
        flat: list[Any] = [*self._facts.history()]
        begin = size = 0
        for index, event in enumerate(events):
            body = bytes(event.body)
            if event.op not in _EVENTS:
                raise Error(f"this version of Saros knows no event {shown(event.op)}", INTERNAL)
            need = len(body) + 128
            if size and size + need > MAX_VALUE:  # each of them fits, but not all at once
                outputs += self._hand_over(vm, size, flat, events[begin:index])
                if len(outputs) < index:
                    return outputs
                flat, begin, size = [None, None], index, 0  # Lua goes on counting the history
            flat += (_EVENTS[event.op], event.ref, body, event.time)
            size += need
        return outputs + self._hand_over(vm, size, flat, events[begin:])

    def _hand_over(
        self, vm: Vm, size: int, flat: Sequence[Any], events: Sequence[Event]
    ) -> list[Sequence[Command]]:
        """Deliver events, `flat` as Lua gets them, and return their commands; a closed program takes no more."""
        watch.begin(self._facts)
        try:
            output = vm.call_with(self._advance, size, flat)
        except Stopped as stopped:
            self._stopped = True
            raise self._failed(stopped.reason, stopped.message) from None
        finally:
            watch.end()
        if watch.meters:
            self._measure(vm)
        if output is None:
            return []
        if not isinstance(output, tuple):
            output = (output,)
        if output[0] is False:
            self._stopped = True
            raise self._failed(output[1].decode(), output[2].decode(errors="replace"))
        return _outputs(output, events)

    def _measure(self, vm: Vm | None) -> None:
        memory, used = (vm.memory, vm.used) if vm is not None else (0, 0)
        for meter in watch.meters:
            meter(self._entry.id, used, memory - self._measured)
        self._measured = memory

    def _failed(self, reason: str, message: str) -> Error:
        if reason == "code":
            place, _, text = message.partition(": ")
            if place.rpartition(":")[2].isdigit():
                return CodeError(text, where=place)
            return CodeError(message, where=self._entry.where())
        hint = _HINTS.get(reason)
        return Error(message, INTERNAL, retryable=False, where=self._entry.where(), hint=hint)

    def load(self) -> None:
        """Load the entry's code; run only the top level of its source.

        :raises CodeError: when there is no function to run, or the source fails.
        """
        if self._vm is not None:
            failure = self._vm.call(self._vm.fn("try_load"))
            if failure is not None:
                raise self._failed("code", failure.decode(errors="replace"))

    def probe(self, name: str, field: str) -> tuple[str, str]:
        """Describe a global of the entry's code or a field of it (see rt.probe), without running the code."""
        assert self._vm is not None
        kind, said = self._vm.call(self._vm.fn("probe"), name.encode(), field.encode())
        return kind.decode(), said.decode(errors="replace")

    def where(self, ref: int) -> str | None:
        if self._vm is None:
            return None
        line = self._vm.call(self._vm.fn("line_of"), ref)
        return line.decode() if line else None

    def inspect(self) -> Inspection:
        if self._vm is None:
            return Inspection()
        return unpack(self._vm.call(self._vm.fn("inspect")), Inspection)

    def close(self) -> None:
        vm, self._vm = self._vm, None
        if vm is not None:
            if self._measured:
                self._measure(None)
            del self._facts, self._advance  # they refer back to this
            if self._stopped:
                vm.close()
            else:
                self._runtime.give_back(vm)

    # --- the functions behind rt.host(name, ...) ---------------------------------------------------------

    def _answer(self, name: str, *args: Any) -> Any:
        answer = _ANSWERS.get(name)
        if answer is not None:
            return answer(self, *args)
        return self._runtime.host_function(name)(*args)

    def _source(self, id: bytes) -> Source:
        entry = self._entry
        if id:
            found = self._runtime.entry(id.decode())
            if found is None:
                raise CodeError(f"{entry.id} imports {id.decode()}, which the app does not have")
            entry = found
        return self._runtime.source(entry, workflow=self._workflow)

    def _refused_module(self, name: bytes, entry_id: bytes) -> None:
        raise self._runtime.refusal(name.decode(), entry_id.decode(), workflow=self._workflow)

    def _version(self, change_id: bytes, lowest: int, highest: int) -> tuple[int, bool]:
        return self._facts.version_of(change_id.decode(), lowest, highest)

    def _recorded(self, ref: int) -> tuple[bytes | None, bool]:
        return self._facts.recorded(ref), self._facts.settles_side_effects

    def _admit_attributes(self, search: bytes) -> tuple[bytes, str | None]:
        return self._facts.admit_attributes(search)

    def _log(self, level: bytes, message: bytes, fields: bytes) -> None:
        self._facts.log(level.decode(), message.decode(errors="replace"), fields)

    def _heartbeat(self, details: bytes) -> None:
        self._facts.heartbeat(details)

    def _is_canceled(self) -> bool:
        return self._facts.is_canceled()

    def _alive(self) -> None:
        watch.alive()

    def _random_of_run(self, secret: bytes | None, draw: int, count: int) -> bytes:
        return derive(self._facts.secret().encode() if secret is None else secret, draw, count)

    def _random(self, count: int) -> bytes:
        return os.urandom(min(int(count), 1 << 20))


_ANSWERS: dict[str, Callable[..., Any]] = {
    "source": LuaProgram._source,
    "refused_module": LuaProgram._refused_module,
    "version": LuaProgram._version,
    "recorded": LuaProgram._recorded,
    "admit_attributes": LuaProgram._admit_attributes,
    "log": LuaProgram._log,
    "heartbeat": LuaProgram._heartbeat,
    "is_canceled": LuaProgram._is_canceled,
    "alive": LuaProgram._alive,
    "random": LuaProgram._random,
    "random_of_run": LuaProgram._random_of_run,
}


def _outputs(flat: tuple[Any, ...], events: Sequence[Event]) -> list[Sequence[Command]]:
    """Return the commands per event, from the flat ``n, op, ref, body, ..., n, ...`` that Lua returns."""
    outputs: list[Sequence[Command]] = []
    at, end = 0, len(flat)
    while at < end:
        first, stop, time = at + 1, at + 1 + 3 * flat[at], events[len(outputs)].time
        outputs.append(
            [Command(_OPS[flat[i]], flat[i + 1], flat[i + 2], time) for i in range(first, stop, 3)]
        )
        at = stop
    return outputs
