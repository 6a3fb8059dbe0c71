"""Checks that are put into the bytecode of user code, for what no hook and no library function sees.

The virtual machine joins texts and stores metamethods by itself, so user code is given a call of a check, the
second upvalue of its main function, at two places:

* after a concatenation, ``check(text)``, which takes note of long texts (bounds.lua);
* before ``__call`` or ``__mode`` is stored, ``check(t, key, value)``: Lua obeys both in C, where nothing could
  stop them (objects.lua). A key that is computed is compared first, which costs two instructions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["TooLarge", "instrument"]

_HEADER: Final = b"\x1bLua\x54\x00\x19\x93\r\n\x1a\n\x04\x08\x08"  # Lua 5.4, format 0, sizes of its numbers
_NUMBERS: Final = 16  # bytes that follow: a sample integer and a sample float
_MOVE, _LOADK, _LOADKX, _GETUPVAL, _SETTABUP, _SETTABLE, _SETFIELD = 0, 3, 4, 9, 15, 16, 18
_CONCAT, _JMP, _EQK, _CALL, _EXTRAARG = 53, 56, 60, 68, 82
_BACKWARD: Final = frozenset({73, 77})  # FORLOOP, TFORLOOP
_FORWARD: Final = {74: 1, 75: 0}  # FORPREP, TFORPREP: instructions beyond the target that Bx tells
_SHORT_TEXT, _LONG_TEXT, _FLOAT, _INTEGER = 0x04, 0x14, 0x13, 0x03
_MAX_BX, _MAX_J, _MAX_BYTE = (1 << 17) - 1, (1 << 24) - 1, 255
_ABSOLUTE, _MAX_DELTAS = -0x80, 128  # in the line numbers: "look it up", and how often that is due
_WATCHED: Final = (b"__call", b"__mode")
_NAME: Final = b"(check)"  # of the upvalue; no name that a program could have


class TooLarge(Exception):
    """A function leaves no room for the checks; its only argument is the line where it begins."""


def instrument(bytecode: bytes) -> bytes:
    """Return a dumped main function with the checks.

    :raises ValueError: when it is not bytecode of Lua 5.4.
    :raises TooLarge: when a function has too many instructions, registers or upvalues.
    """
    if not bytecode.startswith(_HEADER):
        raise ValueError("this is no bytecode of Lua 5.4")
    reader = _Reader(bytecode, len(_HEADER) + _NUMBERS + 1)
    main = _read(reader)
    main.add_upvalue(1, 1)
    _check(main)
    head = bytecode[: len(_HEADER) + _NUMBERS]
    out = bytearray(head)
    out.append(len(main.upvalues))
    _write(main, out)
    return bytes(out)


# --- the format -------------------------------------------------------------------------------------


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self) -> int:
        value = 0
        while True:
            byte = self.byte()
            value = value << 7 | byte & 0x7F
            if byte & 0x80:
                return value

    def text(self) -> bytes | None:
        size = self.number()
        return None if size == 0 else self.take(size - 1)


@dataclass
class _Function:
    source: bytes | None
    first_line: int
    last_line: int
    shape: bytes  # number of parameters, whether it has more
    registers: int
    code: list[int]
    constants: list[tuple[int, bytes]]  # kind, and the value's bytes
    upvalues: list[bytes]
    inner: list[_Function]
    lines: list[int]  # of each instruction; none when they were stripped
    variables: list[tuple[bytes | None, int, int]]
    names: list[bytes | None]  # of the upvalues
    check: int = field(default=-1)  # the upvalue of the check

    def add_upvalue(self, in_stack: int, index: int) -> None:
        if len(self.upvalues) >= _MAX_BYTE:
            raise TooLarge(self.first_line)
        self.check = len(self.upvalues)
        self.upvalues.append(bytes((in_stack, index, 0)))
        if self.names:
            self.names.append(_NAME)


def _read(reader: _Reader) -> _Function:
    source, first_line, last_line = reader.text(), reader.number(), reader.number()
    shape, registers = reader.take(2), reader.byte()
    code = list(memoryview(reader.take(4 * reader.number())).cast("I"))
    constants = [_read_constant(reader) for _ in range(reader.number())]
    upvalues = [reader.take(3) for _ in range(reader.number())]
    inner = [_read(reader) for _ in range(reader.number())]
    deltas = reader.take(reader.number())
    absolute = {reader.number(): reader.number() for _ in range(reader.number())}
    line, lines = first_line, []
    for at, delta in enumerate(memoryview(deltas).cast("b")):
        line = absolute[at] if delta == _ABSOLUTE else line + delta
        lines.append(line)
    variables: list[tuple[bytes | None, int, int]]
    variables = [(reader.text(), reader.number(), reader.number()) for _ in range(reader.number())]
    names: list[bytes | None] = [reader.text() for _ in range(reader.number())]
    return _Function(
        source,
        first_line,
        last_line,
        shape,
        registers,
        code,
        constants,
        upvalues,
        inner,
        lines,
        variables,
        names,
    )


def _read_constant(reader: _Reader) -> tuple[int, bytes]:
    kind = reader.byte()
    if kind in {_SHORT_TEXT, _LONG_TEXT}:
        return kind, reader.text() or b""
    return kind, reader.take(8 if kind in {_FLOAT, _INTEGER} else 0)


def _write(function: _Function, out: bytearray) -> None:
    _put_text(out, function.source)
    _put(out, function.first_line, function.last_line)
    out += function.shape
    out.append(function.registers)
    _put(out, len(function.code))
    for instruction in function.code:
        out += instruction.to_bytes(4, "little")
    _put(out, len(function.constants))
    for kind, value in function.constants:
        out.append(kind)
        if kind in {_SHORT_TEXT, _LONG_TEXT}:
            _put_text(out, value)
        else:
            out += value
    _put(out, len(function.upvalues))
    out += b"".join(function.upvalues)
    _put(out, len(function.inner))
    for inner in function.inner:
        _write(inner, out)
    _put_lines(out, function)
    _put(out, len(function.variables))
    for name, start, end in function.variables:
        _put_text(out, name)
        _put(out, start, end)
    _put(out, len(function.names))
    for name in function.names:
        _put_text(out, name)


def _put(out: bytearray, *values: int) -> None:
    for value in values:
        digits = [value & 0x7F | 0x80]
        while value := value >> 7:
            digits.append(value & 0x7F)
        out += bytes(reversed(digits))


def _put_text(out: bytearray, text: bytes | None) -> None:
    if text is None:
        _put(out, 0)
    else:
        _put(out, len(text) + 1)
        out += text


def _put_lines(out: bytearray, function: _Function) -> None:
    deltas, absolute = bytearray(), []
    last, since = function.first_line, 0
    for at, line in enumerate(function.lines):
        if abs(line - last) >= -_ABSOLUTE or since >= _MAX_DELTAS:
            absolute.append((at, line))
            deltas.append(_ABSOLUTE & 0xFF)
            since = 1
        else:
            deltas.append(line - last & 0xFF)
            since += 1
        last = line
    _put(out, len(deltas))
    out += deltas
    _put(out, len(absolute))
    for pair in absolute:
        _put(out, *pair)


# --- the checks -------------------------------------------------------------------------------------


def _abc(op: int, a: int, b: int = 0, c: int = 0, k: int = 0) -> int:
    return op | a << 7 | k << 15 | b << 16 | c << 24


def _jump(by: int) -> int:
    return _JMP | by + _MAX_J << 7


def _check(function: _Function) -> None:
    pieces = _Pieces(function)
    before, after = pieces.build()
    if before or after:
        function.registers += 4
        if function.registers > _MAX_BYTE or function.check > _MAX_BYTE:
            raise TooLarge(function.first_line)
        _insert(function, before, after)
    for inner in function.inner:
        inner.add_upvalue(0, function.check)
        _check(inner)


class _Pieces:
    """The instructions that go before and after those of one function."""

    def __init__(self, function: _Function) -> None:
        self._function = function
        self._free = function.registers  # the first register beyond the function's own
        self._constants = {
            value: at for at, (kind, value) in enumerate(function.constants) if kind == _SHORT_TEXT
        }

    def build(self) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        before: dict[int, list[int]] = {}
        after: dict[int, list[int]] = {}
        for at, instruction in enumerate(self._function.code):
            op, a, b = instruction & 0x7F, instruction >> 7 & 0xFF, instruction >> 16 & 0xFF
            if op == _CONCAT:
                after[at] = self._call(_abc(_MOVE, self._free + 1, a))
            elif op in {_SETFIELD, _SETTABUP} and self._function.constants[b][1] in _WATCHED:
                table = _abc(_MOVE if op == _SETFIELD else _GETUPVAL, self._free + 1, a)
                before[at] = self._call(table, self._load(self._free + 2, b), self._value(instruction))
            elif op == _SETTABLE:
                key = _abc(_MOVE, self._free + 2, b)
                call = self._call(_abc(_MOVE, self._free + 1, a), key, self._value(instruction))
                before[at] = self._compared(b, call)
        return before, after

    def _call(self, *arguments: int) -> list[int]:
        function = _abc(_GETUPVAL, self._free, self._function.check)
        return [function, *arguments, _abc(_CALL, self._free, len(arguments) + 1, 1)]

    def _value(self, instruction: int) -> int:
        c = instruction >> 24
        if instruction >> 15 & 1:
            return self._load(self._free + 3, c)
        return _abc(_MOVE, self._free + 3, c)

    def _load(self, register: int, constant: int) -> int:
        if constant > _MAX_BX:
            raise TooLarge(self._function.first_line)
        return _LOADK | register << 7 | constant << 15

    def _compared(self, key: int, call: list[int]) -> list[int]:
        first, second = (self._constant(name) for name in _WATCHED)
        if second > _MAX_BYTE or first > _MAX_BYTE:  # no room among the constants: call always
            return call
        return [
            _abc(_EQK, key, first, k=1),
            _jump(2),
            _abc(_EQK, key, second),  # other than the first, this jumps when they differ
            _jump(len(call)),
            *call,
        ]

    def _constant(self, text: bytes) -> int:
        at = self._constants.get(text)
        if at is None:
            at = self._constants[text] = len(self._function.constants)
            self._function.constants.append((_SHORT_TEXT, text))
        return at


def _insert(function: _Function, before: dict[int, list[int]], after: dict[int, list[int]]) -> None:
    code, places = function.code, [0]
    for at in range(len(code)):
        places.append(places[-1] + len(before.get(at, ())) + 1 + len(after.get(at, ())))
    made: list[int] = []
    lines: list[int] = []
    for at, instruction in enumerate(code):
        made += before.get(at, ())
        made.append(_moved(function, instruction, at, len(made), places))
        made += after.get(at, ())
        if function.lines:
            lines += [function.lines[at]] * (len(made) - len(lines))
    function.code, function.lines = made, lines
    function.variables = [(name, places[start], places[end]) for name, start, end in function.variables]


def _moved(function: _Function, instruction: int, at: int, now: int, places: list[int]) -> int:
    """Return an instruction that stood at `at` and stands at `now`, with its jump led to the same place."""
    op = instruction & 0x7F
    if op == _JMP:
        by = places[at + 1 + (instruction >> 7) - _MAX_J] - now - 1
        if abs(by) >= _MAX_J:
            raise TooLarge(function.first_line)
        return _jump(by)
    if op in _BACKWARD:
        by = now + 1 - places[at + 1 - (instruction >> 15)]
    elif op in _FORWARD:
        beyond = _FORWARD[op]
        by = places[at + 1 + (instruction >> 15) + beyond] - beyond - now - 1
    else:
        return instruction
    if by > _MAX_BX:
        raise TooLarge(function.first_line)
    return instruction & 0x7FFF | by << 15
