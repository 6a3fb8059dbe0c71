"""The base class of fields, and the fields that hold a single value.

A kind is declared with fields; the same declarations check entries and make their JSON Schema.
"""

from __future__ import annotations

import copy
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ..model.errors import Error
from ..model.timing import parse_duration
from .problems import BAD, listing


class Target(Protocol):
    """The entries that a reference may name; see `Reference`."""

    @property
    def kinds(self) -> tuple[str, ...]: ...
    @property
    def roles(self) -> tuple[str, ...]: ...
    @property
    def runtimes(self) -> tuple[str, ...]: ...
    @property
    def target(self) -> str: ...


class Place(Protocol):
    """The part of the entry being read that a field needs."""

    def problem(self, path: str, message: str, hint: str | None = None) -> None:
        """Report that the value at `path` cannot be used."""

    def unknown(self, path: str, key: str, known: Collection[str]) -> None:
        """Warn about a key that nothing reads."""

    def ignored(self, path: str, why: str) -> None:
        """Warn about a known key that has no effect."""

    def loose(self, path: str) -> str | None:
        """Return the text in the file, if the field decides on its type: ``${env:…}``, or an unquoted ``yes``."""

    def refer(self, path: str, reference: str, to: Target) -> object:
        """Return the full id of the entry that `reference` names, or `BAD`."""

    def locate(self, path: str, source: str, directory: bool) -> bool:
        """Find the file that `source` names; return ``False`` after reporting a problem."""


@dataclass(frozen=True, kw_only=True)
class Field(ABC):
    """One key.

    :param required: whether an entry must have it.
    :param default: what the entry's data holds when it is absent; ``None`` leaves it absent.
    :param doc: one sentence for editors and documentation.
    """

    required: bool = False
    default: Any = None
    doc: str = ""

    @property
    @abstractmethod
    def expected(self) -> str:
        """The expected value, as in "`x` must be <expected>"."""

    @abstractmethod
    def accept(self, value: Any, path: str, at: Place) -> Any:
        """Return the value as the entry's data holds it.

        Return `BAD` if a problem was reported, `NotImplemented` if the value does not fit.
        """

    @abstractmethod
    def shape(self) -> dict[str, Any]:
        """Return the JSON Schema of the value."""

    def from_text(self, text: str) -> Any:
        """Return the value of a string from the environment."""
        return text

    def read(self, value: Any, path: str, at: Place) -> Any:
        """Return the value as the entry's data holds it, or `BAD` after reporting a problem to `at`."""
        if value is BAD:
            return BAD
        loose = at.loose(path) if isinstance(value, str) else None
        clean = self.accept(value if loose is None else self.from_text(value), path, at)
        if clean is NotImplemented:
            # A value from the environment may be a secret.
            shown = f"the value of {loose}" if loose and "${" in loose else _shown(value)
            at.problem(path, f"`{path}` must be {self.expected}, not {shown}", self.advice(value))
            return BAD
        return clean

    def advice(self, value: Any) -> str | None:
        """Return a hint for a value that does not fit."""
        return None

    def fallback(self) -> Any:
        """Return a copy of the default, or ``None``."""
        return copy.deepcopy(self.default)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the key."""
        result = self.shape()
        if self.doc:
            result["description"] = self.doc
        if self.default is not None:
            result["default"] = self.default
        return result


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return f'"{value}"' if len(value) <= 60 and "\n" not in value else "a longer text"
        case _:
            return str(value)


ENV_SCHEMA: Final = {"type": "string", "pattern": r"\$\{env:[A-Za-z_][A-Za-z0-9_]*(\|[^}]*)?\}"}
"""The form of a reference to the environment, which any string may hold instead of its value."""


@dataclass(frozen=True)
class Text(Field):
    """A string. `pattern` must match all of it; `form` describes the pattern in words."""

    pattern: str | None = None
    form: str = "a string"

    @property
    def expected(self) -> str:
        return self.form

    def accept(self, value: Any, path: str, at: Place) -> Any:
        if not isinstance(value, str) or (self.required and not value):
            return NotImplemented
        if self.pattern is not None and re.fullmatch(self.pattern, value) is None:
            return NotImplemented
        return value

    def advice(self, value: Any) -> str | None:
        return "put it in quotes" if isinstance(value, int | float) and self.pattern is None else None

    def shape(self) -> dict[str, Any]:
        result: dict[str, Any] = {"type": "string"}
        if self.required:
            result["minLength"] = 1
        if self.pattern is not None:
            return {"anyOf": [{**result, "pattern": f"^(?:{self.pattern})$"}, dict(ENV_SCHEMA)]}
        return result


@dataclass(frozen=True)
class Flag(Field):
    """``true`` or ``false``; unquoted ``yes``, ``no``, ``on`` and ``off`` are accepted too."""

    @property
    def expected(self) -> str:
        return "true or false"

    def from_text(self, text: str) -> Any:
        words = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        return words.get(text.lower(), text)

    def accept(self, value: Any, path: str, at: Place) -> Any:
        return value if isinstance(value, bool) else NotImplemented

    def advice(self, value: Any) -> str | None:
        return "remove the quotes" if value in ("true", "false") else None

    def shape(self) -> dict[str, Any]:
        words = ["yes", "no", "on", "off"]
        return {"anyOf": [{"type": "boolean"}, {"enum": words}, dict(ENV_SCHEMA)]}


@dataclass(frozen=True)
class Number(Field):
    """A finite number from `least` to `most`; with `whole`, an integer."""

    whole: bool = False
    least: float | None = None
    most: float | None = None

    @property
    def expected(self) -> str:
        noun = "an integer" if self.whole else "a number"
        if self.least is not None and self.most is not None:
            return f"{noun} from {self.least} to {self.most}"
        if self.least is not None:
            return f"{noun} of {self.least} or more"
        return noun if self.most is None else f"{noun} of {self.most} or less"

    def from_text(self, text: str) -> Any:
        try:
            return int(text) if self.whole or text.lstrip("+-").isdecimal() else float(text)
        except ValueError:
            return text

    def accept(self, value: Any, path: str, at: Place) -> Any:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return NotImplemented
        fits = (self.least is None or value >= self.least) and (self.most is None or value <= self.most)
        return value if fits and math.isfinite(value) else NotImplemented

    def shape(self) -> dict[str, Any]:
        number: dict[str, Any] = {"type": "integer" if self.whole else "number"}
        if self.least is not None:
            number["minimum"] = self.least
        if self.most is not None:
            number["maximum"] = self.most
        return {"anyOf": [number, dict(ENV_SCHEMA)]}


@dataclass(frozen=True)
class Duration(Field):
    """A duration, kept as given; `positive` refuses zero. Read it with `parse_duration`."""

    positive: bool = False

    @property
    def expected(self) -> str:
        more = " of more than zero" if self.positive else ""
        return f'a duration{more} such as "30s", or a number of milliseconds'

    def from_text(self, text: str) -> Any:
        return int(text) if text.isascii() and text.isdigit() else text

    def accept(self, value: Any, path: str, at: Place) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return NotImplemented
        try:
            nanoseconds = parse_duration(value)
        except Error as error:
            if at.loose(path) is not None:
                return NotImplemented
            at.problem(path, f"`{path}`: {error.message}")
            return BAD
        return value if nanoseconds > 0 or (nanoseconds == 0 and not self.positive) else NotImplemented

    def shape(self) -> dict[str, Any]:
        text = {"type": "string", "pattern": r"^(\+?([0-9.]+(ns|us|µs|μs|ms|s|m|h))+|0)$"}
        return {"anyOf": [text, {"type": "number", "minimum": 0}, dict(ENV_SCHEMA)]}


@dataclass(frozen=True)
class Choice(Field):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        return listing(self.words, "or")

    def accept(self, value: Any, path: str, at: Place) -> Any:
        return value if isinstance(value, str) and value in self.words else NotImplemented

    def shape(self) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.words)}, dict(ENV_SCHEMA)]}


@dataclass(frozen=True)
class Data(Field):
    """Any value."""

    @property
    def expected(self) -> str:
        return "a value"

    def accept(self, value: Any, path: str, at: Place) -> Any:
        return value

    def shape(self) -> dict[str, Any]:
        return {}
