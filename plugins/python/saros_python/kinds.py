"""The kind ``function.python``."""

from __future__ import annotations

from typing import Final

from saros.entries import ACTIVITY_META, POOL, Kind, Text

FUNCTION_PYTHON: Final = Kind(
    "function.python",
    role="function",
    runtime="python",
    doc="A function or activity in Python, which does real I/O.",
    fields={
        "call": Text(
            pattern=r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*",
            form='"package.module:callable"',
            required=True,
            doc="The callable, sync or async; modules of the app directory take precedence.",
        ),
        "pool": POOL,
        "meta": ACTIVITY_META,
    },
)
