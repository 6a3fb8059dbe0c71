"""Writes the spans of runs that have ended."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Final, cast

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from saros.interfaces.backend import Backend
from saros.interfaces.observer import Closed
from saros.model.background import Job, Jobs, each
from saros.model.errors import Error

from ..carriers import Contexts
from ..histories import Histories

log = logging.getLogger("saros.otel")

AT_ONCE: Final = 8
"""The most histories that are read concurrently to write their spans."""
LAST_S: Final = 10.0
"""How long a process that ends may take to write what is pending."""
_KNOWN: Final = 10_000


class RunSpans:
    """Reads the histories of runs that have ended, a batch at a time, and passes their spans to the processor."""

    def __init__(self, backend: Backend, contexts: Contexts, processor: SpanProcessor) -> None:
        self._contexts = contexts
        self._histories = Histories(backend, contexts)
        self._processor = processor
        self._written: OrderedDict[str, None] = OrderedDict()  # runs
        self._waiting: list[Closed] = []
        self._jobs = Jobs()
        self._job: Job[None] | None = None

    def closed(self, closed: Closed) -> None:
        """Write the spans of a run soon, unless it is not sampled."""
        if closed.run_id in self._written:
            return
        if closed.trace is not None and not self._contexts.trace(closed.trace, closed.run_id)[1]:
            return
        self._written[closed.run_id] = None
        if len(self._written) > _KNOWN:
            self._written.popitem(last=False)
        self._waiting.append(closed)
        if self._job is None or self._job.done():
            self._job = self._jobs.start(self._write_all(), "writing the traces of runs")

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await each(self._write, batch, AT_ONCE)

    async def _write(self, closed: Closed) -> None:
        try:
            spans = await self._histories.spans(closed.id, closed.run_id, ended=True)
            if not spans:  # if the commit of its end was lost, another one will follow
                self._written.pop(closed.run_id, None)
            for span in spans:
                self._processor.on_end(cast(ReadableSpan, span))  # `Exporter` knows what it is
        except Error as error:
            log.warning(
                "the trace of %s was not written: %s; write it later with saros trace --export",
                closed.id,
                error,
            )

    async def close(self) -> None:
        """Write what is pending."""
        if self._job is not None:
            await self._job.finish(LAST_S)
