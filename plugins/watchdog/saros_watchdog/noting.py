"""A process that has the backend record a blocked worker, and prints one sentence about what happens next.

`saros_watchdog.watching` starts it with JSON on stdin, because the watching process must not load the backend itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from saros.app.loading import load_app
from saros.app.plugins import installed
from saros.model.text import cut, one_line


async def noted(given: dict[str, Any]) -> str:
    """Open the backend as the worker did, have it record the blocking execution, and return its sentence."""
    plugins = installed()
    backend = plugins.backend(given["url"]).make(given["url"], given["options"])
    await backend.open(load_app(given["app"], plugins, given["env"]))
    try:
        return await backend.noted(given["note"].encode(), given["problem"])
    finally:
        await backend.close()


def main() -> None:
    try:
        print(asyncio.run(noted(json.load(sys.stdin))))
    except Exception as exc:  # the worker is killed in any case
        print(one_line(cut(f"The backend could not record it: {type(exc).__name__}: {exc}")))
    sys.stdout.flush()
    os._exit(0)  # the worker waits for this exit, and there is nothing to clean up


if __name__ == "__main__":
    main()
