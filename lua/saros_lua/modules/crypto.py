"""Host side of the crypto module: ciphers, key derivation (arguments are checked in Lua)."""

from __future__ import annotations

import functools
import hashlib
import hmac
from typing import Any, Final

import anyio.to_thread
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from saros.interfaces.module import HostFunction
from saros.model.errors import INTERNAL, INVALID, Error

from .hash import keyed_digest

# The worker's other programs wait meanwhile: these rounds take some 50 ms. More rounds run in a thread.
MAX_ROUNDS: Final = {"sha256": 100_000, "sha512": 50_000}
MAX_THREAD_ROUNDS: Final = 1_000_000
_DIGEST_SIZES: Final = {"sha256": 32, "sha512": 64}


def encrypt(cipher: bytes, key: bytes, nonce: bytes, data: bytes, aad: bytes) -> bytes:
    """Return nonce, ciphertext and tag in one."""
    return nonce + _cipher(cipher, key).encrypt(nonce, data, aad)


def decrypt(cipher: bytes, key: bytes, nonce: bytes, data: bytes, aad: bytes) -> bytes:
    """Return the plaintext.

    :raises Error: INTERNAL, not retryable, when any part differs from those of `encrypt`.
    """
    try:
        return _cipher(cipher, key).decrypt(nonce, data, aad)
    except (InvalidTag, ValueError) as exc:  # ValueError: too short to hold a nonce
        message = "decryption failed: the key or aad differs, or the data is damaged"
        raise Error(message, INTERNAL, retryable=False) from exc


def _cipher(name: bytes, key: bytes) -> AESGCM | ChaCha20Poly1305:
    return AESGCM(key) if name == b"aes" else ChaCha20Poly1305(key)


def derive(algorithm: bytes, password: bytes, salt: bytes, iterations: int, length: int) -> bytes:
    """Return a key of `length` bytes (PBKDF2).

    :raises Error: INVALID, not retryable, when it would take more than `MAX_ROUNDS`.
    """
    name = algorithm.decode()
    _check_rounds(
        name, salt, iterations, length, MAX_ROUNDS[name], " in a workflow; call a function for more"
    )
    return hashlib.pbkdf2_hmac(name, password, salt, iterations, length)


async def derive_in_thread(pid: str, args: list[Any]) -> bytes:
    """Do the same in a thread; the arguments are those of `derive`, as values.

    :raises Error: INVALID, not retryable, when it would take more than `MAX_THREAD_ROUNDS`.
    """
    name, password, salt, iterations, length = args
    password, salt = (part.encode() if isinstance(part, str) else part for part in (password, salt))
    _check_rounds(name, salt, iterations, length, MAX_THREAD_ROUNDS, "")
    return await anyio.to_thread.run_sync(
        functools.partial(hashlib.pbkdf2_hmac, name, password, salt, iterations, length)
    )


def _check_rounds(name: str, salt: bytes, iterations: int, length: int, most: int, where: str) -> None:
    size = _DIGEST_SIZES[name]
    rounds = (iterations + len(salt) // (4 * size)) * -(-length // size)  # each block reads the salt anew
    if rounds > most:
        message = (
            f"crypto.pbkdf2: {rounds} rounds ((iterations + length of the salt / {4 * size}) x blocks of the key); "
            f"the limit is {most}{where}"
        )
        raise Error(message, INVALID, retryable=False)


HOST: dict[str, HostFunction] = {
    "crypto_encrypt": encrypt,
    "crypto_decrypt": decrypt,
    "crypto_pbkdf2": derive,
    "crypto_same": hmac.compare_digest,
    "hash_hmac": keyed_digest,
}
SERVICES: Final = {"crypto_pbkdf2": derive_in_thread}
