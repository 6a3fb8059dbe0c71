"""Content negotiation: the quality values of Accept headers (RFC 9110, 12.4 and 12.5)."""

from __future__ import annotations

import re
from typing import Final

_WEIGHT: Final = re.compile(r"(?:^|;)\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)", re.IGNORECASE)
_ANY_WEIGHT: Final = re.compile(r"(?:^|;)\s*q\s*=", re.IGNORECASE)


def weights(header: str) -> dict[str, float]:
    """Return the names in a header's list, in lower case, with their weights; 0 means not acceptable.

    A name with a malformed weight is not acceptable.
    """
    result: dict[str, float] = {}
    for part in header.split(","):
        name, _, parameters = part.strip().partition(";")
        found = _WEIGHT.search(parameters)
        weight = float(found[1]) if found else 0.0 if _ANY_WEIGHT.search(parameters) else 1.0
        if name.strip():
            result[name.strip().lower()] = weight
    return result


def takes_gzip(header: str | None) -> bool:
    """Return whether a client with this Accept-Encoding header prefers gzip."""
    if not header:
        return False
    wanted = weights(header)
    others = wanted.get("*", 0.0)
    gzip = wanted.get("gzip", wanted.get("x-gzip", others))
    return gzip > 0 and gzip >= wanted.get("identity", 0.0)
