"""The problems of an application, reported all at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

BAD: Final = object()
"""Replaces a value that was reported as a problem, so that it is not reported again."""

_PLACE = re.compile(r"(.*?):(\d+)(?::(\d+))?$", re.DOTALL)


class Problem(msgspec.Struct, frozen=True):
    """One mistake in an application.

    :param message: what is wrong and what is expected; no final period.
    :param where: ``file:line`` or ``file:line:column``; empty when there is no such place.
    :param entry: id of the entry, if the mistake is in one.
    :param hint: what to do about it.
    :param warning: whether the app can run nevertheless.
    """

    message: str
    where: str = ""
    entry: str = ""
    hint: str | None = None
    warning: bool = False

    def __str__(self) -> str:
        text = f"{self.entry}: {self.message}" if self.entry else self.message
        return f"{text} ({self.where})" if self.where else text

    def position(self) -> tuple[str, int, int]:
        """Return file, line and column as a sort key."""
        place = _PLACE.match(self.where)
        if place is None:
            return self.where, 0, 0
        return place[1], int(place[2]), int(place[3] or 0)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems sorted by file, line and column, without repetitions."""
    return sorted(dict.fromkeys(problems), key=Problem.position)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return a hint that names the nearest of `known`, or ``None`` if none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else None


def listing(words: Sequence[str], last: str) -> str:
    """Return a list in words: ``"a", "b" or "c"``."""
    quoted = [f'"{word}"' for word in words]
    return f" {last} ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
