"""Keys that refer to something, or hold other values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .fields import ENV_SCHEMA, Field, Place
from .problems import BAD


@dataclass(frozen=True)
class Reference(Field):
    """A reference to another entry: a full id, or a bare name in the same namespace. The data holds the full id.

    :param kinds: the kinds that it may have; empty for all.
    :param roles: the roles that it may have; empty for all.
    :param runtimes: the runtimes that it may have; empty for all.
    """

    kinds: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        return "the id of an entry"

    @property
    def target(self) -> str:
        """The entry that the reference must name, as in "must name <a workflow>"."""
        if self.kinds:
            return f"a {' or '.join(self.kinds)}"
        noun = " or ".join(self.roles) or "entry"
        return (
            f"a {'/'.join(self.runtimes)} {noun}"
            if self.runtimes
            else f"a {noun}".replace("a entry", "an entry")
        )

    def accept(self, value: Any, path: str, at: Place) -> Any:
        return at.refer(path, value, self) if isinstance(value, str) and value else NotImplemented

    def shape(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True)
class Source(Field):
    """A file of the app, ``file://x.lua``, relative to the YAML file; with `directory`, a directory."""

    directory: bool = False

    @property
    def expected(self) -> str:
        return f'a {"directory" if self.directory else "file"} such as "file://{self._example}"'

    @property
    def _example(self) -> str:
        return "public" if self.directory else "main.lua"

    def accept(self, value: Any, path: str, at: Place) -> Any:
        if not isinstance(value, str) or not value.startswith("file://") or value == "file://":
            return NotImplemented
        return value if at.locate(path, value.removeprefix("file://"), self.directory) else BAD

    def advice(self, value: Any) -> str | None:
        plain = isinstance(value, str) and value and "\n" not in value and "://" not in value
        return f'write "file://{value}"' if plain else None

    def shape(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "pattern": "^file://."}, dict(ENV_SCHEMA)]}


@dataclass(frozen=True)
class ListOf(Field):
    """A list."""

    item: Field

    @property
    def expected(self) -> str:
        return "a list"

    def accept(self, value: Any, path: str, at: Place) -> Any:
        if not isinstance(value, list):
            return NotImplemented
        read = [self.item.read(item, f"{path}.{index}", at) for index, item in enumerate(value)]
        return [item for item in read if item is not BAD]

    def advice(self, value: Any) -> str | None:
        return f"write [{value}]" if isinstance(value, str) and value else None

    def shape(self) -> dict[str, Any]:
        return {"type": "array", "items": self.item.schema()}


@dataclass(frozen=True)
class MapOf(Field):
    """A mapping whose keys are the user's own names."""

    item: Field

    @property
    def expected(self) -> str:
        return "a mapping of names"

    def accept(self, value: Any, path: str, at: Place) -> Any:
        if not isinstance(value, dict):
            return NotImplemented
        read = {key: self.item.read(item, f"{path}.{key}", at) for key, item in value.items()}
        return {key: item for key, item in read.items() if item is not BAD}

    def shape(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.item.schema()}


@dataclass(frozen=True)
class Table(Field):
    """A mapping of nested keys. An unknown key is a warning, unless the table is `open`."""

    keys: Mapping[str, Field] = field(default_factory=dict)
    open: bool = False

    @property
    def expected(self) -> str:
        return "a mapping"

    def accept(self, value: Any, path: str, at: Place) -> Any:
        if not isinstance(value, dict):
            return NotImplemented
        prefix = f"{path}." if path else ""
        data: dict[str, Any] = {}
        for key, item in value.items():
            known = self.keys.get(key)
            if known is None:
                if not self.open:
                    at.unknown(prefix + key, key, self.keys)
                data[key] = item
            elif item is not None:  # `key:` without a value is the same as no key
                clean = known.read(item, prefix + key, at)
                if clean is not BAD:
                    data[key] = clean
        for key, known in self.keys.items():
            if value.get(key) is None:
                self._fill(data, key, known, prefix, at)
        return data

    def _fill(self, data: dict[str, Any], key: str, known: Field, prefix: str, at: Place) -> None:
        if known.required:
            at.problem(
                prefix.removesuffix("."), f"`{prefix}{key}` is missing", f"it must be {known.expected}"
            )
        elif (default := known.fallback()) is not None:
            data[key] = default

    def fallback(self) -> Any:
        """Return the nested defaults, or ``None`` if there are none."""
        defaults = {key: known.fallback() for key, known in self.keys.items()}
        return {key: value for key, value in defaults.items() if value is not None} or None

    def shape(self) -> dict[str, Any]:
        result: dict[str, Any] = {"type": "object" if self.required else ["object", "null"]}
        if self.keys:
            result["properties"] = {key: known.schema() for key, known in self.keys.items()}
        required = [key for key, known in self.keys.items() if known.required]
        if required:
            result["required"] = required
        return result


@dataclass(frozen=True)
class Ignored(Field):
    """A key that other tools read and that has no effect here; a value that switches something on is a warning."""

    item: Field
    why: str

    @property
    def expected(self) -> str:
        return self.item.expected

    def accept(self, value: Any, path: str, at: Place) -> Any:
        clean = self.item.accept(value, path, at)
        off = clean is BAD or clean is NotImplemented or not clean or str(clean).strip("0smh") == ""
        if not off:
            at.ignored(path, self.why)
        return clean

    def from_text(self, text: str) -> Any:
        return self.item.from_text(text)

    def shape(self) -> dict[str, Any]:
        return self.item.shape()
