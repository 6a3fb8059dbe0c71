"""The open commands of runs that people look at again and again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from ..interfaces.store import Store
from ..model.errors import INTERNAL, Error
from ..model.execution import Record
from .open_commands import OpenCommands

PAGE: Final = 1_000
"""The number of records of a history that are read at a time."""
KNOWN: Final = 16
"""The runs whose commands are kept."""


class _Known(NamedTuple):
    commands: OpenCommands
    length: int  # records that were read
    last: Record | None  # of these


class KnownCommands:
    """Reads histories of any length, one page at a time; of a run that was read before, only what is new."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runs: OrderedDict[str, _Known] = OrderedDict()

    async def of(self, id: str, run_id: str) -> OpenCommands:
        """Return the open commands of a run; none if there is no such run."""
        known = self._runs.pop(run_id, None)  # another call meanwhile reads everything
        read = await self._further(id, run_id, known) if known is not None else None
        if read is None:
            read = await self._further(id, run_id, _Known(OpenCommands(run_id), 0, None))
        if read is None:
            raise Error(f"the history of {id} lacks records", INTERNAL, retryable=False)
        if read.length:
            self._runs[run_id] = read
            while len(self._runs) > KNOWN:
                self._runs.popitem(last=False)
        return read.commands

    async def _further(self, id: str, run_id: str, known: _Known) -> _Known | None:
        """Read what is new. None if the last known record differs: the server has lost its last writes."""
        commands, length, last = known
        while True:
            again = 0 if last is None else 1
            page = await self._store.history(id, run_id, length - again, PAGE)
            records = [] if page is None else page.records
            if records[:again] != [last][:again]:
                return None
            commands.hear(records[again:])
            if len(records) <= again:
                return _Known(commands, length, last)
            length, last = length + len(records) - again, records[-1]
