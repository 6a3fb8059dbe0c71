"""The options of middleware, as tables (``cors: {origins: …}``) or flat (``cors.allow.origins: …``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from saros.entries import BAD, Duration, Field, Flag, ListOf, Number, Place, Text

_WORDS: Final = ListOf(Text(required=True))

OPTIONS: Final[dict[str, dict[str, Field]]] = {
    "cors": {
        "origins": ListOf(
            Text(required=True),
            doc="Allowed origins, such as https://shop.example or *.shop.example; default: *.",
        ),
        "methods": _WORDS,
        "headers": _WORDS,
        "expose": ListOf(Text(required=True), doc="Response headers that scripts may read."),
        "credentials": Flag(),
        "max_age": Duration(doc="How long browsers cache the answer; default: 10m."),
    },
    "compress": {
        "min_size": Number(whole=True, least=0, doc="Bytes; default: 1024."),
        "level": Text(pattern="fastest|default|best|[1-9]", form="fastest, default, best, or 1 to 9"),
    },
    "ratelimit": {
        "rate": Number(least=0.001, doc="Requests per second for each client; default: 10."),
        "requests": Number(whole=True, least=1, doc="Requests in each window, instead of a rate."),
        "window": Duration(positive=True, doc="Default: 1m."),
        "burst": Number(whole=True, least=1, doc="Default: 20, or as many as `requests` if that is less."),
        "key": Text(
            pattern=r"ip|header:[\w!#$%&'*+.^`|~-]+|query:[^\s&=]+",
            form="ip, header:NAME or query:NAME",
            doc="What identifies a client; default: ip.",
        ),
        "max_entries": Number(
            whole=True, least=1, doc="The most clients that are remembered; default: 10000."
        ),
    },
    "real_ip": {
        "trusted": ListOf(Text(required=True), doc="Networks of your own proxies; default: loopback."),
        "trust_all": Flag(doc="Accept the address from any client."),
        "header": Text(pattern=r"[\w!#$%&'*+.^`|~-]+", form="the name of a header"),
    },
    "timeout": {"after": Duration(positive=True, doc="For a function to begin its response; default: 30s.")},
    "token_auth": {
        "tokens": ListOf(Text(required=True), doc="The valid tokens, such as ${env:API_TOKEN}."),
        "realm": Text(pattern=r"[^\"\\\r\n]+", form="a string without quotes"),
        "header_name": Text(pattern=r"[\w!#$%&'*+.^`|~-]+", form="the name of a header"),
        "header_prefix": Text(doc="The prefix of the token; default: Bearer."),
        "query_param": Text(required=True, doc="A parameter that may hold the token instead."),
        "cookie_name": Text(required=True, doc="A cookie that may hold the token instead."),
    },
}
"""By middleware and name. A duration given as a number is in milliseconds, except ``cors.max.age``: in seconds."""

_OTHER_NAMES: Final = {
    ("cors", "allow_origins"): "origins",
    ("cors", "allow_methods"): "methods",
    ("cors", "allow_headers"): "headers",
    ("cors", "allow_credentials"): "credentials",
    ("cors", "expose_headers"): "expose",
    ("compress", "min_length"): "min_size",
    ("real_ip", "trusted_subnets"): "trusted",
}
_NO_LIMITS: Final = ("compress",)  # ignoring an unknown option here loosens no limit
_IDLE: Final = (
    "ratelimit.cleanup_interval",
    "ratelimit.entry_ttl",
)  # without effect: the number of clients decides which are dropped


@dataclass(frozen=True)
class Options(Field):
    """The field of options. Its data is always tables, in whichever form they are written."""

    @property
    def expected(self) -> str:
        return "a mapping of middleware to options"

    def accept(self, value: Any, path: str, at: Place) -> Any:
        if not isinstance(value, dict):
            return NotImplemented
        data: dict[str, dict[str, Any]] = {}
        for key, item in value.items():
            middleware, _, rest = str(key).partition(".")
            if middleware not in OPTIONS:
                known = ", ".join(OPTIONS)
                at.problem(
                    f"{path}.{key}", f"`{path}.{key}` is not a middleware", f"the middlewares are {known}"
                )
            elif rest:
                _take(data, middleware, rest, item, f"{path}.{key}", at)
            elif isinstance(item, dict):
                for name, option in item.items():
                    _take(data, middleware, str(name), option, f"{path}.{key}.{name}", at)
            elif item is not None:
                at.problem(f"{path}.{key}", f"`{path}.{key}` must be a mapping of options")
        return data

    def shape(self) -> dict[str, Any]:
        tables = {
            middleware: {
                "type": ["object", "null"],
                "properties": {name: known.schema() for name, known in options.items()},
            }
            for middleware, options in OPTIONS.items()
        }
        return {"type": ["object", "null"], "properties": tables}


def _take(data: dict[str, Any], middleware: str, name: str, value: Any, path: str, at: Place) -> None:
    """Read one option into `data`."""
    options = OPTIONS[middleware]
    plain = name.replace(".", "_")
    plain = _OTHER_NAMES.get((middleware, plain), plain)
    known = options.get(plain)
    if known is None:
        if f"{middleware}.{plain}" in _IDLE:
            return
        if middleware in _NO_LIMITS:
            at.unknown(path, name, options)
        else:
            hint = f"known are {', '.join(options)}"
            at.problem(
                path,
                f"`{path}` is not an option of {middleware}; ignoring it might loosen a limit",
                hint,
            )
        return
    if value is None:
        return
    table = data.setdefault(middleware, {})
    if plain in table:
        at.problem(path, f"`{path}` is set twice")
        return
    if name == "max.age" and isinstance(value, str | int) and str(value).isdigit():
        value = f"{value}s"
    clean = known.read(_loosened(known, value), path, at)
    if clean is not BAD:
        table[plain] = clean


def _loosened(known: Field, value: Any) -> Any:
    """Parse a text as the value it contains, because flat options are often written as texts."""
    if isinstance(known, Text) and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return value
    if isinstance(known, ListOf):
        return [part.strip() for part in value.split(",") if part.strip()]
    return known.from_text(value) if isinstance(known, Number | Flag) else value
