"""The reason of a cancel request has room for one text, which also tells who asked: ``why [by pid]``."""

from __future__ import annotations

import re

_BY = re.compile(r"\s?\[by ([^\]]+)\]$")


def write_reason(sender: str, reason: str) -> str:
    return f"{reason} [by {sender}]".strip() if sender else reason


def read_reason(text: str) -> tuple[str, str]:
    """The sender and the reason."""
    found = _BY.search(text)
    return (found.group(1), text[: found.start()]) if found else ("", text)
