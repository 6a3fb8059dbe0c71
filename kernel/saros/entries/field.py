"""What every type of key has in common.

A kind is declared with fields; the same declarations check entries and make their JSON Schema.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .problems import BAD

if TYPE_CHECKING:
    from .fields import Reference


class Place(Protocol):
    """What a field needs of the entry that is being read."""

    def problem(self, path: str, message: str, hint: str | None = None) -> None:
        """Report that the value at `path` cannot be used."""

    def unknown(self, path: str, key: str, known: Collection[str]) -> None:
        """Warn of a key that nothing reads."""

    def ignored(self, path: str, why: str) -> None:
        """Warn of a key that is known and has no effect."""

    def loose(self, path: str) -> str | None:
        """The text in the file, if the key decides on its type: ``${env:…}``, or an unquoted ``yes``."""

    def refer(self, path: str, reference: str, to: Reference) -> object:
        """The full id of the entry that `reference` names, or `BAD`."""

    def locate(self, path: str, source: str, directory: bool) -> bool:
        """Find the file that `source` names; ``False`` if that was reported."""


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
        """What the value must be, as in "`x` must be <expected>"."""

    @abstractmethod
    def accept(self, value: Any, path: str, at: Place) -> Any:
        """The value as the entry's data holds it.

        `BAD` if it was reported, `NotImplemented` if it does not fit.
        """

    @abstractmethod
    def shape(self) -> dict[str, Any]:
        """The JSON Schema of the value."""

    def from_text(self, text: str) -> Any:
        """The value that a text out of the environment stands for."""
        return text

    def read(self, value: Any, path: str, at: Place) -> Any:
        """The value as the entry's data holds it, or `BAD` if it was reported to `at`."""
        if value is BAD:
            return BAD
        loose = at.loose(path) if isinstance(value, str) else None
        clean = self.accept(value if loose is None else self.from_text(value), path, at)
        if clean is NotImplemented:
            # What comes out of the environment may be a secret.
            shown = f"what {loose} holds" if loose and "${" in loose else _shown(value)
            at.problem(path, f"`{path}` must be {self.expected}, not {shown}", self.advice(value))
            return BAD
        return clean

    def advice(self, value: Any) -> str | None:
        """A hint for a value that does not fit."""
        return None

    def fallback(self) -> Any:
        """A copy of the default, or ``None``."""
        return copy.deepcopy(self.default)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the key."""
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
