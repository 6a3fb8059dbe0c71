"""Makes text of programs and clients safe for terminals, logs and messages: no control characters, cut if long."""

from __future__ import annotations

import re
from typing import Any, Final

CUT: Final = 200
"""How many characters of a value a message shows."""
LONGEST: Final = 1000
"""How many characters a message may have, including the values in it."""

_BIDI: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSAFE: Final = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff{_BIDI}\ud800-\udfff]")
_ENDS: Final = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff{_BIDI}\ud800-\udfff]")
_PAIR: Final = re.compile(r"(\w*(?:pass|secret|token|key|auth)\w*\s*=\s*)\S+", re.IGNORECASE)


def visible(text: str) -> str:
    """The text with control characters, line separators and direction changes as escapes.

    Line feeds and tabs stay.
    """
    return _UNSAFE.sub(_escape, text) if not text.isprintable() else text


def one_line(text: str) -> str:
    """Like `visible`, with line feeds and tabs as escapes, too."""
    return _ENDS.sub(_escape, text) if not text.isprintable() else text


def json_visible(text: str) -> str:
    """JSON without such characters: they occur only in its strings, where JSON has escapes for them."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) if not text.isprintable() else text


def cut(text: str, most: int = CUT) -> str:
    """The beginning of a long text, and its length."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def shortened(text: str, most: int) -> str:
    """The beginning of a long text, with an ellipsis, in at most so many characters: for a row of a table."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def sentence(text: str) -> str:
    """A message that may contain values of users: on one line, cut."""
    safe = one_line(text[:LONGEST])
    if len(safe) <= LONGEST and len(text) <= LONGEST:
        return safe
    return f"{safe[:LONGEST]}... ({len(text)} characters)"


def shown(value: Any) -> str:
    """A value of a user in a message: quoted, on one line, cut."""
    if isinstance(value, (str, bytes)):
        value = value[: CUT + 1]
        text = repr(value)
        return f"{text[: CUT + 1]}..." if len(value) > CUT else one_line(text)
    return one_line(cut(repr(value)))


def without_secrets(url: str) -> str:
    """A URL for messages: without user, password and options, on one line, cut."""
    scheme, colon, rest = url.partition("://")
    if not colon:
        scheme, rest = "", url
    rest = rest.rpartition("@")[2]
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    rest = _PAIR.sub(r"\1...", rest)  # of a connection string that is no URL
    return one_line(cut(f"{scheme}://{rest}" if colon else rest))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    short = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
