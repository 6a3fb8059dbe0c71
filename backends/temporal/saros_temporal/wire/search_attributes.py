"""Search attributes: registered when a worker starts, known by name and type, refused otherwise.

An upsert of a name that the server does not know would fail the workflow's task again and again, so that
names are checked first, against the names and types that the server had when the worker started.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.converter import encode_typed_search_attribute_value
from temporalio.service import RPCError

from saros.model import values
from saros.model.errors import INVALID, Error
from saros.model.raw import Raw
from saros.model.search import parse_time
from saros.model.values import Json

log = logging.getLogger("saros.temporal")

_TYPES: Final = {
    "keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "text": IndexedValueType.INDEXED_VALUE_TYPE_TEXT,
    "integer": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    "float": IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
    "boolean": IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
    "time": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
    "keyword_list": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}
_NAMES: Final = {number: name for name, number in _TYPES.items()}
_KEYS: Final[dict[str, Callable[[str], SearchAttributeKey[Any]]]] = {
    "keyword": SearchAttributeKey.for_keyword,
    "text": SearchAttributeKey.for_text,
    "integer": SearchAttributeKey.for_int,
    "float": SearchAttributeKey.for_float,
    "boolean": SearchAttributeKey.for_bool,
    "time": SearchAttributeKey.for_datetime,
    "keyword_list": SearchAttributeKey.for_keyword_list,
}
_ACCEPTS: Final[dict[str, tuple[type, ...]]] = {
    "keyword": (str,),
    "text": (str,),
    "integer": (int,),
    "float": (int, float),
    "boolean": (bool,),
    "time": (str,),
    "keyword_list": (list,),
}


class SearchAttributes:
    """:param known: name -> type, in the words of the ``temporal.client`` entry; None takes everything, as
    in a replay, where the history says what was taken.
    """

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self.known = None if known is None else dict(known)

    def refusals(self, search: Json | Raw) -> dict[str, str]:
        """Return which of these attributes the server would refuse, and why."""
        known = self.known
        if known is None:
            return {}
        found: dict[str, Any] = values.decode(search)
        unknown = sorted(name for name in found if name not in known)
        missing = (
            f"the Temporal namespace has no search attribute {', '.join(unknown)}; declare it under "
            "`search_attributes` of the temporal.client entry, or use memo"
        )
        refused = dict.fromkeys(unknown, missing)
        for name, value in found.items():
            if name in known and value is not None and not _fits(known[name], value):
                article = "an" if known[name][0] in "aeiou" else "a"
                refused[name] = (
                    f"the search attribute {name} is {article} {known[name]} in this Temporal namespace"
                )
        return refused

    def upserts(self, search: Mapping[str, Raw]) -> dict[str, Payload]:
        """Convert accepted attributes to the server's form; a null unsets the attribute."""
        return {name: self._payload(name, values.decode(raw)) for name, raw in search.items()}

    def encoded(self, search: Raw) -> dict[str, Payload]:
        """Return the attributes of a start."""
        found = values.decode(search) if search else {}
        return {name: self._payload(name, value) for name, value in found.items() if value is not None}

    def _payload(self, name: str, value: Any) -> Payload:
        key = self._key(name, value)
        return encode_typed_search_attribute_value(key, None if value is None else _convert(key, value))

    def _key(self, name: str, value: Any) -> SearchAttributeKey[Any]:
        kind = (self.known or {}).get(name) or _guess(value)
        return _KEYS[kind](name)


def _guess(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "float"
    if isinstance(value, list):
        return "keyword_list"
    return "time" if isinstance(value, str) and parse_time(value) else "keyword"


def _fits(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "time":
        return isinstance(value, str) and parse_time(value) is not None
    return isinstance(value, _ACCEPTS[kind])


def _convert(key: SearchAttributeKey[Any], value: Any) -> Any:
    if key.origin_value_type is dt.datetime:
        return parse_time(value)
    return float(value) if key.origin_value_type is float else value


async def register(client: Client, wanted: Mapping[str, str]) -> SearchAttributes:
    """Register the declared attributes that are missing, and return all that the namespace has.

    A server that does not allow it keeps what it has; workflows are then refused the missing names.

    :raises Error: INVALID when the namespace has one with another type.
    """
    known = await _listed(client)
    missing = {name: kind for name, kind in wanted.items() if name not in known}
    for name, kind in wanted.items():
        if name in known and known[name] != kind:
            raise Error(
                f"the search attribute {name} is declared as {kind}, but the namespace {client.namespace} "
                f"has it as {known[name]}",
                INVALID,
                retryable=False,
            )
    if missing:
        request = AddSearchAttributesRequest(
            namespace=client.namespace,
            search_attributes={name: _TYPES[kind] for name, kind in missing.items()},
        )
        try:
            await client.operator_service.add_search_attributes(request)
        except RPCError as error:
            log.warning(
                "the Temporal namespace %s does not let the worker register the search attributes %s (%s); "
                "workflows that set them get an error",
                client.namespace,
                ", ".join(missing),
                error.message,
            )
        else:
            known = missing  # a server may list them only later, or not at all
        known = {**known, **await _listed(client)}
    return SearchAttributes(known)


async def _listed(client: Client) -> dict[str, str]:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        found = await client.operator_service.list_search_attributes(request)
    except RPCError as error:
        log.warning("cannot list the search attributes of %s: %s", client.namespace, error.message)
        return {}
    return {name: _NAMES[kind] for name, kind in found.custom_attributes.items() if kind in _NAMES}
