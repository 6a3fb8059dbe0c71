"""Lua programs that are put together at random, for test_instrument.py."""

from __future__ import annotations

import random

_TEXTS = ('"__call"', '"__mode"', '"__cal"', "'s'", "'" + "x" * 40 + "'", "'" + "x" * 41 + "'")
_NUMBERS = ("0", "7", "-3", "300", "9000000", "0.5", "1e300", "0x7fffffffffffffff")
_LOOPS = ("1, 3", "3, 1, -1", "1.0, 2.5, 0.5", "1, 0")
_ITERATORS = ("ipairs{4, 5, 6}", "next, {x = 1}", "each(3)", "each(3), nil, nil, closer()")


class Grammar:
    """Programs of one seed: `program` gives the next.

    They may call f, g, id, show, made, closer, pause, object:m, table_of, each, note, and some of Lua's own.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._names = 0
        self._varargs = False

    def program(self) -> str:
        scope: list[str] = []
        lines = [self._preamble()]
        for _ in range(self._random.randint(4, 16)):
            line = self._statement(scope, 0)
            lines.append(line if line.startswith("local") else f"note(pcall(function() {line} end))")
        return self._gap().join(lines) + self._far() + self._block([], 1, 3)

    # --- what tests the limits of the bytecode format ---

    def _preamble(self) -> str:
        lines = []
        if self._chance(0.2):  # more constants than an operand can address
            count = self._random.choice((250, 253, 254, 255, 256, 300))
            lines.append("local many = {" + ", ".join(f"{n + 10**6}.25" for n in range(count)) + "}")
        if self._chance(0.15):
            lines.append(" ".join(f"local q{n} = {n}" for n in range(self._random.choice((100, 150)))))
        if self._chance(0.1):
            names = [f"u{n}" for n in range(60)]
            body = " ".join(f"{name} = ({name} or 1) .. ''" for name in names)
            lines.append(
                f"do local {', '.join(names)} = 1 note((function() {body} return u0 .. u59 end)()) end"
            )
        return "\n".join(lines)

    def _far(self) -> str:
        if self._chance(0.95):
            return "\n"
        body = " ".join(f"far = n .. {n % 7}" for n in range(self._random.choice((300, 9000))))
        return f"\nfor n = 1, 2 do if n > 1 then {body} end end note(far)\n"

    def _gap(self) -> str:
        return self._pick(" ", "\n", "\n\n", "\n" * 150) if self._chance(0.5) else "\n"

    # --- statements ---

    def _block(self, scope: list[str], depth: int, count: int) -> str:
        scope = list(scope)
        return "".join(self._statement(scope, depth) + self._gap() for _ in range(count))

    def _statement(self, scope: list[str], depth: int) -> str:
        kinds = [
            self._local,
            self._assignment,
            self._store,
            self._stores,
            self._note,
            self._counted,
            self._called,
        ]
        if depth <= 5:
            kinds += [self._if, self._for, self._in, self._while, self._repeat, self._back, self._continue]
            kinds += [self._close, self._closure, self._coroutine, self._named, self._large, self._caught]
        return self._random.choice(kinds)(scope, depth)

    def _local(self, scope: list[str], depth: int) -> str:
        names = [self._name() for _ in range(self._random.randint(1, 3))]
        values = ", ".join(self._value(scope, depth) for _ in range(self._random.randint(1, 3)))
        scope.extend(names)
        return f"local {', '.join(names)} = {values}"

    def _assignment(self, scope: list[str], depth: int) -> str:
        return f"{self._variable(scope)} = {self._value(scope, depth)}"

    def _store(self, scope: list[str], depth: int) -> str:
        key = self._value(scope, depth)
        return f"table_of({self._variable(scope)})[{key} or 0] = {self._value(scope, depth)}"

    def _stores(self, scope: list[str], depth: int) -> str:
        field = self._pick("x", "__call", "__mode")
        return (
            f"{self._variable(scope)}.{field}, "
            + self._store(scope, depth)
            + f", {self._value(scope, depth)}"
        )

    def _note(self, scope: list[str], depth: int) -> str:
        return (
            f"note({self._value(scope, depth)}, {self._value(scope, depth)} .. {self._value(scope, depth)})"
        )

    def _called(self, scope: list[str], depth: int) -> str:
        return f"note({self._call(scope, depth)})"

    def _counted(self, scope: list[str], depth: int) -> str:
        """A loop whose variable, or what is calculated from it, is a key."""
        table, name = self._name(), self._name()
        scope.append(table)
        key = self._pick(name, name, f"{name} .. 'k'", f"{name} + 1", f"#{table} + 1", f"made(1) + {name}")
        value = self._value([*scope, name], depth + 1)
        more = self._pick(
            "",
            f"{name} = {self._pick(*_TEXTS)} {table}[{name}] = {name}",
            f"{name} = {self._value([*scope, name], depth + 2)} {table}[{name} or 1] = {name}",
            f"local function set() {name} = '__call' end set() {table}[{name}] = 5",
            f"local function set() return function() {name} = '__mode' end end set()() {table}[{name}] = 6",
            f"local function get() return {name} end {table}[{name}] = get()",
            f"local n = {name} n = n + 1 {table}[n] = n n = made(n) + 1 {table}[n] = 2",
        )
        loop = f"for {name} = {self._pick(*_LOOPS)} do {table}[{key}] = {value} {more} end"
        return f"local {table} = {{}} {loop} note({table}.__call, {table}.__mode, #{table})"

    def _if(self, scope: list[str], depth: int) -> str:
        text = f"if {self._value(scope, depth)} then {self._block(scope, depth + 1, 2)}"
        for _ in range(self._random.randint(0, 2)):
            text += f"elseif {self._value(scope, depth)} then {self._block(scope, depth + 1, 1)}"
        return text + (f"else {self._block(scope, depth + 1, 1)}" if self._chance(0.5) else "") + "end"

    def _for(self, scope: list[str], depth: int) -> str:
        name = self._name()
        leave = f"if {self._value(scope, depth)} then break end" if self._chance(0.5) else ""
        loop = self._pick(*_LOOPS)
        return f"for {name} = {loop} do {self._block([*scope, name], depth + 1, 2)} {leave} end"

    def _in(self, scope: list[str], depth: int) -> str:
        key, value = self._name(), self._name()
        body = self._block([*scope, key, value], depth + 1, 2)
        return f"for {key}, {value} in {self._pick(*_ITERATORS)} do {body} end"

    def _while(self, scope: list[str], depth: int) -> str:
        name = self._name()
        body = self._block(scope, depth + 1, 2)
        return f"local {name} = 0 while {name} < 3 do {name} = {name} + 1 {body} end"

    def _repeat(self, scope: list[str], depth: int) -> str:
        name = self._name()
        body = self._block(scope, depth + 1, 2)
        return (
            f"local {name} = 0 repeat {name} = {name} + 1 {body} local z{name} = {name} .. '' "
            f"until {name} >= 2 or z{name} .. 'q' == '2q'"
        )

    def _back(self, scope: list[str], depth: int) -> str:
        name = self._name()
        body = self._block(scope, depth + 1, 2)
        return (
            f"do local {name} = 0 ::l{name}:: {name} = {name} + 1 do {body} local get = function() "
            f"return {name} .. 'c' end note(get()) end if {name} < 3 then goto l{name} end end"
        )

    def _continue(self, scope: list[str], depth: int) -> str:
        name = self._name()
        return (
            f"for {name} = 1, 3 do do local s = 'n' .. {name} if s == 'n2' then goto l{name} end note(s) end "
            f"{self._block(scope, depth + 1, 1)} ::l{name}:: end"
        )

    def _close(self, scope: list[str], depth: int) -> str:
        name = self._name()
        if self._chance(0.5):
            constant = self._pick(*_TEXTS, *_NUMBERS)
            return f"do local {name} <const> = {constant} note({name} .. 'x') table_of()[{name}] = {name} end"
        body = self._block(scope, depth + 1, 2)
        return f"do local {name} <close> = closer({self._value(scope, depth)}) {body} end"

    def _closure(self, scope: list[str], depth: int) -> str:
        name, function = self._name(), self._function(scope, depth)
        scope.append(name)
        return f"local {name} = {function}"

    def _named(self, scope: list[str], depth: int) -> str:
        name = self._name()
        scope.append(name)
        body = self._block([*scope, "a", "b"], depth + 1, 2)
        call = f"note(pcall({name}, {self._value(scope, depth)}, 2, 3))"
        return f"local function {name}(a, b, ...) {body} return a .. '', ... end {call}"

    def _coroutine(self, scope: list[str], depth: int) -> str:
        value = self._value(scope, depth)
        wrapped = f"coroutine.wrap({self._function(scope, depth)})"
        return f"do local w = {wrapped} note(pcall(w, {value})) note(pcall(w, 'v' .. 1)) end"

    def _large(self, scope: list[str], depth: int) -> str:
        name, call = self._name(), self._call(scope, depth)
        scope.append(name)
        items = [
            self._pick(f"{n}", f"'k' .. {n}", f"[{n}] = {n}", f"k{n} = {n}")
            for n in range(self._random.randint(45, 130))
        ]
        return f"local {name} = {{{', '.join(items)}, {call}}}"

    def _caught(self, scope: list[str], depth: int) -> str:
        if self._chance(0.5):
            return f"note(pcall({self._function(scope, depth)}, {self._value(scope, depth)}))"
        return f"note(xpcall({self._function(scope, depth)}, function(m) return show(m) .. '!' end))"

    # --- expressions ---

    def _value(self, scope: list[str], depth: int) -> str:
        kinds = [self._variable, self._constant, self._constant]
        if depth <= 4:
            kinds = [
                self._operand,
                self._joined,
                self._joined,
                self._operation,
                self._table,
                self._call_value,
            ]
            kinds += [self._indexed, self._function, self._count]
        kind = self._random.choice(kinds)
        return kind(scope, depth + 1)

    def _constant(self, scope: list[str], depth: int) -> str:
        return self._pick(*_TEXTS, *_NUMBERS, "true", "nil")

    def _operand(self, scope: list[str], depth: int) -> str:
        if self._varargs and self._chance(0.2):
            return "..."
        return self._variable(scope) if self._chance(0.5) else self._constant(scope, depth)

    def _joined(self, scope: list[str], depth: int) -> str:
        parts = [
            self._pick(
                "'k'", "1", "made(1)", f"show({self._value(scope, depth)})", self._operand(scope, depth)
            )
            for _ in range(self._random.randint(2, 5))
        ]
        call = self._call(scope, depth) if self._chance(0.3) else "f() .. g()"
        return (
            f"({' .. '.join(parts)})" if self._chance(0.7) else f"({call} .. {' .. '.join(parts)} .. g('z'))"
        )

    def _operation(self, scope: list[str], depth: int) -> str:
        left, right = self._value(scope, depth), self._value(scope, depth)
        if self._chance(0.6):
            left, right = self._pick("1", "2.5", "made(0)"), self._pick("3", "7", left)
        operator = self._pick("+", "-", "*", "//", "%", "&", "<<", "==", "~=", "<", "<=", "and", "or")
        return (
            f"({left} {operator} {right})"
            if self._chance(0.7)
            else f"({self._pick('#', 'not ', '-')}({left}))"
        )

    def _table(self, scope: list[str], depth: int) -> str:
        fields = []
        for _ in range(self._random.randint(0, 4)):
            key, value = self._value(scope, depth), self._value(scope, depth)
            fields.append(self._pick(value, f"[{key} or 1] = {value}", f"x = {value}", f"__call = {value}"))
        last = [self._pick("f()", self._call(scope, depth), "..." if self._varargs else "g()")]
        return "{" + ", ".join(fields + (last if self._chance(0.5) else [])) + "}"

    def _indexed(self, scope: list[str], depth: int) -> str:
        name = f"(made({self._variable(scope)}))" if self._chance(0.6) else self._variable(scope)
        return f"{name}[{self._value(scope, depth)}]" if self._chance(0.6) else f"{name}.__call"

    def _count(self, scope: list[str], depth: int) -> str:
        return f"select('#', {self._call(scope, depth)})"

    def _call_value(self, scope: list[str], depth: int) -> str:
        return self._call(scope, depth)

    def _call(self, scope: list[str], depth: int) -> str:
        arguments = [self._value(scope, depth + 1) for _ in range(self._random.randint(0, 3))]
        if self._varargs and self._chance(0.3):
            arguments.append("...")
        function = self._pick("f", "g", "id", "show", "made", "pause", "object:m")
        return f"{function}({', '.join(arguments)})"

    def _function(self, scope: list[str], depth: int) -> str:
        if depth > 3:
            return "f"
        outer, self._varargs = self._varargs, self._chance(0.4)
        parameters = [self._name() for _ in range(self._random.randint(0, 3))]
        inside = scope + parameters
        body = self._block(inside, depth + 2, self._random.randint(1, 4))
        value, call = self._value(inside, depth + 1), self._call(inside, depth + 1)
        end = self._pick("", f"return {value}", f"return {call}", f"return {value}, {call}")
        listed = ", ".join(parameters + (["..."] if self._varargs else []))
        self._varargs = outer
        return f"(function({listed}) {body} {end} end)"

    def _variable(self, scope: list[str], depth: int = 0) -> str:
        return self._random.choice(scope) if scope else "global"

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _pick(self, *choices: str) -> str:
        return self._random.choice(choices)
