"""Where the code of runs waits. A backend replays the run or asks a worker, which may take a while."""

from __future__ import annotations

from typing import NamedTuple

from saros.interfaces.backend import Backend
from saros.interfaces.insight import Stack
from saros.interfaces.insight.pending import Pending
from saros.model.background import Jobs
from saros.model.errors import Error
from saros.model.execution import RUNNING, Description

from .shared import Shared


class Told(NamedTuple):
    """:param length: the length of the history at that time.
    :param problem: why the stack is not known.
    """

    stack: Stack | None = None
    length: int = 0
    problem: str = ""


class Stacks:
    """Asks once for all readers of a run, and again after its history has grown."""

    def __init__(self, jobs: Jobs, backend: Backend) -> None:
        self._backend = backend
        self._told: Shared[tuple[str, str], Told] = Shared(jobs, self._ask, "where code waits")

    async def _ask(self, key: tuple[str, str]) -> Told:
        length = (await self._backend.describe(*key)).history_length
        return Told(await self._backend.stack(*key), length)

    async def of(self, run: Description, pending: Pending, patience_s: float) -> Told:
        """Return what is known in time, perhaps of a shorter history; nothing for a run that has ended."""
        if run.status != RUNNING or pending.parked is not None:
            return Told()
        key = run.id, run.run_id
        told = self._told.known(key)
        if told is not None and told.length == run.history_length:
            return told
        try:
            told = await self._told.get(key, patience_s)
        except Error as error:  # this console has not the app, or not the right version
            return Told(problem=f"{error}; give the console the app with --app DIR")
        return told or Told(problem="it is being found out")
