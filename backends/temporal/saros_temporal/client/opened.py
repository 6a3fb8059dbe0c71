"""What the histories of runs leave open, read again only once they have grown."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from saros.insight.open_commands import OpenCommands
from saros.model.records import CALL

from ..wire.history_events import Records
from .history_client import HistoryClient, Source

KNOWN: Final = 16
"""The runs of which that is kept."""


class Opened(NamedTuple):
    """:param length: the number of events that were read.
    :param activities: the events that scheduled the open activities, by their ids.
    """

    length: int
    commands: OpenCommands
    activities: dict[str, HistoryEvent]


class OpenedRuns:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._runs: OrderedDict[str, Opened] = OrderedDict()

    async def of(self, id: str, run_id: str, length: int) -> Opened:
        """Return what a run leaves open.

        :param length: the number of its events, as the server tells it.
        :raises RPCError:
        """
        known = self._runs.pop(run_id, None)
        if known is None or known.length != length:
            known = await self._read(id, run_id, length)
        self._runs[run_id] = known
        while len(self._runs) > KNOWN:
            self._runs.popitem(last=False)
        return known

    async def _read(self, id: str, run_id: str, length: int) -> Opened:
        commands, reader = OpenCommands(run_id), Records()
        scheduled: dict[int, HistoryEvent] = {}
        read = 0
        async for events in HistoryClient(self._source, id, run_id).pages():
            read += len(events)
            commands.hear(reader.of(events))
            for event in events:
                if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                    scheduled[event.event_id] = event
        calls = [ref for ref, command in commands.commands.items() if command.op == CALL]
        found = [scheduled[ref] for ref in calls if ref in scheduled]
        ids = [event.activity_task_scheduled_event_attributes.activity_id for event in found]
        return Opened(read, commands, dict(zip(ids, found, strict=True)))
