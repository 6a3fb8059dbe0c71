"""Checks in the bytecode of user code, for operations that no hook and no library function sees.

The virtual machine concatenates and stores metamethods by itself, so user code gets calls of a check, the
second upvalue of its main function, at two places:

* after a concatenation, ``check(text)``, which records long strings (bounds.lua);
* before ``__call`` or ``__mode`` is stored, ``check(t, key, value)``: Lua obeys both in C, where nothing could
  stop them (objects.lua). A key that is not constant is compared first, which costs two instructions; a result of
  arithmetic is most likely a number, which costs one. The variable of a numeric loop is always a number.
"""

from __future__ import annotations

from typing import Final

from .bytecode import SHORT_TEXT, Function, TooLarge, read, write

__all__ = ["TooLarge", "instrument"]

_MOVE, _LOADK, _LOADNIL, _GETUPVAL, _SETUPVAL = 0, 3, 8, 9, 10
_SETTABUP, _SETTABLE, _SETFIELD, _SELF, _ADDI = 15, 16, 18, 20, 21
_CONCAT, _JMP, _EQK, _CALL, _FORLOOP, _FORPREP, _CLOSURE, _EXTRAARG = 53, 56, 60, 68, 73, 74, 79, 82
_FIELDS: Final = frozenset({_SETFIELD, _SETTABUP})
_BACKWARD: Final = frozenset({_FORLOOP, 77})  # and TFORLOOP
_FORWARD: Final = {_FORPREP: 1, 75: 0}  # and TFORPREP: instructions beyond the target in Bx
_ARITHMETIC: Final = frozenset(
    {*range(_ADDI, 46), 49, 50, 52}
)  # ADDI to SHR, UNM, BNOT, LEN: most results are numbers
_MM: Final = frozenset(
    {46, 47, 48}
)  # MMBIN, MMBINI, MMBINK: they store in the register of what precedes them
_NO_STORE: Final = (
    frozenset(  # of registers: SETUPVAL to SETFIELD, CLOSE to TEST, RETURN to RETURN1, SETLIST...
        {_SETUPVAL, *range(_SETTABUP, 19), *_MM, *range(54, 67), 70, 71, 72, 78, 81, _EXTRAARG}
    )
)
_UPWARD: Final = frozenset(
    {_CALL, 69, 73, 74, 75, 76, 77, 80}
)  # those that store in all from A: calls, loops, VARARG
_ZERO: Final = 127  # as a signed operand
_MAX_BX, _MAX_J, _MAX_BYTE = (1 << 17) - 1, (1 << 24) - 1, 255
_LONG_BODY: Final = 2000  # instructions; longer loops, which can be nested, are not read again and again
_WATCHED: Final = (b"__call", b"__mode")


def instrument(bytecode: bytes) -> bytes:
    """Return a dumped main function with the checks.

    :raises ValueError: when it is not bytecode of Lua 5.4.
    :raises TooLarge: when a function has too many instructions, registers or upvalues.
    """
    main = read(bytecode)
    _study(main)
    main.add_upvalue(1, 1)
    _check(main)
    return write(main)


def _abc(op: int, a: int, b: int = 0, c: int = 0, k: int = 0) -> int:
    return op | a << 7 | k << 15 | b << 16 | c << 24


def _jump(by: int) -> int:
    return _JMP | by + _MAX_J << 7


def _check(function: Function) -> None:
    pieces = _Pieces(function)
    if pieces.before or pieces.after:
        function.registers += 4
        if function.registers > _MAX_BYTE:
            raise TooLarge(function.first_line)
        _insert(function, pieces)
    for inner in function.inner:
        if inner.checked:
            inner.add_upvalue(0, function.check)
            _check(inner)


def _study(function: Function) -> None:
    """Find the instructions to check and the upvalues that are assigned to."""
    for instruction in function.code:
        op, b = instruction & 0x7F, instruction >> 16 & 0xFF
        if op == _SETUPVAL:
            function.assigned.add(b)
        elif op in {_CONCAT, _SETTABLE} or (op in _FIELDS and function.constants[b][1] in _WATCHED):
            function.checked = True
    for inner in function.inner:
        _study(inner)
        function.checked |= inner.checked
        function.assigned |= {
            index
            for at, (in_stack, index, _) in enumerate(inner.upvalues)
            if not in_stack and at in inner.assigned
        }


# --- what is known about a key -------------------------------------------------------------------------


def _stores(instruction: int, register: int) -> bool:
    """Return whether an instruction may store in a register."""
    op, a = instruction & 0x7F, instruction >> 7 & 0xFF
    if op in _NO_STORE:
        return False
    if op in _UPWARD:
        return a <= register
    last = a + (instruction >> 16 & 0xFF) if op == _LOADNIL else a + 1 if op == _SELF else a
    return a <= register <= last


def _closure_assigns(function: Function, instruction: int, register: int) -> bool:
    """Return whether an instruction makes a closure that assigns to a register."""
    if instruction & 0x7F != _CLOSURE:
        return False
    inner = function.inner[instruction >> 15]
    return any(
        in_stack and index == register and at in inner.assigned
        for at, (in_stack, index, _) in enumerate(inner.upvalues)
    )


def _counted(function: Function) -> set[int]:
    """Return the stores whose key is the variable of a numeric loop that nothing else assigns to."""
    found: set[int] = set()
    for at, instruction in enumerate(function.code):
        if instruction & 0x7F == _FORPREP:
            variable, length = (instruction >> 7 & 0xFF) + 3, instruction >> 15
            if length > _LONG_BODY:
                continue
            body = function.code[at + 1 : at + 1 + length]
            stores = [
                n for n, code in enumerate(body) if code & 0x7F == _SETTABLE and code >> 16 & 0xFF == variable
            ]
            if stores and not any(
                _stores(code, variable) or _closure_assigns(function, code, variable) for code in body
            ):
                found.update(at + 1 + n for n in stores)
    return found


# --- the pieces -------------------------------------------------------------------------------------


class _Pieces:
    """The instructions that go before and after those of one function, and those that follow them all."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self._free = function.registers  # the first register beyond the function's own
        self._constants = {
            value: at for at, (kind, value) in enumerate(function.constants) if kind == SHORT_TEXT
        }
        self.before: dict[int, list[int]] = {}
        self.after: dict[int, list[int]] = {}
        self.aside: dict[int, list[int]] = {}  # by the instruction that is reached from the piece before it
        self._build()

    def _build(self) -> None:
        counted = _counted(self._function)
        calculated: set[int] = set()  # registers whose last value comes from arithmetic: a guess
        for at, instruction in enumerate(self._function.code):
            op, a, b = instruction & 0x7F, instruction >> 7 & 0xFF, instruction >> 16 & 0xFF
            if op == _CONCAT:
                self.after[at] = self._call(_abc(_MOVE, self._free + 1, a))
            elif op in _FIELDS and self._function.constants[b][1] in _WATCHED:
                table = _abc(_MOVE if op == _SETFIELD else _GETUPVAL, self._free + 1, a)
                self.before[at] = self._call(table, self._load(self._free + 2, b), self._value(instruction))
            elif op == _SETTABLE and at not in counted:
                key = _abc(_MOVE, self._free + 2, b)
                call = self._call(_abc(_MOVE, self._free + 1, a), key, self._value(instruction))
                if b in calculated:
                    # With a number, ADDI skips the jump that is about to come.
                    self.before[at] = [_abc(_ADDI, self._free, b, _ZERO)]
                    self.aside[at] = self._compared(b, call)
                else:
                    self.before[at] = self._compared(b, call)
            if op in _ARITHMETIC:
                calculated.add(a)
            elif op not in _NO_STORE:
                calculated.discard(a)

    def _call(self, *arguments: int) -> list[int]:
        function = _abc(_GETUPVAL, self._free, self._function.check)
        return [function, *arguments, _abc(_CALL, self._free, len(arguments) + 1, 1)]

    def _value(self, instruction: int) -> int:
        c = instruction >> 24
        if instruction >> 15 & 1:
            return self._load(self._free + 3, c)
        return _abc(_MOVE, self._free + 3, c)

    def _load(self, register: int, constant: int) -> int:
        return _LOADK | register << 7 | constant << 15

    def _compared(self, key: int, call: list[int]) -> list[int]:
        first, second = (self._constant(name) for name in _WATCHED)
        if second > _MAX_BYTE or first > _MAX_BYTE:  # no room among the constants: call always
            return call
        return [
            _abc(_EQK, key, first, k=1),
            _jump(2),
            _abc(_EQK, key, second),  # unlike the first, this one jumps when they differ
            _jump(len(call)),
            *call,
        ]

    def _constant(self, text: bytes) -> int:
        at = self._constants.get(text)
        if at is None:
            at = self._constants[text] = len(self._function.constants)
            self._function.constants.append((SHORT_TEXT, text))
        return at


def _insert(function: Function, pieces: _Pieces) -> None:
    code, places, before, after = function.code, [0], pieces.before, pieces.after
    for at in range(len(code)):
        jump = at in pieces.aside
        places.append(places[-1] + len(before.get(at, ())) + jump + 1 + len(after.get(at, ())))
    made: list[int] = []
    lines: list[int] = []
    aside = places[-1]
    for at, instruction in enumerate(code):
        made += before.get(at, ())
        if at in pieces.aside:
            made.append(_led(function, aside - len(made) - 1))
            aside += len(pieces.aside[at]) + 1
        made.append(_moved(function, instruction, at, len(made), places))
        made += after.get(at, ())
        lines += function.lines[at : at + 1] * (len(made) - len(lines))
    for at, piece in pieces.aside.items():
        made += piece
        made.append(_led(function, places[at] + len(before[at]) + 1 - len(made) - 1))
        lines += function.lines[at : at + 1] * (len(made) - len(lines))
    function.code, function.lines = made, lines
    function.variables = [(name, places[start], places[end]) for name, start, end in function.variables]


def _led(function: Function, by: int) -> int:
    if abs(by) >= _MAX_J:
        raise TooLarge(function.first_line)
    return _jump(by)


def _moved(function: Function, instruction: int, at: int, now: int, places: list[int]) -> int:
    """Return an instruction that stood at `at` and stands at `now`, with its jump to the same target."""
    op = instruction & 0x7F
    if op == _JMP:
        return _led(function, places[at + 1 + (instruction >> 7) - _MAX_J] - now - 1)
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
