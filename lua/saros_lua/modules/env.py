"""Host side of the env module: the process environment, and the variables that entries declare."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from saros.interfaces.module import HostFunction
from saros.model.errors import NOT_FOUND, Error

if TYPE_CHECKING:
    from saros.entries import Entry, Registry


def host(registry: Registry | None = None) -> dict[str, HostFunction]:
    """The host functions of one app.

    A variable that an entry declares is found by the entry's id, its name, and the name that it has in the
    environment; where two entries have one name, the first counts.
    """
    declared: dict[bytes, Entry] = {}
    for entry in registry.of_kind("env.variable") if registry else ():
        for name in (entry.id, entry.name, _variable(entry)):
            declared.setdefault(name.encode(), entry)

    def value_of(name: bytes) -> bytes | None:
        entry = declared.get(name)
        if entry is None:
            return os.environb.get(name)
        found = os.environb.get(_variable(entry).encode())
        default = entry.get("default")
        return found if found is not None or default is None else _text(default).encode()

    def get(name: bytes) -> bytes:
        """Return a variable.

        :raises Error: NOT_FOUND, not retryable.
        """
        value = value_of(name)
        if value is None:
            message = f"the environment has no variable {name.decode(errors='replace')}"
            raise Error(message, NOT_FOUND, retryable=False)
        return value

    def get_all() -> bytes:
        """Return names (without ids) and values in turn, each with a zero byte behind it."""
        names = {name for name in declared if b":" not in name} | set(os.environb)
        values = [(name, value_of(name)) for name in sorted(names)]
        return b"".join(b"%b\0%b\0" % (name, value) for name, value in values if value is not None)

    return {"env_get": get, "env_get_all": get_all}


HOST: Final = host()
"""Without an app."""


def _variable(entry: Entry) -> str:
    variable: str = entry.get("variable") or entry.name
    return variable


def _text(default: Any) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)
