"""Results that many pages share: one job finds them for all readers, as often as its cost allows."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from anyio import fail_after

from saros.model.background import Job, Jobs
from saros.model.errors import UNAVAILABLE, Error

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

LIMIT_S: Final = 20.0
"""Seconds that a search may take: a request may be lost for good."""
REST: Final = 20
"""A search is followed by a rest of this many times its duration, so that searches take 5 % of the time at most."""
KEPT: Final = 50


class _Found(Generic[T]):
    """:ivar at: when the last search began, by `time.monotonic`.
    :ivar took: how many seconds it took."""

    def __init__(self) -> None:
        self.value: T | None = None
        self.error: Error | None = None
        self.at, self.took = float("-inf"), 0.0
        self.job: Job[None] | None = None


class Shared(Generic[K, T]):
    """:param find: the search; called with a key.
    :param what: the name of the job in the log.
    :param rest: see `REST`.
    """

    def __init__(self, jobs: Jobs, find: Callable[[K], Awaitable[T]], what: str, rest: float = REST) -> None:
        self._jobs, self._find, self._what, self._rest = jobs, find, what, rest
        self._found: OrderedDict[K, _Found[T]] = OrderedDict()

    def known(self, key: K) -> T | None:
        """Return the last result, if there is one."""
        found = self._found.get(key)
        return None if found is None else found.value

    async def get(self, key: K, patience_s: float, fresh_s: float = 0.0) -> T | None:
        """Return the result for a key; None if there is none yet.

        :param patience_s: seconds to wait for a search that is under way.
        :param fresh_s: seconds that a result may be old, even if another search would cost little.
        :raises Error: the error of the last search.
        """
        found = self._found.setdefault(key, _Found())
        self._found.move_to_end(key)
        while len(self._found) > KEPT:
            self._found.popitem(last=False)
        if found.job is None and time.monotonic() - found.at >= max(fresh_s, self._rest * found.took):
            found.job = self._jobs.start(self._search(key, found), self._what)
        if found.job is not None and (found.value is None or found.took < patience_s):
            await asyncio.wait({found.job.task}, timeout=patience_s)
        if found.error is not None:
            raise found.error
        return found.value

    async def _search(self, key: K, found: _Found[T]) -> None:
        found.at = time.monotonic()
        try:
            with fail_after(LIMIT_S):
                found.value, found.error = await self._find(key), None
        except TimeoutError:
            found.error = Error(f"the backend has not told {self._what} within {LIMIT_S:g} s", UNAVAILABLE)
        except Error as error:
            found.error = error
        finally:
            found.took = time.monotonic() - found.at
            found.job = None
