"""The options of a ``redis://`` URL."""

from __future__ import annotations

import difflib
import re
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from saros.model.errors import INVALID, Error
from saros.model.timing import parse_duration

DEFAULT_PORT: Final = 6379
CLUSTER_PARTITIONS: Final = 16
HINT: Final = "for example redis://user:password@host:6379/0?prefix=shop&lease=10s&retention=7d"
LONGEST_S: Final = 36_500 * 86_400.0
_DIGITS: Final = re.compile("[0-9]{1,18}")
UNIX_HINT: Final = "for example unix:///run/redis.sock?db=0&prefix=shop"
_HOST: Final = re.compile(r"(\[[^\]/@\s]*\]|[^:\[\]/@\s]*)(?::([0-9]{1,12}))?")


class Options(NamedTuple):
    """The options of a URL. Times are in seconds, sizes in bytes."""

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
    payload: int = 2_000_000  # the largest value in a history
    attempts: int = 10  # workers in a row that one task may lose
    cluster: bool = False
    sentinel: str = ""  # name of the master that the Sentinels watch
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    wait: int = 0  # replicas that must confirm a write
    socket: str = ""  # path of a Unix socket, instead of hosts
    fsync: bool = False  # wait until a write is on the disks of the master and of those replicas

    @property
    def default_partitions(self) -> int:
        return CLUSTER_PARTITIONS if self.cluster else 1


def parse(url: str) -> Options:
    """The options of a URL.

    User and password may contain characters that a URL would percent-encode, such as ``/``, ``#`` and ``[``:
    everything before the last ``@`` in front of a host belongs to them, and ``%`` with two hexadecimal digits is
    decoded.

    :raises Error: INVALID, naming the option. The message contains nothing of a user or password.
    """
    scheme, credentials, address, path, query = _parts(url)
    if scheme == "unix":
        hosts: tuple[tuple[str, int], ...] = ()
        clean, socket, database = f"unix://{path}", unquote(path), ""
        if not socket.strip("/"):
            raise _bad(clean, "the path of the socket is missing", UNIX_HINT)
    else:
        hosts = tuple(_host(scheme, text) for text in (address or "localhost").split(","))
        clean = f"{scheme}://{','.join(f'{_bracketed(host)}:{port}' for host, port in hosts)}"
        socket, database = "", path.strip("/")
    given = parse_qsl(query, keep_blank_values=True)
    changes: dict[str, Any] = {name: _value(clean, name, text) for name, text in given}
    db = changes.pop("db", None)
    if database:
        if not _DIGITS.fullmatch(database):
            raise _bad(clean, "the database is not a number")  # perhaps it is a part of a password
        clean += f"/{database}"
        db = int(database) if db is None else db
    user, _, password = credentials.partition(":")
    options = Options(
        clean,
        hosts,
        int(db or 0),
        unquote(user) or None,
        unquote(password) or None,
        scheme == "rediss",
        socket=socket,
    )._replace(**changes)
    _check(options)
    return options


def _parts(url: str) -> tuple[str, str, str, str, str]:
    """Split a URL into its parts. urlsplit would end the address at a ``/`` of the password."""
    scheme, _, rest = url.partition("://")
    credentials, mark, _ = rest.partition("?")[0].rpartition("@")
    if mark:
        rest = rest[len(credentials) + 1 :]
    elif "@" in rest and not all(_HOST.fullmatch(text) for text in re.split("[/?#]", rest)[0].split(",")):
        credentials, _, rest = rest.rpartition("@")
    rest, _, query = rest.partition("?")
    address, slash, path = rest.partition("/")
    return scheme.lower(), credentials, address, slash + path, query


def _check(options: Options) -> None:
    """Reject options that exclude each other."""
    clean = options.url
    if options.socket and (options.cluster or options.sentinel):
        raise _bad(clean, "a Unix socket belongs to one server; leave out cluster= and sentinel=", UNIX_HINT)
    if options.cluster and (options.wait or options.fsync or options.sentinel or options.db):
        raise _bad(clean, "a cluster does not support a database number, sentinel=, wait= or fsync=")
    if len(options.hosts) > 1 and not (options.cluster or options.sentinel):
        raise _bad(clean, "several hosts need cluster=true, or sentinel= when they are those of Sentinel")
    if not options.sentinel and (options.sentinel_username or options.sentinel_password):
        raise _bad(clean, "sentinel_username and sentinel_password need sentinel=")
    if not options.tls and (options.tls_ca or options.tls_cert or options.tls_key):
        raise _bad(clean, "tls_ca, tls_cert and tls_key need rediss://")
    if options.tls_key and not options.tls_cert:
        raise _bad(clean, "tls_key needs tls_cert")


def _host(scheme: str, text: str) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    if found is None:
        raise _bad(f"{scheme}://", "the address is not host:port; put user and password before an @")
    host, port = unquote(found[1].strip("[]")) or "localhost", int(found[2] or DEFAULT_PORT)
    if not 0 < port <= 65_535:
        raise _bad(f"{scheme}://{found[1]}", "the port is not a number from 1 to 65535")
    return host, port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


_DURATIONS: Final = {"retention", "lease"}
_NUMBERS: Final = {
    "db": (0, 1_000_000),
    "partitions": (1, 1_024),
    "payload": (1_000, 500_000_000),
    "attempts": (1, 1_000_000),
    "wait": (0, 1_000),
}
_SWITCHES: Final = {"cluster", "fsync"}
_FILES: Final = {"tls_ca", "tls_cert", "tls_key"}
_TEXTS: Final = {
    "username",
    "password",
    "prefix",
    "sentinel",
    "sentinel_username",
    "sentinel_password",
    *_FILES,
}


def _value(url: str, name: str, text: str) -> object:
    if name in _DURATIONS:
        seconds = _seconds(url, name, text)
        if name == "lease" and seconds < 0.5:
            raise _bad(url, "the lease must be at least 500ms")
        return seconds
    if name in _NUMBERS:
        least, most = _NUMBERS[name]
        if not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
            raise _bad(url, f"{name} must be a number from {least} to {most}")
        return int(text)
    if name in _SWITCHES:
        if text not in ("true", "false"):
            raise _bad(url, f"{name} must be true or false")
        return text == "true"
    if name == "prefix" and any(mark in "{}" or not mark.isprintable() or mark.isspace() for mark in text):
        raise _bad(url, "the prefix must not contain braces or spaces")
    if name in _TEXTS:
        if not text:
            raise _bad(url, f"{name} is empty")
        return text
    if "@" in f"{name}{text}":  # perhaps a part of a password
        raise _bad(url, "only options may follow the ?; in a password, write ? as %3F")
    known = sorted({*_DURATIONS, *_NUMBERS, *_SWITCHES, *_TEXTS})
    near = difflib.get_close_matches(name, known, 1, 0.75)  # an unknown name may be a part of a password
    meant = f"did you mean {near[0]}?" if near else f"the options are {', '.join(known)}"
    raise _bad(url, f"an unknown option; {meant}")


def _seconds(url: str, name: str, text: str) -> float:
    try:
        days = text[:-1] if text.endswith("d") and _DIGITS.fullmatch(text[:-1]) else ""
        seconds = int(days) * 86_400.0 if days else parse_duration(text) / 1e9
    except Error:
        raise _bad(url, f"{name} is not a duration such as 500ms, 10s or 7d") from None
    if not 0 < seconds <= LONGEST_S:
        raise _bad(url, f"{name} must be more than 0, and at most 36500d")
    return seconds


def _bad(url: str, why: str, hint: str = HINT) -> Error:
    return Error(f"{url}: {why}", INVALID, retryable=False, hint=hint)
