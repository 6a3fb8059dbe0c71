"""What surrounds one attempt of a call: its info, its heartbeat, its cancellation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .values import Json


class CallScope:
    """:param pid: of the function that runs.
    :param info: what ``activity.info()`` tells; empty when it runs for no workflow.
    :param heartbeat: called with the details' JSON; None where there is nobody to hear it.
    """

    def __init__(
        self,
        pid: str,
        info: dict[str, Any],
        context: dict[str, Any],
        heartbeat: Callable[[Json], None] | None = None,
    ) -> None:
        self.pid = pid
        self.info = info
        self.context = context
        self.heartbeat = heartbeat
        self.canceled = False
        self.blocking = False  # code runs that no cancellation reaches: it has to ask `canceled`
        self.on_queue: Callable[[bool], None] = _unasked
        self._on_cancel: list[Callable[[], None]] = []

    def cancel(self) -> None:
        """Tell the attempt that it is cancelled; what it does then is its own affair."""
        if self.canceled:
            return
        self.canceled = True
        for call in self._on_cancel:
            call()

    @contextmanager
    def queued(self) -> Iterator[None]:
        """Within: the code waits until it can begin; time limits of an attempt count from then on."""
        self.on_queue(True)
        try:
            yield
        finally:
            self.on_queue(False)

    def settle(self) -> None:
        """Forget who listens, for the attempt has its outcome: code that runs on is heard no more."""
        self._on_cancel.clear()
        self.on_queue = _unasked
        if self.heartbeat is not None:
            self.heartbeat = _unheard

    def on_cancel(self, call: Callable[[], None]) -> None:
        """Call once when the attempt is cancelled, at once if it is already."""
        if self.canceled:
            call()
        else:
            self._on_cancel.append(call)


def _unasked(waits: bool) -> None:
    pass


def _unheard(details: Json) -> None:
    pass


current: ContextVar[CallScope | None] = ContextVar("saros_call_scope", default=None)
