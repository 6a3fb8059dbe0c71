"""Reading and writing the format in which Lua 5.4 dumps functions."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

__all__ = ["SHORT_TEXT", "Function", "TooLarge", "read", "write"]

_HEADER: Final = b"\x1bLua\x54\x00\x19\x93\r\n\x1a\n\x04\x08\x08"  # Lua 5.4, format 0, sizes of its numbers
_NUMBERS: Final = 16  # bytes that follow: a sample integer and a sample float
SHORT_TEXT: Final = 0x04
_LONG_TEXT, _FLOAT, _INTEGER = 0x14, 0x13, 0x03
_MAX_UPVALUES: Final = 255
_ABSOLUTE, _MAX_DELTAS = (
    -0x80,
    128,
)  # in the line numbers: "look it up", and the most steps between two of these
_NAME: Final = b"(check)"  # of the upvalue; no program can have such a name


class TooLarge(Exception):
    """A function leaves no room for the checks; the only argument is the line where the function begins."""


def read(bytecode: bytes) -> Function:
    """Return a dumped main function.

    :raises ValueError: when it is not bytecode of Lua 5.4.
    """
    if not bytecode.startswith(_HEADER):
        raise ValueError("this is not bytecode of Lua 5.4")
    return _read(_Reader(bytecode, len(_HEADER) + _NUMBERS + 1), bytecode[: len(_HEADER) + _NUMBERS])


def write(main: Function) -> bytes:
    """Return the dump of a main function."""
    out = bytearray(main.head)
    out.append(len(main.upvalues))
    _write(main, out)
    return bytes(out)


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
class Function:
    source: bytes | None
    first_line: int
    last_line: int
    shape: bytes  # number of parameters, and whether it is variadic
    registers: int
    code: list[int]
    constants: list[tuple[int, bytes]]  # kind, and the value's bytes
    upvalues: list[bytes]
    inner: list[Function]
    lines: list[int]  # of each instruction; none when they were stripped
    variables: list[tuple[bytes | None, int, int]]
    names: list[bytes | None]  # of the upvalues
    head: bytes = b""  # of the dump, of a main function
    check: int = -1  # the upvalue of the check
    checked: bool = False  # whether it, or a function within it, needs checks
    assigned: set[int] = field(
        default_factory=set
    )  # the upvalues to which it, or a function within it, assigns

    def add_upvalue(self, in_stack: int, index: int) -> None:
        if len(self.upvalues) >= _MAX_UPVALUES:
            raise TooLarge(self.first_line)
        self.check = len(self.upvalues)
        self.upvalues.append(bytes((in_stack, index, 0)))
        if self.names:
            self.names.append(_NAME)


def _read(reader: _Reader, head: bytes = b"") -> Function:
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
    return Function(
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
        head,
    )


def _read_constant(reader: _Reader) -> tuple[int, bytes]:
    kind = reader.byte()
    if kind in {SHORT_TEXT, _LONG_TEXT}:
        return kind, reader.text() or b""
    return kind, reader.take(8 if kind in {_FLOAT, _INTEGER} else 0)


def _write(function: Function, out: bytearray) -> None:
    _put_text(out, function.source)
    _put(out, function.first_line, function.last_line)
    out += function.shape
    out.append(function.registers)
    _put(out, len(function.code))
    out += struct.pack(f"<{len(function.code)}I", *function.code)
    _put(out, len(function.constants))
    for kind, value in function.constants:
        out.append(kind)
        if kind in {SHORT_TEXT, _LONG_TEXT}:
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


def _put_lines(out: bytearray, function: Function) -> None:
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
