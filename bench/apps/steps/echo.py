"""An activity that does nothing."""

from typing import Any


async def echo(value: Any) -> Any:
    return value
