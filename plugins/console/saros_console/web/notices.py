"""What a page tells of an action or of an error."""

from __future__ import annotations

from typing import NamedTuple

from saros.model.errors import Error


class Notice(NamedTuple):
    """What an action came to, told on the page after it."""

    text: str
    bad: bool = False
    hint: str = ""
    body: str = ""


def failure(error: Error) -> Notice:
    """An error in the words of the command line: what, where, and what to do."""
    where = f" ({error.where})" if error.where else ""
    return Notice(f"{error}{where}", True, error.hint or "")
