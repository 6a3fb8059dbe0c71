"""The options of a ``redis://`` URL."""

from __future__ import annotations

import difflib
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from saros.entries.durations import parse_duration
from saros.errors import INVALID, Error

DEFAULT_PORT: Final = 6379
CLUSTER_PARTITIONS: Final = 16


class Options(NamedTuple):
    """What a URL says. Times are seconds, sizes bytes."""

    url: str  # without secrets
    hosts: tuple[tuple[str, int], ...]
    db: int = 0
    username: str | None = None
    password: str | None = None
    tls: bool = False
    tls_ca: str | None = None  # files in PEM format
    tls_cert: str | None = None
    tls_key: str | None = None
    prefix: str = "saros"
    partitions: int = 0  # 0: as stored, or the default
    retention: float = 7 * 86_400.0
    lease: float = 10.0
    payload: int = 2_000_000  # of one value that enters a history
    attempts: int = 10  # workers that may be lost in a row with one task
    cluster: bool = False
    sentinel: str = ""  # name of the master that the hosts watch
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    wait: int = 0  # replicas that have a write before it counts
    fsync: bool = False  # a write counts when it is on the disks of the master and of those replicas

    @property
    def default_partitions(self) -> int:
        return CLUSTER_PARTITIONS if self.cluster else 1


def parse(url: str) -> Options:
    """The options of a URL.

    :raises Error: INVALID, naming the option.
    """
    parts = urlsplit(url)
    if "@" not in parts.netloc and "@" in url.partition("?")[0] + parts.fragment:
        raise Error(
            f"a {parts.scheme}:// URL whose user or password has a character with a meaning in URLs",
            INVALID,
            retryable=False,
            hint="write / as %2F, ? as %3F, # as %23 and @ as %40",
        )
    address = parts.netloc.rpartition("@")[2]
    hosts = tuple(_host(f"{parts.scheme}://", text) for text in (address or "localhost").split(","))
    clean = f"{parts.scheme}://{','.join(f'{host}:{port}' for host, port in hosts)}"
    path = parts.path.strip("/")
    if path.isdigit():
        clean += parts.path
    elif path:
        raise _bad(clean, "the database is no number")
    credentials = parts.netloc.rpartition("@")[0]
    user, _, password = credentials.partition(":")
    query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
    changes: dict[str, Any] = {name: _value(clean, name, text) for name, text in query.items()}
    options = Options(
        clean,
        hosts,
        int(path or 0),
        unquote(user) or None,
        unquote(password) or None,
        parts.scheme == "rediss",
    )
    options = options._replace(**changes)
    _check(options)
    return options


def _check(options: Options) -> None:
    """What does not go together."""
    clean = options.url
    if options.cluster and (options.wait or options.fsync or options.sentinel or options.db):
        raise _bad(clean, "a cluster has no database numbers, no sentinel=, no wait= and no fsync=")
    if len(options.hosts) > 1 and not (options.cluster or options.sentinel):
        raise _bad(clean, "several hosts need cluster=true, or sentinel= when they are those of Sentinel")
    if not options.sentinel and (options.sentinel_username or options.sentinel_password):
        raise _bad(clean, "sentinel_username and sentinel_password need sentinel=")
    if not options.tls and (options.tls_ca or options.tls_cert or options.tls_key):
        raise _bad(clean, "tls_ca, tls_cert and tls_key need rediss://")
    if options.tls_key and not options.tls_cert:
        raise _bad(clean, "tls_key needs tls_cert")


def _host(url: str, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text.strip("[]"), DEFAULT_PORT
    if not port.isdigit():
        raise _bad(url, "a port is no number")
    return host.strip("[]"), int(port)


_DURATIONS: Final = {"retention", "lease"}
_NUMBERS: Final = {"partitions": 1, "payload": 1_000, "attempts": 1, "wait": 0}
_SWITCHES: Final = {"cluster", "fsync"}
_FILES: Final = {"tls_ca", "tls_cert", "tls_key"}
_TEXTS: Final = {"prefix", "sentinel", "sentinel_username", "sentinel_password", *_FILES}


def _value(url: str, name: str, text: str) -> object:
    if name in _DURATIONS:
        seconds = _seconds(url, name, text)
        if name == "lease" and seconds < 0.5:
            raise _bad(url, "the lease is at least 500ms")
        return seconds
    if name in _NUMBERS:
        if not text.isdigit() or int(text) < _NUMBERS[name]:
            raise _bad(url, f"{name} is no number of at least {_NUMBERS[name]}")
        return int(text)
    if name in _SWITCHES:
        if text not in ("true", "false"):
            raise _bad(url, f"{name} is true or false, nothing else")
        return text == "true"
    if name == "prefix" and any(mark in text for mark in "{} \n"):
        raise _bad(url, "the prefix must not have braces or spaces")
    if name in _TEXTS:
        if not text:
            raise _bad(url, f"{name} is empty")
        return text
    known = sorted({*_DURATIONS, *_NUMBERS, *_SWITCHES, *_TEXTS})
    near = difflib.get_close_matches(name, known, 1, 0.75)  # what is not near may be a part of a password
    meant = f"did you mean {near[0]}?" if near else f"they are {', '.join(known)}"
    raise _bad(url, f"an unknown option; {meant}")


def _seconds(url: str, name: str, text: str) -> float:
    if text.endswith("d") and text[:-1].isdigit():
        return int(text[:-1]) * 86_400.0
    try:
        seconds = parse_duration(text) / 1e9
    except Error:
        raise _bad(url, f"{name} is no duration such as 10s or 7d") from None
    if seconds <= 0:
        raise _bad(url, f"{name} must be more than 0")
    return seconds


def _bad(url: str, why: str) -> Error:
    return Error(
        f"{url}: {why}",
        INVALID,
        retryable=False,
        hint="for example redis://user:password@host:6379/0?prefix=shop&lease=10s&retention=7d",
    )
