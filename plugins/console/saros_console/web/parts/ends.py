"""How runs ended, read from their last records, without waiting for runs that continue them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from saros.interfaces.history import LAST
from saros.model.errors import NOT_FOUND, Error
from saros.model.execution import RUNNING, Description
from saros.model.presentation import Line, lines

if TYPE_CHECKING:
    from ..desk import Desk

CLOSING: Final = frozenset({"complete", "fail", "terminate", "time_out"})


class End(NamedTuple):
    """:param what: ``result``, ``error``, or empty if there is neither.
    :param told: JSON data; for an error, the texts `kind`, `message` and `stack`.
    """

    what: str = ""
    told: Any = None


def end_of(events: list[Line]) -> End:
    """Return the end of a run, from its last events."""
    for line in reversed(events):
        if line.record.op == "complete":
            return End("result", line.body)
        if line.record.op in CLOSING:
            body = line.body if isinstance(line.body, dict) else {}
            error = body.get("err", body)
            told = error if isinstance(error, dict) else {}
            return End("error", {name: str(told.get(name) or "") for name in ("kind", "message", "stack")})
    return End()


async def read_end(console: Desk, run: Description) -> End:
    """Return how a run ended.

    :raises Error: UNAVAILABLE.
    """
    if run.status == RUNNING:
        return End()
    try:
        page = await console.app.backend.history(run.id, run.run_id, LAST)
    except Error as error:
        if error.kind == NOT_FOUND:  # deleted in the meantime
            return End()
        raise
    return end_of(lines(page.records))
