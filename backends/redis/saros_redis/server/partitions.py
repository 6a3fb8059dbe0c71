"""Partitions: where the scripts run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from saros.model.errors import Error

from .. import errors
from ..keys import Keys
from .client import Client
from .server_clock import Steady


class Partitions:
    """Runs scripts and reads keys of partitions.

    :param patience: how long a worker tries, in seconds, to store its results: as long as its lease.
    :ivar steady: the estimate of each partition's steady clock.
    """

    def __init__(self, client: Client, keys: Keys, patience: float) -> None:
        self.keys = keys
        self.patience = patience
        self.steady = [Steady() for _ in keys.tags]
        self._client = client

    async def run(self, name: str, partition: int, args: Sequence[Any], patience: float = 3.0) -> Any:
        """Run a script on a partition.

        :param patience: for how many seconds to retry while the server is unavailable.
        :raises Error: UNAVAILABLE.
        """
        known = self.steady[partition].known()
        return await self._client.run(name, self.keys.tags[partition], args, patience, known)

    async def read(self, partition: int, kind: str, command: str, key: str, *args: Any) -> Any:
        """Run a command that reads a key. A key of another type than `kind` (such as ``hash``) is set aside first.

        :raises Error: UNAVAILABLE.
        """
        try:
            return await self._client.command(command, key, *args)
        except Error as error:
            if error.__cause__ is None or not errors.is_wrong_type(error.__cause__):
                raise
        await self.run("mend", partition, [key, kind])
        return await self._client.command(command, key, *args)
