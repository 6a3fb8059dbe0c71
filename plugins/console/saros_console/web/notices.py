"""Notices on a page: the result of an action, or an error."""

from __future__ import annotations

from typing import NamedTuple

from saros.model.errors import Error


class Notice(NamedTuple):
    """The result of an action, shown on the next page."""

    text: str
    bad: bool = False
    hint: str = ""
    body: str = ""


def failure(error: Error) -> Notice:
    """Word an error as the command line does: what, where, and what to do."""
    where = f" ({error.where})" if error.where else ""
    return Notice(f"{error}{where}", True, error.hint or "")
