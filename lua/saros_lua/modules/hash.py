"""Host side of the hash and base64 modules: digests, keyed digests, base64."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from saros.interfaces.module import HostFunction
from saros.model.errors import INVALID, Error

from ..sandbox.vm import MAX_VALUE, too_large


def digest(algorithm: bytes, data: bytes, raw: bool) -> bytes:
    """Return the digest of `data`: bytes when `raw`, else hexadecimal text."""
    made = hashlib.new(algorithm.decode(), data, usedforsecurity=False).digest()
    return made if raw else made.hex().encode()


def keyed_digest(algorithm: bytes, data: bytes, key: bytes, raw: bool) -> bytes:
    """Return the HMAC of `data`: bytes when `raw`, else hexadecimal text."""
    made = hmac.digest(key, data, algorithm.decode())
    return made if raw else made.hex().encode()


def encode_base64(data: bytes) -> bytes:
    """Encode in the standard alphabet, with padding.

    :raises Error: INVALID, not retryable, when Lua cannot hold the result; this takes no time.
    """
    size = 4 * -(-len(data) // 3)
    if size > MAX_VALUE:
        raise too_large(size)
    return base64.b64encode(data)


def decode_base64(text: bytes) -> bytes:
    """Decode a text in the standard alphabet, with padding; line ends are skipped.

    :raises Error: INVALID, not retryable.
    """
    if b"\n" in text or b"\r" in text:
        text = text.translate(None, b"\r\n")
    try:
        if len(text) % 4 or text.endswith(b"==="):  # even the strict mode accepts these
            raise binascii.Error("Incorrect padding")
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as exc:
        raise Error(f"illegal base64 data: {exc}", INVALID, retryable=False) from exc


def derive(secret: bytes, draw: int, count: int) -> bytes:
    """Return `count` bytes of the stream of a secret: HMAC-SHA-512 of the numbers of the draw and the block.

    Without the secret, nobody can predict them, or derive others from them.
    """
    blocks = range(-(-count // 64))
    return b"".join([hmac.digest(secret, b"%d.%d" % (draw, block), "sha512") for block in blocks])[:count]


HOST: dict[str, HostFunction] = {
    "hash_digest": digest,
    "hash_hmac": keyed_digest,
    "base64_encode": encode_base64,
    "base64_decode": decode_base64,
}
