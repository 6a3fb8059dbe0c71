"""Host side of crypto.jwt: JSON web tokens (arguments are checked in Lua)."""

from __future__ import annotations

import base64
import binascii
import functools
import hmac
from typing import Any, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import InvalidKeyError
from jwt.utils import der_to_raw_signature

from saros.model.errors import INTERNAL, INVALID, Error

from .hash import keyed_digest

_ALGORITHMS: Final[dict[str, Any]] = get_default_algorithms()
_DIGESTS: Final = {"HS256": b"sha256", "HS384": b"sha384", "HS512": b"sha512"}
_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1"}
_RSA_BITS: Final = (2048, 8192)  # RFC 7518 requires the least; the most takes some 50 ms


def sign(algorithm: bytes, key: bytes, header: bytes, claims: bytes) -> bytes:
    """Return the token of a header and claims, both JSON texts. The same arguments give the same token.

    :raises Error: INVALID, not retryable, when the key does not fit the algorithm.
    """
    name = algorithm.decode()
    signed = _to_base64url(header) + b"." + _to_base64url(claims)
    return signed + b"." + _to_base64url(_signature(name, key, signed))


def open_token(algorithm: bytes, key: bytes, token: bytes) -> bytes:
    """Return the claims of a token as JSON text.

    :raises Error: INTERNAL, not retryable, when it is not a token, is signed by another algorithm (``none``
        included) or key, or has header fields that may not be ignored; INVALID when the key does not fit the
        algorithm.
    """
    name = algorithm.decode()
    prepared = _prepared(name, key)
    signed, _, signature = token.rpartition(b".")
    head, _, body = signed.partition(b".")
    try:
        header = msgspec.json.decode(_from_base64url(head), type=dict[str, msgspec.Raw])
        claims = _from_base64url(body)
        given = _from_base64url(signature)
        alg = msgspec.json.decode(header.get("alg", b"null"))
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _refused(f"is malformed: {exc}") from exc
    if alg != name:
        raise _refused(f"is signed with {alg}, not with {name}")
    if "crit" in header:
        raise _refused("has critical header fields, which are not supported")
    if name in _DIGESTS:
        right = hmac.compare_digest(given, keyed_digest(_DIGESTS[name], signed, key, True))
    else:
        private = isinstance(prepared, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey))
        right = _ALGORITHMS[name].verify(signed, prepared.public_key() if private else prepared, given)
    if not right:
        raise _refused("has a wrong signature")
    try:
        msgspec.json.decode(claims, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _refused(f"has claims that are not a JSON object: {exc}") from exc
    return claims


def _signature(name: str, key: bytes, signed: bytes) -> bytes:
    prepared = _prepared(name, key)
    if name in _DIGESTS:
        return keyed_digest(_DIGESTS[name], signed, key, True)
    if not isinstance(prepared, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise _unfit(name, "signing needs the private key, and this is the public one")
    if isinstance(prepared, rsa.RSAPrivateKey):
        made: bytes = _ALGORITHMS[name].sign(signed, prepared)
        return made
    digest = _ALGORITHMS[name].hash_alg()
    try:  # a replay must produce the same signature (RFC 6979); PyJWT draws a random number for each signature
        der = prepared.sign(signed, ec.ECDSA(digest, deterministic_signing=True))
    except UnsupportedAlgorithm as exc:
        raise _unfit(name, "this build of the library cryptography has an OpenSSL older than 3.2") from exc
    return der_to_raw_signature(der, prepared.curve)


@functools.lru_cache(maxsize=16)
def _prepared(name: str, key: bytes) -> Any:
    """Return the key object of a PEM text; for HS algorithms the key itself, unless it is a PEM text.

    With a public key as the secret of HS256, everybody could sign.
    """
    try:
        prepared = _ALGORITHMS[name].prepare_key(key)
    except (InvalidKeyError, ValueError, TypeError, UnsupportedAlgorithm):
        if name in _DIGESTS:
            raise _unfit(
                name, "it needs a secret that both sides share, and this is a key of a key pair"
            ) from None
        kind = "an RSA" if name.startswith("RS") else "an elliptic curve"
        raise _unfit(name, f"it needs the PEM text of {kind} key, without a password") from None
    if name.startswith("RS"):
        least, most = _RSA_BITS
        if not least <= prepared.key_size <= most:
            raise _unfit(name, f"an RSA key has {least} to {most} bits, and this has {prepared.key_size}")
    elif name in _CURVES and prepared.curve.name != _CURVES[name]:
        raise _unfit(name, f"its curve is {_CURVES[name]}, not {prepared.curve.name}")
    return prepared


def _unfit(name: str, why: str) -> Error:
    return Error(f"crypto.jwt: the key does not fit {name}: {why}", INVALID, retryable=False)


def _refused(why: str) -> Error:
    return Error(f"crypto.jwt.verify: the token {why}", INTERNAL, retryable=False)


def _to_base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _from_base64url(text: bytes) -> bytes:
    if b"=" in text or b"+" in text or b"/" in text:
        raise binascii.Error("a part is not base64url without padding")
    text = text.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (-len(text) % 4)
    return binascii.a2b_base64(text, strict_mode=True)
