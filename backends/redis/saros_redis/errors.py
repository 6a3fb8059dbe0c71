"""Errors of the server and of connecting to it, each as one sentence that says what to do."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import redis

from saros.model.errors import INTERNAL, PERMISSION_DENIED, UNAVAILABLE, Error

from .options import Options

_CERTIFICATE = (
    "if it requires a TLS certificate of the client:  tls_cert=/path/client.pem&tls_key=/path/client.key"
)
_SIGNED = "tls_cert must be signed by an authority of the server's tls-ca-cert-file"
_CLOSED = {  # TLS 1.3 refuses a client after its handshake, and the reason often gets lost
    (False, False): "use rediss:// in the URL if the port has TLS; otherwise look at the server's log",
    (True, False): _CERTIFICATE,
    (True, True): _SIGNED,
}
_NAME = {62: "name", 64: "address"}  # of OpenSSL's codes for a mismatch
_EXPIRED = 10


def unavailable(options: Options, cause: BaseException, opening: bool = False) -> Error:
    """Return the error for a server that cannot be reached, or that cannot work at the moment.

    :param opening: the first contact, when the URL may be wrong.
    """
    where = options.socket or ", ".join(f"{host}:{port}" for host, port in options.hosts)
    error = _tls(options, where, cause) or _topology(options, where, cause) or _state(where, cause)
    if error is not None:
        return error
    reason = str(cause) or ("no answer in time" if isinstance(cause, TimeoutError) else type(cause).__name__)
    if opening and _is_closed(cause):
        return _away(f"Redis at {where} closes the connection", _CLOSED[options.tls, bool(options.tls_cert)])
    return Error(
        f"cannot reach Redis at {where}: {reason}",
        UNAVAILABLE,
        hint="check that the server runs and that the URL is right",
    )


def full(options: Options, cause: BaseException) -> Error:
    return Error(
        f"Redis at {options.url} is out of memory: {cause}",
        UNAVAILABLE,
        hint="raise maxmemory, or shorten the retention of closed workflows",
    )


def _topology(options: Options, where: str, cause: BaseException) -> Error | None:
    text = str(cause)
    if "luster mode is not enabled" in text:
        return _away(f"Redis at {where} is not a cluster", "leave cluster=true out of the URL")
    if "No master found for" not in text:  # redis-py has two classes of this name
        return None
    if "AuthenticationError" in text or "AuthorizationError" in text:
        return _away(
            f"Sentinel at {where} refuses access",
            "its own user and password are sentinel_username= and sentinel_password=",
        )
    if text.count("Error") >= len(options.hosts):  # the causes are not kept
        return _away(
            f"cannot reach Sentinel at {where}",
            "check that one runs, that the URL is right, and, with rediss://, tls_ca= and tls_cert=",
        )
    return _away(
        f"Sentinel at {where} has no master {options.sentinel!r} that works",
        "compare sentinel= with SENTINEL MASTERS; a failover takes a moment",
    )


def _is_closed(cause: BaseException) -> bool:
    """Return whether the server closed an established connection."""
    ends = (ConnectionResetError, BrokenPipeError)
    return "losed by server" in str(cause) or any(isinstance(each, ends) for each in _chain(cause))


AWAY = ("BUSY ", "LOADING", "MISCONF", "NOREPLICAS", "READONLY")
"""Error replies for conditions that end by themselves. redis-py has no class for some of them, such as those from
within a script. A command with such a reply has changed nothing."""


def answered(options: Options, cause: redis.RedisError) -> Error:
    """Return the error for a server that answers with an error."""
    if is_full(cause):
        return full(options, cause)
    if is_refusal(cause):
        return refused(options, cause)
    return unavailable(options, cause) if is_away(cause) else garbage(options, cause)


def is_away(cause: BaseException) -> bool:
    return any(word in str(cause) for word in AWAY)


def is_wrong_type(cause: BaseException) -> bool:
    return "WRONGTYPE" in str(cause)


def garbage(options: Options, cause: BaseException) -> Error:
    """Return the error for stored data that Saros cannot have written: another program wrote it, or it is damaged."""
    what = "a key has another type than Saros gave it" if is_wrong_type(cause) else str(cause)
    return Error(
        f"Redis at {options.url} holds data that Saros cannot use: {what}",
        INTERNAL,
        retryable=False,
        hint=f"nothing else may write keys that begin with {options.prefix} or {{{options.prefix}",
    )


def is_full(cause: BaseException) -> bool:
    return isinstance(cause, redis.exceptions.OutOfMemoryError) or "OOM" in str(cause)


def refused(options: Options, cause: BaseException) -> Error:
    """Return the error for a user that is unknown to the server or lacks permissions."""
    if not options.password:
        hint = "put user and password into the URL: redis://user:password@host:port"
    elif isinstance(cause, redis.exceptions.AuthenticationError):
        hint = "check user and password in the URL; percent-encode special characters, such as @ as %40"
    else:
        prefix = options.prefix
        hint = (
            f"the documentation of the Redis backend has the ACL line; keys are {prefix}:* and {{{prefix}:*"
        )
    return Error(
        f"Redis at {options.url} refuses access: {cause}", PERMISSION_DENIED, retryable=False, hint=hint
    )


def is_refusal(cause: BaseException) -> bool:
    """Whether the server denied a permission; an error from within a script has no class of its own."""
    text = str(cause)
    return isinstance(cause, redis.exceptions.NoPermissionError) or any(
        words in text for words in ("NOPERM", "ACL failure", "The user executing the script can't")
    )


_STATES = (
    (
        "LOADING",
        "is still loading its data",
        "wait until it has finished; a large append-only file takes minutes",
    ),
    (
        "MISCONF",
        "refuses writes because it cannot save its data to disk",
        "look at the server's log, its disk and the owner of its directory",
    ),
    (
        "NOREPLICAS",
        "refuses writes because fewer replicas are connected than min-replicas-to-write requires",
        "start the replicas",
    ),
    (
        "READONLY",
        "is a replica, which does not accept writes",
        "use the address of the master, or Sentinel",
    ),
    (
        "CLUSTERDOWN",
        "is a cluster that is down because some slots have no master",
        "look at CLUSTER INFO and CLUSTER NODES",
    ),
    (
        "BUSY",
        "is blocked by a script that runs for too long",
        "end it with SCRIPT KILL, unless it is a script of Saros",
    ),
)


def _state(where: str, cause: BaseException) -> Error | None:
    if not isinstance(cause, redis.RedisError):
        return None
    text = str(cause)
    classes = {
        redis.exceptions.BusyLoadingError: "LOADING",
        redis.exceptions.ReadOnlyError: "READONLY",
        redis.exceptions.ClusterDownError: "CLUSTERDOWN",
    }  # redis-py removes the error code if it has a class for it
    word = next((word for kind, word in classes.items() if isinstance(cause, kind)), "")
    for name, what, hint in _STATES:
        if name == word or text.startswith(f"{name} ") or f"-{name} " in text:
            return _away(f"Redis at {where} {what}", hint)
    return None


# --- TLS ------------------------------------------------------------------------------------


def _tls(options: Options, where: str, cause: BaseException) -> Error | None:
    if not options.tls:
        if isinstance(cause, redis.exceptions.InvalidResponse) or "Protocol error, got" in str(cause):
            return _away(
                f"{where} does not speak the protocol of Redis", "for a port with TLS, use rediss://"
            )
        return None
    for each in _chain(cause):
        if isinstance(each, ssl.SSLCertVerificationError):
            return _certificate(where, each)
        if isinstance(each, ssl.SSLError):
            return _handshake(where, each)
    if isinstance(cause, redis.TimeoutError):
        return _away(
            f"cannot reach Redis at {where}: no TLS handshake within 5 seconds",
            "check that the server runs, and that this port has TLS; without TLS the URL begins with redis://",
        )
    return None


def _certificate(where: str, error: ssl.SSLCertVerificationError) -> Error:
    if error.verify_code in _NAME:
        kind = _NAME[error.verify_code]
        return _away(
            f"the TLS certificate of Redis at {where} is not for this {kind}: {error.verify_message}",
            "use a name from the certificate, or have one issued for this name",
        )
    if error.verify_code == _EXPIRED:
        return _away(f"the TLS certificate of Redis at {where} has expired", "renew it on the server")
    return _away(
        f"the TLS certificate of Redis at {where} cannot be trusted: {error.verify_message}",
        "name the file of the authority that signed it: tls_ca=/path/to/ca.pem",
    )


def _handshake(where: str, error: ssl.SSLError) -> Error:
    reason = (error.reason or str(error)).upper()
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return _away(
            f"Redis at {where} requires a TLS certificate of the client",
            _CERTIFICATE,
        )
    if "ALERT" in reason and ("UNKNOWN_CA" in reason or "CERTIFICATE" in reason):
        return _away(
            f"Redis at {where} does not trust the client's TLS certificate: {_words(reason)}",
            _SIGNED,
        )
    if any(word in reason for word in ("WRONG_VERSION_NUMBER", "RECORD_LAYER", "UNEXPECTED_EOF")):
        return _away(
            f"{where} does not speak TLS",
            "without TLS the URL begins with redis://, not rediss://",
        )
    return _away(
        f"cannot reach Redis at {where}: TLS fails: {_words(reason)}",
        "compare the TLS settings of the server with the URL",
    )


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")


def _away(message: str, hint: str) -> Error:
    return Error(message, UNAVAILABLE, hint=hint)


def _chain(cause: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = cause
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
