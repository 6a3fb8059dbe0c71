"""An action on many executions."""

from __future__ import annotations

from saros.model.execution import Description


class Go:
    """One action on many executions, under way or finished.

    :ivar results: ids, each with its error, or an empty text on success.
    """

    def __init__(self, action: str, reason: str, runs: list[Description]) -> None:
        self.action, self.reason, self.runs = action, reason, runs
        self.results: list[tuple[str, str]] = []
        self.stopped = False

    @property
    def done(self) -> bool:
        return self.stopped or len(self.results) == len(self.runs)

    @property
    def failed(self) -> int:
        return sum(1 for _, error in self.results if error)
