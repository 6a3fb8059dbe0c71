"""What apps of other runtimes with the same files have, and Saros has not."""

from __future__ import annotations

from typing import Final

_DATABASES: Final = "databases"
_FILES: Final = "files"
_QUEUES: Final = "queues"
_STORES: Final = "stores"
_SECURITY: Final = "security policies"
_TEMPLATES: Final = "templates"
_REGISTRY: Final = "writes to the registry"
_PROGRAMS: Final = "other programs"

_WORDS: Final = {
    "sql": _DATABASES, "db": _DATABASES, "fs": _FILES, "queue": _QUEUES, "store": _STORES,
    "security": _SECURITY, "template": _TEMPLATES, "templates": _TEMPLATES, "registry": _REGISTRY,
    "exec": _PROGRAMS,
}  # fmt: skip
"""A module, or the first word of a kind: what it is for."""

META: Final = "ns"
"""First word of kinds that only describe their namespace."""

_INSTEAD: Final = "do it in a function.python entry, and call that with funcs.call; see docs/coming.md"


def foreign_kind(kind: str) -> tuple[str, str] | None:
    """Message and hint for a kind of another runtime; ``None`` for any other."""
    what = _WORDS.get(kind.partition(".")[0])
    return None if what is None else (f'the kind "{kind}" is outside of Saros, which has no {what}', _INSTEAD)


def foreign_module(name: str) -> tuple[str, str] | None:
    """The same for a module."""
    what = _WORDS.get(name)
    return (
        None if what is None else (f'the module "{name}" is outside of Saros, which has no {what}', _INSTEAD)
    )
