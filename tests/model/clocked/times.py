"""Functions that take time, measured by the monotonic clock."""

import asyncio
import time

import saros

_attempts: dict[str, list[tuple[int, int]]] = {}
_falls: list[int] = []


def now() -> int:
    return time.monotonic_ns()


async def flaky(key: str, failures: int) -> list[float]:
    """Fail this many times, then return the waits between the attempts, in milliseconds."""
    begun = time.monotonic_ns()
    known = _attempts.setdefault(key, [])
    if len(known) < failures:
        known.append((begun, time.monotonic_ns()))
        raise saros.Error("busy", "Unavailable", retryable=True)
    ends = [end for _, end in known]
    begins = [*(begin for begin, _ in known[1:]), begun]
    return [(begin - end) / 1e6 for end, begin in zip(ends, begins, strict=True)]


async def hangs() -> None:
    await asyncio.sleep(3_600)


def fall() -> None:
    _falls.append(time.monotonic_ns())


def falls() -> list[int]:
    return _falls
