"""How runs have ended, read from their last records: nothing here waits for a run that continues another."""

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
    """:param what: ``result``, ``error``, or empty when nothing is told.
    :param told: JSON data; of an error, the texts `kind`, `message` and `stack`.
    """

    what: str = ""
    told: Any = None


def end_of(events: list[Line]) -> End:
    """What the last of a run's events say of its end."""
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
    """How a run has ended.

    :raises Error: UNAVAILABLE.
    """
    if run.status == RUNNING:
        return End()
    try:
        page = await console.app.backend.history(run.id, run.run_id, LAST)
    except Error as error:
        if error.kind == NOT_FOUND:  # it has been deleted meanwhile
            return End()
        raise
    return end_of(lines(page.records))
