"""Addresses of clients, as connections and proxies write them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from ..problem import Scope

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address_of(text: str) -> Address | None:
    """Parse an address as proxies write it, with a port or brackets, or IPv4 within IPv6; None if it is not valid."""
    text = text.strip().strip('"')
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::\d+)?", text)
    if bracketed:
        text = bracketed[1]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def origin_of(scope: Scope, name: bytes, is_trusted: Callable[[Address], bool]) -> Address | None:
    """Return the rightmost address that is not a trusted proxy: anybody may have written those to its left.

    If all are trusted proxies, return the first one.
    """
    hops: list[str] = [
        hop for key, value in scope["headers"] if key == name for hop in value.decode("latin-1").split(",")
    ]
    origin: Address | None = None
    for hop in reversed(hops):
        address = _forwarded(hop) if name == b"forwarded" else address_of(hop)
        if address is None:
            return origin
        origin = address
        if not is_trusted(address):
            break
    return origin


def _forwarded(hop: str) -> Address | None:
    """Return the address in one element of a Forwarded header (RFC 7239)."""
    for pair in hop.split(";"):
        key, _, value = pair.strip().partition("=")
        if key.lower() == "for":
            return address_of(value)
    return None
