"""The options of a ``redis://`` URL."""

from __future__ import annotations

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
    tls_ca: str | None = None
    prefix: str = "saros"
    partitions: int = 0  # 0: as stored, or the default
    retention: float = 7 * 86_400.0
    lease: float = 10.0
    payload: int = 2_000_000  # of one value that enters a history
    attempts: int = 10  # workers that may be lost in a row with one task
    cluster: bool = False
    sentinel: str = ""  # name of the master that the hosts watch
    wait: int = 0  # replicas that have a commit before it counts

    @property
    def default_partitions(self) -> int:
        return CLUSTER_PARTITIONS if self.cluster else 1


def parse(url: str) -> Options:
    """The options of a URL.

    :raises Error: INVALID, naming the option.
    """
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    hosts = tuple(_host(url, text) for text in (address or "localhost").split(","))
    clean = f"{parts.scheme}://{','.join(f'{host}:{port}' for host, port in hosts)}{parts.path}"
    path = parts.path.strip("/")
    if path and not path.isdigit():
        raise _bad(clean, f"the database is {path!r}, not a number")
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
    if options.cluster and (options.wait or options.sentinel or options.db):
        raise _bad(clean, "a cluster has no database numbers, no sentinel, and no wait=")
    return options


def _host(url: str, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text.strip("[]"), DEFAULT_PORT
    if not port.isdigit():
        raise _bad(text, f"{port!r} is no port")
    return host.strip("[]"), int(port)


_DURATIONS: Final = {"retention", "lease"}
_NUMBERS: Final = {"partitions": 1, "payload": 1_000, "attempts": 1, "wait": 0}
_TEXTS: Final = {"prefix", "sentinel", "tls_ca"}


def _value(url: str, name: str, text: str) -> object:
    if name in _DURATIONS:
        seconds = _seconds(url, name, text)
        if name == "lease" and seconds < 0.5:
            raise _bad(url, "the lease is at least 500ms")
        return seconds
    if name in _NUMBERS:
        if not text.isdigit() or int(text) < _NUMBERS[name]:
            raise _bad(url, f"{name} is {text!r}, not a number of at least {_NUMBERS[name]}")
        return int(text)
    if name == "cluster":
        if text not in ("true", "false"):
            raise _bad(url, f"cluster is {text!r}; it is true or false")
        return text == "true"
    if name in _TEXTS:
        if not text or any(mark in text for mark in "{} \n"):
            raise _bad(url, f"{name} is {text!r}; it must not be empty or have braces or spaces")
        return text
    known = ", ".join(sorted({*_DURATIONS, *_NUMBERS, *_TEXTS, "cluster"}))
    raise _bad(url, f"unknown option {name!r}; they are {known}")


def _seconds(url: str, name: str, text: str) -> float:
    if text.endswith("d") and text[:-1].isdigit():
        return int(text[:-1]) * 86_400.0
    try:
        seconds = parse_duration(text) / 1e9
    except Error as error:
        raise _bad(url, f"{name}: {error.message}") from None
    if seconds <= 0:
        raise _bad(url, f"{name} is {text!r}; it must be more than 0")
    return seconds


def _bad(url: str, why: str) -> Error:
    return Error(
        f"{url}: {why}",
        INVALID,
        retryable=False,
        hint="for example redis://user:password@host:6379/0?prefix=shop&lease=10s&retention=7d",
    )
