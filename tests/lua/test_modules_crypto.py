"""The modules hash and crypto."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

NOW = 1_700_000_000_000_000_000
SECONDS = NOW // 10**9
BYTES = bytes(range(256))
LUA_BYTES = """(function()
  local t = {}
  for i = 0, 255 do t[#t + 1] = string.char(i) end
  return table.concat(t)
end)()"""


# hash ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha512"])
def test_digests_agree_with_the_standard(run, name):
    h = f"require('hash').{name}"
    assert run(f"return {{{h}(''), {h}('größe')}}") == [
        hashlib.new(name, b"").hexdigest(),
        hashlib.new(name, "größe".encode()).hexdigest(),
    ]
    assert run(f"return {h}({LUA_BYTES}, true)") == hashlib.new(name, BYTES).digest()


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha512"])
def test_keyed_digests_agree_with_the_standard(run, name):
    h = f"require('hash').hmac_{name}"
    assert run(f"return {{{h}('data', 'key'), {h}('data', '')}}") == [
        hmac.new(b"key", b"data", name).hexdigest(),
        hmac.new(b"", b"data", name).hexdigest(),
    ]
    assert run(f"return {h}('data', {LUA_BYTES}, true)") == hmac.digest(BYTES, b"data", name)


def test_fnv_1a(run):
    # The reference vectors of the algorithm's authors.
    assert run("local f = require('hash').fnv32 return {f(''), f('a'), f('foobar')}") == [
        0x811C9DC5, 0xE40C292C, 0xBF9CF968,
    ]  # fmt: skip
    assert run("local f = require('hash').fnv64 return {f(''), f('a'), f('foobar')}") == [
        signed(0xCBF29CE484222325), signed(0xAF63DC4C8601EC8C), signed(0x85944171F73967E8),
    ]  # fmt: skip


def signed(number):
    return number - 2**64 if number >= 2**63 else number


@pytest.mark.parametrize(
    "call", ["md5()", "sha1(7)", "sha256({})", "hmac_sha512('d')", "hmac_md5(7, 'k')", "fnv32()", "fnv64({})"]
)
def test_hash_wants_texts(failure, call):
    kind, retryable, message = failure(f"require('hash').{call}")
    assert (kind, retryable) == ("Invalid", False)
    assert message.startswith("hash." + call.split("(")[0])


# random ----------------------------------------------------------------------------------------------


def test_random_bytes_and_texts(run):
    code = """
      local r = require("crypto").random
      local drawn = {r.bytes(1), r.bytes(33), r.string(40), r.string(500, "ab"), r.string(20, "x")}
      return {#drawn[1], #drawn[2], drawn[3], drawn[4], drawn[5]}
    """
    one, many, text, ab, same = run(code)
    assert (one, many, same) == (1, 33, "x" * 20)
    assert len(text) == 40
    assert text.isascii()
    assert text.isalnum()
    assert len(ab) == 500
    assert set(ab) == {"a", "b"}


def test_random_values_follow_the_secret_of_the_run(run):
    code = 'local r = require("crypto").random return {r.string(16), r.uuid(), r.bytes(16)}'
    assert run(code, workflow=True, secret="a") == run(code, workflow=True, secret="a")
    assert run(code, workflow=True, secret="a") != run(code, workflow=True, secret="b")
    assert uuid.UUID(run(code)[1]).version == 4


@pytest.mark.parametrize(
    "call",
    [
        "bytes(0)", "bytes(-1)", "bytes(1048577)", "bytes(1.5)", "bytes()", "bytes('8')", "string(0)",
        "string(2^40)", "string(8, '')", "string(8, 7)", "string(8, 'é')", "string(8, ('a'):rep(257))",
    ],
)  # fmt: skip
def test_random_lengths_and_charsets_are_bounded(failure, call):
    assert failure(f"require('crypto').random.{call}")[:2] == ("Invalid", False)


# keyed digests, comparison, key derivation -----------------------------------------------------------


@pytest.mark.parametrize("name", ["sha256", "sha512"])
def test_hmac_takes_the_key_first(run, name):
    made = run(f"return require('crypto').hmac.{name}('key', 'data')")
    assert made == hmac.new(b"key", b"data", name).hexdigest()


@pytest.mark.parametrize("call", ["sha256('', 'd')", "sha512('k')", "sha256(7, 'd')"])
def test_hmac_wants_a_key(failure, call):
    assert failure(f"require('crypto').hmac.{call}")[:2] == ("Invalid", False)


def test_constant_time_compare(run, failure):
    code = """
      local same = require("crypto").constant_time_compare
      return {same("a", "a"), same("a", "b"), same("a", "ab"), same("", "")}
    """
    assert run(code) == [True, False, False, True]
    assert failure("require('crypto').constant_time_compare('a')")[0] == "Invalid"


def test_pbkdf2_agrees_with_the_standard(run):
    code = """
      local derive = require("crypto").pbkdf2
      return {(derive("pw", "salt", 1000, 32)), (derive("pw", "salt", 10, 100, "sha512"))}
    """
    assert run(code) == [
        hashlib.pbkdf2_hmac("sha256", b"pw", b"salt", 1000, 32),
        hashlib.pbkdf2_hmac("sha512", b"pw", b"salt", 10, 100),
    ]


@pytest.mark.parametrize(
    "args",
    [
        "'', 's', 10, 32", "'p', '', 10, 32", "'p', 's', 0, 32", "'p', 's', 10, 0", "'p', 's', 1.5, 32",
        "'p', 's', 10, 32, 'md5'", "'p', 's', 1000001, 32", "'p', 's', 500001, 33", "'p', 's', 1, 64000001",
        "'p', 's'",
    ],
)  # fmt: skip
def test_pbkdf2_is_bounded(failure, args):
    assert failure(f"require('crypto').pbkdf2({args})")[:2] == ("Invalid", False)


# ciphers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cipher", "size"), [("aes", 16), ("aes", 24), ("aes", 32), ("chacha20", 32)])
def test_ciphers_round_trip_and_put_the_nonce_first(run, cipher, size):
    key = "k" * size
    code = f"""
      local c, key = require("crypto"), ...
      local sealed = c.encrypt.{cipher}({LUA_BYTES}, key, "aad")
      local empty = c.encrypt.{cipher}("", key)
      return {{sealed, (c.decrypt.{cipher}(sealed, key, "aad")), (c.decrypt.{cipher}(empty, key))}}
    """
    sealed, opened, empty = run(code, key)
    assert opened == BYTES
    assert empty == ""
    peer = AESGCM(key.encode()) if cipher == "aes" else ChaCha20Poly1305(key.encode())
    assert peer.decrypt(sealed[:12], sealed[12:], b"aad") == BYTES


def test_every_encryption_has_its_own_nonce_and_replays_the_same(run):
    code = "local e = require('crypto').encrypt.aes return {e('x', ('k'):rep(16)), e('x', ('k'):rep(16))}"
    first = run(code, workflow=True, secret="a")
    assert first[0] != first[1]
    assert run(code, workflow=True, secret="a") == first


@pytest.mark.parametrize("cipher", ["aes", "chacha20"])
@pytest.mark.parametrize(
    "args",
    [
        "sealed, ('o'):rep(32), 'aad'",
        "sealed, key, 'bad'",
        "sealed, key",
        "sealed:sub(1, -2), key, 'aad'",
        "sealed:sub(1, 20), key, 'aad'",
        "'short', key",
        "'', key",
    ],
)
def test_failed_decryption_is_internal(failure, cipher, args):
    kind, retryable, message = failure(f"""(function()
      local crypto, key = require("crypto"), ("k"):rep(32)
      local sealed = crypto.encrypt.{cipher}("text", key, "aad")
      return crypto.decrypt.{cipher}({args})
    end)()""")
    assert (kind, retryable) == ("Internal", False)
    assert "decryption failed" in message


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("encrypt.aes('t', 'short')", "16, 24 or 32 bytes, not 5"),
        ("decrypt.aes('t', '')", "empty"),
        ("encrypt.chacha20('t', ('k'):rep(16))", "32 bytes, not 16"),
        ("encrypt.aes(nil, ('k'):rep(16))", "data must be a text"),
        ("encrypt.aes('t', 7)", "key must be a text"),
        ("decrypt.chacha20('t', ('k'):rep(32), {})", "aad must be a text"),
    ],
)
def test_wrong_sizes_and_types_are_invalid(failure, call, text):
    kind, retryable, message = failure("require('crypto')." + call)
    assert (kind, retryable) == ("Invalid", False)
    assert text in message


# JSON web tokens -------------------------------------------------------------------------------------


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(claims, key=b"secret", header=None, digest="sha256"):
    header = {"alg": "HS256", "typ": "JWT"} if header is None else header
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = part(json.dumps(header).encode()) + b"." + part(body)
    return (signed + b"." + part(hmac.digest(key, signed, digest))).decode()


@pytest.mark.parametrize(("alg", "digest"), [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")])
def test_tokens_are_what_others_read(run, alg, digest):
    claims = "{sub = 'u1', n = 3, _header = {kid = 'k1', alg = 'none'}}"
    code = f"return require('crypto').jwt.encode({claims}, 'secret', '{alg}')"
    head, body, signature = run(code).encode().split(b".")
    assert json.loads(base64.urlsafe_b64decode(head + b"==")) == {"alg": alg, "typ": "JWT", "kid": "k1"}
    assert json.loads(base64.urlsafe_b64decode(body + b"==")) == {"sub": "u1", "n": 3}
    assert signature == part(hmac.digest(b"secret", head + b"." + body, digest))


def test_tokens_of_others_are_read(run):
    claims = {"sub": "größe", "exp": SECONDS + 1, "nbf": SECONDS, "roles": ["a", "b"]}
    assert run("return require('crypto').jwt.verify(..., 'secret')", token(claims), now=NOW) == claims
    made = token({"a": 1}, header={"alg": "HS512"}, digest="sha512")
    assert run("return require('crypto').jwt.verify(..., 'secret', 'HS512')", made) == {"a": 1}


def test_claims_without_fields_are_an_object(run):
    made = run("return require('crypto').jwt.encode({}, 'secret')")
    assert base64.urlsafe_b64decode(made.split(".")[1] + "==") == b"{}"


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (token({"a": 1}, key=b"other"), "wrong signature"),
        (token({"a": 1})[:-2] + "AA", "wrong signature"),
        (token({"a": 1}, header={"alg": "none"}), "signed with none, not with HS256"),
        (token({"a": 1}, header={"alg": "HS512"}, digest="sha512"), "signed with HS512"),
        (token({"a": 1}, header={}), "signed with None"),
        (token({"a": 1}, header={"alg": "HS256", "crit": ["b64"]}), "critical"),
        (token({"a": 1}, header=["HS256"]), "malformed"),
        (token(b"[1]"), "not a JSON object"),
        (token(b"\xff"), "not a JSON object"),
        (token({"a": 1}) + "==", "malformed"),
        ("invalid.token.here", "malformed"),
        ("abc", "malformed"),
        (token({"exp": SECONDS}), "expired"),
        (token({"exp": "soon"}), "exp is not a number"),
        (token({"nbf": SECONDS + 1}), "not valid yet"),
        (token({"nbf": {}}), "nbf is not a number"),
    ],
)
def test_bad_tokens_are_internal(failure, made, text):
    kind, retryable, message = failure("require('crypto').jwt.verify(..., 'secret')", made, now=NOW)
    assert (kind, retryable) == ("Internal", False)
    assert text in message


def test_the_times_of_a_token_may_be_left_unchecked(run):
    made = token({"exp": 1})
    assert run("return require('crypto').jwt.verify(..., 'secret', 'HS256', false)", made, now=NOW) == {
        "exp": 1
    }


@pytest.mark.parametrize(
    "call",
    [
        "encode('x', 'k')", "encode({}, '')", "encode({}, nil)", "encode({}, 'k', 'none')",
        "encode({}, 'k', 'RS256')", "encode({}, 'k', 'EdDSA')", "encode({1, 2}, 'k')", "encode({_header = 7}, 'k')",
        "encode({_header = {'a'}}, 'k')", "verify('', 'k')", "verify(nil, 'k')", "verify('a.b.c', '')",
        "verify('a.b.c', 'k', 'none')",
    ],
)  # fmt: skip
def test_bad_token_arguments_are_invalid(failure, call):
    assert failure(f"require('crypto').jwt.{call}")[:2] == ("Invalid", False)


def pem(key):
    """Private and public key as texts."""
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


RSA = rsa.generate_private_key(65537, 2048)
EC = {"ES256": ec.generate_private_key(ec.SECP256R1()), "ES384": ec.generate_private_key(ec.SECP384R1())}
KEYS = {"RS256": RSA, "RS384": RSA, "RS512": RSA, **EC}
SIGN = "require('crypto').jwt.encode(table.unpack(...))"
VERIFY = "require('crypto').jwt.verify(table.unpack(...))"


@pytest.mark.parametrize("alg", KEYS)
def test_tokens_of_key_pairs(run, alg):
    """They are what another library reads and writes, and the same arguments give the same token."""
    private, public = pem(KEYS[alg])
    made = run(f"return {SIGN}", [{"sub": "u1"}, private, alg])
    assert jwt.decode(made, public, algorithms=[alg]) == {"sub": "u1"}
    assert run(f"return {SIGN}", [{"sub": "u1"}, private, alg]) == made
    for key in (public, private):
        assert run(f"return {VERIFY}", [jwt.encode({"n": 1}, private, alg), key, alg]) == {"n": 1}


@pytest.mark.parametrize("alg", KEYS)
def test_tokens_of_other_key_pairs_are_refused(run, failure, alg):
    private, public = pem(KEYS[alg])
    head, body, signature = run(f"return {SIGN}", [{"sub": "u1"}, private, alg]).split(".")
    other = part(b'{"sub":"u2"}').decode()
    forged = token({"a": 1}, key=public.encode())  # HS256 with what everybody knows
    unsigned = part(b'{"alg":"none"}').decode() + "." + body + "."
    for made in (f"{head}.{other}.{signature}", f"{head}.{body}.AAAA", f"{head}.{body}.", forged, unsigned):
        assert failure(VERIFY, [made, public, alg])[0] == "Internal"


def test_keys_and_algorithms_are_checked_against_each_other(failure):
    private, public = pem(RSA)
    small = pem(rsa.generate_private_key(65537, 1024))[0]
    locked = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
    wrong = [
        (public, "RS256"), (small, "RS256"), (locked, "RS256"), ("secret", "RS256"), (private, "ES256"),
        (pem(EC["ES256"])[0], "RS256"), (pem(EC["ES256"])[0], "ES384"), (pem(EC["ES384"])[0], "ES256"),
        (pem(EC["ES256"])[1], "ES256"), (public, "HS256"), (private, "HS512"), (private, "none"),
    ]  # fmt: skip
    for key, alg in wrong:
        kind, retryable, message = failure(SIGN, [{}, key, alg])
        assert (kind, retryable) == ("Invalid", False), (alg, message)
        assert key not in message
    for key, alg in wrong[1:]:
        if (key, alg) != (pem(EC["ES256"])[1], "ES256"):
            assert failure(VERIFY, ["a.b.c", key, alg])[0] == "Invalid"
