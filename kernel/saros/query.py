"""List queries: ``status = 'running' and customer_id = 'c-42' and order_total > 100``.

query      = condition { "and" condition }
condition  = name ("=" | "!=" | ">" | ">=" | "<" | "<=") literal | name "in" "(" literal {"," literal} ")"
name       = a search attribute, or one of the fields below (any case, Temporal's names too); in backticks
             it may have any characters but those
literal    = 'text' | "text" | number | true | false
"""

from __future__ import annotations

import datetime as dt
import operator
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from .attributes import parse_time
from .errors import INVALID, Error
from .execution import STATUSES, Description

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

_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"""
    r"""|(?P<op><=|>=|!=|=|<|>|\(|\)|,)|(?P<word>[A-Za-z_][\w.\-]*|`[^`]+`))"""
)


class Condition(NamedTuple):
    name: str  # as the user wrote it
    field: str  # of Description, or "" for a search attribute
    operator: str  # one of = != > >= < <= in
    value: Any  # a list for "in"

    def matches(self, found: Any) -> bool:
        if self.operator == "in":
            return any(_equal(found, value) for value in self.value)
        if isinstance(found, list):  # a list attribute holds the value
            holds = self.value in found
            return holds if self.operator == "=" else self.operator == "!=" and not holds
        if found is None:
            return self.operator == "!="
        found, value = _comparable(found, self.value)
        try:
            return _OPERATORS[self.operator](found, value)
        except TypeError:
            return self.operator == "!="


def parse(query: str) -> list[Condition]:
    """The conditions of a query, all of which must hold.

    :raises Error: INVALID, with what is wrong and where.
    """
    tokens = _tokens(query)
    conditions: list[Condition] = []
    position = 0
    while position < len(tokens):
        if conditions:
            if tokens[position][1].lower() != "and":
                raise _bad(query, f"expected 'and' before {tokens[position][1]!r}")
            position += 1
        condition, position = _condition(query, tokens, position)
        conditions.append(condition)
    return conditions


def matches(conditions: list[Condition], description: Description) -> bool:
    """Whether a run fulfils all conditions."""
    for condition in conditions:
        if condition.field:
            found: Any = getattr(description, condition.field)
            if condition.field.endswith("_time") and found is not None:
                found = dt.datetime.fromtimestamp(found / 1e9, dt.UTC)
        else:
            raw = description.search_attributes.get(condition.name)
            found = None if raw is None else msgspec.json.decode(raw)
        if not condition.matches(found):
            return False
    return True


def _tokens(query: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, end = 0, len(query.rstrip())
    while position < end:
        match = _TOKEN.match(query, position)
        if match is None or match.lastgroup is None:
            raise _bad(query, f"cannot read {query[position:].strip()!r}")
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        position = match.end()
    return tokens


def _condition(query: str, tokens: list[tuple[str, str]], at: int) -> tuple[Condition, int]:
    group, name = tokens[at]
    if group != "word":
        raise _bad(query, f"expected a name instead of {name!r}")
    name = name.strip("`")  # quoted, it has none inside: so backends can quote it the same way
    field = FIELDS.get(name.lower(), "")
    if at + 2 >= len(tokens):
        raise _bad(query, f"{name} is compared with nothing")
    op = tokens[at + 1][1].lower()
    if field == "status" and not _names_status(tokens[at + 2 :]):
        field = ""  # a search attribute of that name, as it is no status that is asked for
    if op == "in":
        values, position = [], at + 3
        if tokens[at + 2][1] != "(":
            raise _bad(query, "expected '(' after 'in'")
        while position < len(tokens) and tokens[position][1] != ")":
            if tokens[position][1] != ",":
                values.append(_literal(query, tokens[position], field))
            position += 1
        if position >= len(tokens):
            raise _bad(query, "')' is missing")
        return Condition(name, field, "in", values), position + 1
    if op not in _OPERATORS:
        raise _bad(query, f"expected one of {' '.join(_OPERATORS)} in instead of {op!r}")
    return Condition(name, field, op, _literal(query, tokens[at + 2], field)), at + 3


def _literal(query: str, token: tuple[str, str], field: str) -> Any:
    group, text = token
    if group == "number":
        return float(text) if re.search(r"[.eE]", text) else int(text)
    if group == "word" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if group == "text":
        text = text[1:-1].replace(text[0] * 2, text[0])
    elif group != "word" or text.startswith("`"):
        raise _bad(query, f"expected a value instead of {text!r}")
    if field == "status":
        return _status(text)
    if field.endswith("_time"):
        time = parse_time(text)
        if time is None:
            raise _bad(query, f"{text!r} is no RFC 3339 time such as '2026-01-31T12:00:00Z'")
        return time
    return text


def _status(text: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text.strip("'\"")).lower()


def _names_status(tokens: list[tuple[str, str]]) -> bool:
    """Whether the value, or the first of a list, is a status of an execution."""
    first = next((text for group, text in tokens if group in ("text", "word", "number")), "")
    return _status(first) in STATUSES


def _comparable(found: Any, value: Any) -> tuple[Any, Any]:
    if isinstance(found, str) and isinstance(value, str):
        one, other = parse_time(found), parse_time(value)
        if one is not None and other is not None:
            return one, other
    return found, value


def _equal(found: Any, value: Any) -> bool:
    if isinstance(found, list):
        return value in found
    one, other = _comparable(found, value)
    return bool(one == other)


def _bad(query: str, why: str) -> Error:
    return Error(f"bad query {query!r}: {why}", INVALID, retryable=False)
