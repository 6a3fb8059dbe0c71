"""Lists of runs, newest first, from the indexes."""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from saros.insight.query import parse
from saros.interfaces.insight import counted
from saros.model.background import each
from saros.model.execution import Description
from saros.model.search import All, Condition, Node, matches, required, statuses
from saros.model.timing import micros_of

from .. import codec
from ..codec import BROKEN
from ..server.partitions import Partitions

PAGE = 100
AT_ONCE = 8
"""Partitions that are asked concurrently."""


class Listing:
    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    async def executions(self, query: str, trouble: str = "") -> AsyncIterator[Description]:
        """:raises Error: INVALID for a bad query."""
        node = parse(query)
        indexes = (
            [trouble]
            if trouble
            else [index for each in required(node) if (index := _index(each)) is not None] or ["all"]
        )
        sources = [
            self._partition(partition, indexes, node) for partition in range(self._partitions.keys.partitions)
        ]
        heads: list[tuple[int, int, Description]] = []
        for number, source in enumerate(sources):
            await _advance(heads, number, source)
        while heads:
            _start, number, description = heapq.heappop(heads)
            yield description
            await _advance(heads, number, sources[number])

    async def counts(self, query: str) -> dict[str, int]:
        """:raises Error: INVALID for a bad query."""
        node = parse(query)
        asked = statuses(_without_times(node))
        if asked is None:
            return await counted(self.executions(query))
        times = _times(node)
        partitions = range(self._partitions.keys.partitions)
        sizes = await each(lambda partition: self._sizes(partition, asked, times), partitions, AT_ONCE)
        sums = {status: sum(size[number] for size in sizes) for number, status in enumerate(asked)}
        return {status: count for status, count in sums.items() if count}

    async def _sizes(self, partition: int, statuses: list[str], times: _Times) -> list[int]:
        """Return the number of runs of each status that started within these times, from the indexes."""
        keys = [self._partitions.keys.index(partition, f"status:{status}") for status in statuses]
        return [int(await self._partitions.read(partition, "zset", "ZCOUNT", key, *times)) for key in keys]

    async def _partition(self, partition: int, indexes: list[str], node: Node) -> AsyncIterator[Description]:
        key = await self._smallest(partition, indexes)
        (bottom, top), seen = _times(node), 0
        while True:
            span = (top, bottom, "WITHSCORES", "LIMIT", seen, PAGE)
            page = await self._partitions.read(partition, "zset", "ZREVRANGEBYSCORE", key, *span)
            pairs = _scored(page)
            if not pairs:
                return
            runs = [run for run, _score in pairs]
            for fields, length in await self._partitions.run("describe", partition, ["", runs]):
                try:
                    description = codec.description(fields, length)
                except BROKEN:  # a list omits runs that cannot be read
                    continue
                if matches(node, description):
                    yield description
            last = pairs[-1][1]
            same = sum(1 for _run, score in pairs if score == last)
            seen = seen + same if last == top else same
            top = last

    async def _smallest(self, partition: int, indexes: list[str]) -> str:
        keys = [self._partitions.keys.index(partition, index) for index in indexes]
        if len(keys) == 1:
            return keys[0]
        sizes = [(int(await self._partitions.read(partition, "zset", "ZCARD", key)), key) for key in keys]
        return min(sizes)[1]


async def _advance(
    heads: list[tuple[int, int, Description]], number: int, source: AsyncIterator[Description]
) -> None:
    async for description in source:
        heapq.heappush(heads, (-description.start_time, number, description))
        return


def _scored(page: list[Any]) -> list[tuple[str, str]]:
    """Return the pairs (run id, score) of a reply with scores."""
    return [(codec.text(run), score.decode()) for run, score in zip(page[::2], page[1::2], strict=True)]


class _Times(NamedTuple):
    """Scores of the indexes: the earliest and the latest start, in microseconds."""

    first: str = "-inf"
    last: str = "+inf"


_SHIFTED: Final = {"=": (0, 0), "<": (None, -1), "<=": (None, 0), ">": (1, None), ">=": (0, None)}
"""What to add to the time of a condition for the first and the last time that satisfies it; None for no bound."""


def _is_time(node: Node) -> bool:
    return (
        isinstance(node, Condition)
        and node.field == "start_time"
        and not node.negated
        and node.operator in _SHIFTED
        and isinstance(node.value, dt.datetime)
    )


def _times(node: Node) -> _Times:
    """Return the times within which the runs that a query selects have started."""
    first: list[int] = []
    last: list[int] = []
    for condition in filter(_is_time, required(node)):
        at = micros_of(condition.value)
        for bounds, shift in zip((first, last), _SHIFTED[condition.operator], strict=True):
            if shift is not None:
                bounds.append(at + shift)
    return _Times(str(max(first)) if first else "-inf", str(min(last)) if last else "+inf")


def _without_times(node: Node) -> Node:
    """Return a query without the conditions that `_times` has."""
    if isinstance(node, All):
        return All(tuple(map(_without_times, node.parts)))
    return All(()) if _is_time(node) else node


def _index(condition: Condition) -> str | None:
    """Return an index with all runs that satisfy a condition, and perhaps others."""
    if condition.operator != "=":
        return None
    if condition.field in ("status", "type"):
        return f"{condition.field}:{condition.value}"
    if not condition.field:
        term = codec.term_of(condition.value)
        return None if term is None else f"attr:{condition.name}={term}"
    return None
