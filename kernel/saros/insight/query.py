"""List queries: ``status = 'running' and (customer_id = 'c-42' or order_total > 100)``. The grammar is in
docs/queries.md.

A query is a tree of conditions. Negations are pushed down to the conditions, so `All` and `AnyOf` are the only
inner nodes. A run without an attribute fulfils only ``!=``, ``is null`` and negated conditions on it.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from typing import Any, Final

from ..model.errors import INVALID, Error
from ..model.execution import STATUSES, check_text
from ..model.search import OPERATORS, All, AnyOf, Condition, Node, parse_time
from ..model.text import cut, one_line, shown
from ..model.timing import parse_duration

FIELDS: Final = {
    "status": "status",
    "executionstatus": "status",
    "type": "type",
    "workflowtype": "type",
    "id": "id",
    "workflowid": "id",
    "run_id": "run_id",
    "runid": "run_id",
    "task_queue": "task_queue",
    "taskqueue": "task_queue",
    "start_time": "start_time",
    "starttime": "start_time",
    "close_time": "close_time",
    "closetime": "close_time",
}

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")"""
    r"""|(?P<now>now(?![\w.`])\s*(?:[+-]\s*[\d.]+[\w.]*)?)"""
    r"""|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"""
    r"""|(?P<op><=|>=|!=|=|<|>|\(|\)|,)|(?P<word>`[^`]+`|[A-Za-z_][\w.\-]*))""",
    re.IGNORECASE,
)
_DEEPEST: Final = 100
_DIGITS: Final = 400
LONGEST: Final = 10_000
"""The most characters of a query."""
MOST: Final = 500
"""The most conditions of a query: databases limit the depth of an expression."""
_NEAR: Final = 0.8
"""How similar to a field a name must be to count as a misspelled field instead of a search attribute."""


def parse(query: str, now: dt.datetime | None = None) -> Node:
    """Parse a query into its conditions.

    :param now: the meaning of the word ``now``; default: this machine's time.
    :raises Error: INVALID, with what is wrong and where.
    """
    return _Parser(query, now or dt.datetime.now(dt.UTC)).query()


def both(*queries: str) -> str:
    """The query that selects what all of these queries select; empty queries select everything."""
    given = [query for query in queries if query.strip()]
    return given[0] if len(given) == 1 else " and ".join(f"({query})" for query in given)


def selecting(query: str, status: str) -> str:
    """The query that selects what both a query and a status select; either may be empty.

    :raises Error: INVALID for an unknown status.
    """
    return both(query, f"status = '{status_of(status)}'" if status else "")


def status_of(text: str) -> str:
    """The status that a text names, as Saros or as Temporal spells it.

    :raises Error: INVALID when it names none, with the most similar one.
    """
    status = _status(text)
    if status in STATUSES:
        return status
    near = difflib.get_close_matches(status, STATUSES, n=1, cutoff=0.6)
    hint = f'did you mean "{near[0]}"?' if near else f"it is one of {', '.join(STATUSES)}"
    raise Error(
        f'"{one_line(cut(text))}" is not a status of an execution', INVALID, retryable=False, hint=hint
    )


class _Parser:
    def __init__(self, query: str, now: dt.datetime) -> None:
        self._query = query
        self._now = now
        self._conditions = 0
        if len(query) > LONGEST:
            raise self._bad(f"it has more than {LONGEST:,} characters")
        check_text(query, "query")
        if "\0" in query:  # servers fail at it
            raise self._bad("it has a NUL character")
        self._tokens = self._read()
        self._at = 0
        self._depth = 0

    def query(self) -> Node:
        if not self._tokens:
            return All(())
        node = self._or(False)
        if self._at < len(self._tokens):
            raise self._bad(f"expected 'and' or 'or' before {shown(self._peek()[1])}")
        return node

    def _read(self) -> list[tuple[str, str]]:
        tokens: list[tuple[str, str]] = []
        position, end = 0, len(self._query.rstrip())
        while position < end:
            match = _TOKEN.match(self._query, position)
            if match is None or match.lastgroup is None:
                raise self._bad(f"cannot read {shown(self._query[position:].strip())}")
            tokens.append((match.lastgroup, match.group(match.lastgroup)))
            position = match.end()
        return tokens

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ("end", "the end of the query")

    def _take(self, *words: str) -> bool:
        """Read these words or signs and return True, if they come next."""
        for ahead, word in enumerate(words):
            group, text = self._peek(ahead)
            if group not in ("word", "op") or text.lower() != word:
                return False
        self._at += len(words)
        return True

    def _or(self, negated: bool) -> Node:
        parts = [self._and(negated)]
        while self._take("or"):
            parts.append(self._and(negated))
        return _joined(All if negated else AnyOf, parts)

    def _and(self, negated: bool) -> Node:
        parts = [self._not(negated)]
        while self._take("and"):
            parts.append(self._not(negated))
        return _joined(AnyOf if negated else All, parts)

    def _not(self, negated: bool) -> Node:
        while self._is_negation():
            self._at += 1
            negated = not negated
        if not self._take("("):
            return self._condition(negated)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._bad("the conditions are nested too deeply")
        node = self._or(negated)
        self._depth -= 1
        if not self._take(")"):
            raise self._bad(f"expected ')' instead of {shown(self._peek()[1])}")
        return node

    def _is_negation(self) -> bool:
        group, text = self._peek()
        return group == "word" and text.lower() == "not"

    def _condition(self, negated: bool) -> Condition:
        self._conditions += 1
        if self._conditions > MOST:
            raise self._bad(f"it has more than {MOST} conditions")
        group, name = self._peek()
        if group != "word":
            raise self._bad(f"expected a name instead of {shown(name)}")
        self._at += 1
        name, field = self._field(name)
        if self._peek()[0] == "end":
            raise self._bad(f"{name} is compared with nothing")
        if self._take("is", "not", "null"):
            return Condition(name, field, "null", None, not negated)
        if self._take("is", "null"):
            return Condition(name, field, "null", None, negated)
        negated = self._take("not") is not negated
        if self._take("in"):
            return Condition(name, field, "in", self._list(field), negated)
        if self._take("starts", "with") or self._take("starts_with"):
            value = self._literal("")
            if not isinstance(value, str):
                raise self._bad("expected a text after 'starts with'")
            return Condition(name, field, "starts", value, negated)
        op = self._peek()[1].lower()
        if op not in OPERATORS or self._peek(-1)[1].lower() == "not":
            wanted = "in, starts with" if self._peek(-1)[1].lower() == "not" else self._operators()
            raise self._bad(f"expected one of {wanted} instead of {shown(op)}")
        self._at += 1
        if self._peek()[0] == "end":
            raise self._bad(f"{name} is compared with nothing")
        return Condition(name, field, op, self._literal(field), negated)

    @staticmethod
    def _operators() -> str:
        return f"{' '.join(OPERATORS)} in, starts with, is null"

    def _field(self, name: str) -> tuple[str, str]:
        if name.startswith("`"):  # always a search attribute
            return name.strip("`"), ""
        field = FIELDS.get(name.lower(), "")
        if field == "status" and not self._names_status():
            field = ""  # a search attribute of that name, because the value is not a status
        near = difflib.get_close_matches(name.lower(), FIELDS, n=1, cutoff=_NEAR)
        if not field and name.lower() not in FIELDS and near:
            hint = (
                f"did you mean {FIELDS[near[0]]}? A search attribute of that name is `{name}`, in backquotes"
            )
            raise self._bad(f"there is no field {name}", hint)
        return name, field

    def _names_status(self) -> bool:
        """True if the value, or the first of a list, is a status of an execution or a misspelled one."""
        for ahead in range(5):
            group, text = self._peek(ahead)
            if group in ("text", "number") or (group == "word" and text.lower() not in _WORDS):
                return bool(difflib.get_close_matches(_status(text), STATUSES, n=1, cutoff=_NEAR))
        return True

    def _list(self, field: str) -> list[Any]:
        if not self._take("("):
            raise self._bad("expected '(' after 'in'")
        values = [self._literal(field)]
        while self._take(","):
            values.append(self._literal(field))
        if not self._take(")"):
            raise self._bad("')' is missing")
        return values

    def _literal(self, field: str) -> Any:
        group, text = self._peek()
        self._at += 1
        if group == "number":
            if len(text) > _DIGITS:
                raise self._bad(f"a number has more than {_DIGITS} digits")
            return float(text) if re.search(r"[.eE]", text) else int(text)
        if group == "now":
            return self._moment(text)
        if group == "word" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if group == "text":
            text = text[1:-1].replace(text[0] * 2, text[0])
        elif group != "word" or text.startswith("`"):
            raise self._bad(f"expected a value instead of {shown(text)}")
        if field == "status":
            try:
                return status_of(text)
            except Error as error:
                raise self._bad(error.message, error.hint) from None
        if field.endswith("_time"):
            time = parse_time(text)
            if time is None:
                hint = "or a time relative to now, such as now - 1h"
                raise self._bad(f"{shown(text)} is not an RFC 3339 time such as '2026-01-31T12:00:00Z'", hint)
            return time
        return text

    def _moment(self, text: str) -> dt.datetime:
        sign, span = (text[3:].strip() or "+0s")[0], (text[3:].strip() or "+0s")[1:].strip()
        days = re.sub(r"([\d.]+)d", lambda match: f"{float(match[1]) * 24:g}h", span)
        try:
            ns = parse_duration(days)
            return self._now + dt.timedelta(microseconds=ns // 1000 * (1 if sign == "+" else -1))
        except (Error, OverflowError, ValueError):
            hint = "write for example now - 1h30m, or now - 7d"
            raise self._bad(f"{shown(span)} is not a duration", hint) from None

    def _bad(self, why: str, hint: str | None = None) -> Error:
        return Error(f"bad query {shown(self._query)}: {why}", INVALID, retryable=False, hint=hint)


_WORDS: Final = frozenset({"not", "in", "is", "null", "starts", "with", "starts_with"})


def _joined(kind: type[All] | type[AnyOf], parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else kind(tuple(parts))


def _status(text: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text.strip("'\"")).lower()
