"""A thread that renews something by a script, four times in a lease.

It has a connection of its own, for code that blocks the event loop must not cost a lease.
"""

from __future__ import annotations

import abc
import logging
import threading
from typing import Any

import redis

from saros.model.errors import Error

from . import codec, problems
from .client import BUSY, LOST
from .options import Options
from .scripts import script

log = logging.getLogger("saros.redis")


class Beat(abc.ABC):
    """:param name: of the thread.
    :param what: is renewed, as the log says it.
    :param client: a blocking redis-py client of its own.
    """

    def __init__(self, name: str, what: str, client: Any, options: Options) -> None:
        self._what = what
        self._client = client
        self._options = options
        self._pause = options.lease / 4
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing; returns when the thread has ended or is stuck in a call to the server."""
        self._stop.set()
        self._thread.join(1.0)

    @abc.abstractmethod
    def renew(self) -> None:
        """Renew once."""

    def evaluate(self, name: str, tag: str, args: list[Any]) -> Any:
        """Run a script, which the server may have forgotten."""
        found, blob = script(name), codec.pack_args(args)
        try:
            return self._client.execute_command("EVALSHA", found.sha, 1, tag, blob)
        except redis.exceptions.NoScriptError:
            return self._client.execute_command("EVAL", found.text, 1, tag, blob)

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                self.renew()
            except (redis.RedisError, *LOST, *BUSY) as exc:  # the thread must not end
                log.warning("%s could not be renewed: %s", self._what, self._told(exc))
        self._client.close()

    def _told(self, exc: Exception) -> Error:
        if isinstance(exc, (*LOST, *BUSY)) or not isinstance(exc, redis.RedisError):
            return problems.unavailable(self._options, exc)
        return problems.answered(self._options, exc)
