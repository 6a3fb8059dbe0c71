"""Host side of the env module."""

from __future__ import annotations

import os

from saros.errors import NOT_FOUND, Error
from saros.modules import HostFunction


def get(name: bytes) -> bytes:
    """Return a variable of the process environment.

    :raises Error: NOT_FOUND, not retryable.
    """
    value = os.environb.get(name)
    if value is None:
        message = f"the environment has no variable {name.decode(errors='replace')}"
        raise Error(message, NOT_FOUND, retryable=False)
    return value


HOST: dict[str, HostFunction] = {"env_get": get}
