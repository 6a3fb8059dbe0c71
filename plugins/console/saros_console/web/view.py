"""Filters that templates use for times, spans and data. Text from users passes `saros.model.text` and is escaped."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final
from urllib.parse import urlencode

import jinja2
import msgspec
from markupsafe import Markup

from saros.insight.reasons import activity_waits, span
from saros.model.text import cut, json_visible, one_line, shortened, visible
from saros.model.values import readable

MOST_SHOWN: Final = 20_000
"""Characters of a payload that a page shows; the export has all of them."""


def moment(ns: int) -> str:
    """Format a time as RFC 3339 in UTC, with milliseconds."""
    return (
        dt.datetime.fromtimestamp(ns / 1e9, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def when(ns: int | None) -> Markup:
    """Return the HTML of a time, to which a script adds the reader's time zone and an age."""
    if ns is None:
        return Markup("")
    text = moment(ns)
    return Markup('<time datetime="{}">{}</time>').format(text, text[:19].replace("T", " ") + " UTC")


def countdown(ns: int) -> Markup:
    return Markup('<time datetime="{}" data-until>{}</time>').format(moment(ns), moment(ns)[11:19] + " UTC")


def took(ns: int) -> str:
    """Format a span, exactly below a minute."""
    seconds = max(ns, 0) / 1e9
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 60 else span(ns)


def payload(body: bytes | msgspec.Raw) -> str:
    """Format wire JSON for readers: indented, without control characters, cut to `MOST_SHOWN`."""
    if not bytes(body):
        return ""
    text = msgspec.json.format(bytes(readable(msgspec.Raw(bytes(body)))), indent=2).decode()
    return json_visible(cut(text, MOST_SHOWN))


def json_of(value: Any) -> str:
    """Format JSON data for readers."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return json_visible(cut(text, MOST_SHOWN))


def link(path: str, **values: Any) -> str:
    given = {name: value for name, value in values.items() if value not in ("", None, ())}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def execution_link(id: str, run_id: str = "", **values: Any) -> str:
    return link("/execution", id=id, run=run_id, **values)


def line(text: object) -> str:
    return one_line(str(text))


def gist(text: str) -> str:
    """Return the beginning of indented JSON on one line."""
    return shortened(" ".join(text[:400].split()), 72)


def words(text: object) -> str:
    return str(text).replace("_", " ")


def environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("saros_console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(
        when=when,
        countdown=countdown,
        took=took,
        payload=payload,
        json_of=json_of,
        line=line,
        words=words,
        gist=gist,
        visible=visible,
    )
    env.globals.update(link=link, execution_link=execution_link, waits=activity_waits, span=span)
    return env
