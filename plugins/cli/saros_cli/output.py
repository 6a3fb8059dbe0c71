"""Output of commands: data on stdout, everything else on stderr; colours only on terminals."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from saros.model.text import json_visible, one_line, visible

if TYPE_CHECKING:
    from rich.console import Console

    from saros.model.execution import Description


def console(*, err: bool = False) -> Console:
    """Return the console of stdout, or of stderr."""
    stream: Any = sys.stderr if err else sys.stdout
    # During a live display, rich replaces both streams.
    return _console(getattr(stream, "rich_proxied_file", stream))


@cache
def _console(stream: Any) -> Console:
    from rich.console import Console

    # Lines wrap on terminals only; in files and pipes they stay whole.
    width = None if stream.isatty() else 10_000
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width, soft_wrap=True)


def label(word: str, text: str, style: str = "") -> None:
    """Print ``word: text`` on stderr, the word in a style; indent further lines of the text."""
    text = visible(text).replace("\n", "\n  ")
    if not sys.stderr.isatty():  # saves the import of rich
        print(f"{word}: {text}", file=sys.stderr)
        return
    from rich.text import Text

    console(err=True).print(Text.assemble((f"{word}:", style), " ", text))


def note(text: str) -> None:
    """Print a note on stderr."""
    label("note", text, "cyan")


def warn(text: str, where: str = "", hint: str = "") -> None:
    label("warning", text + (f" ({where})" if where else ""), "yellow")
    if hint:
        label("hint", hint, "cyan")


def warnings(registry: Any) -> None:
    """Print the warnings of an app on stderr."""
    for problem in registry.warnings:
        what = f"{problem.entry}: {problem.message}" if problem.entry else problem.message
        warn(what, problem.where, problem.hint or "")


def line(text: str) -> None:
    """Print one line of data on stdout, without control characters from programs or clients."""
    with _written():
        sys.stdout.write(visible(text) + "\n")
        sys.stdout.flush()


@contextmanager
def _written() -> Iterator[None]:
    """
    :raises Error: when a write to stdout fails, for example because the disk is full; but not when the reader of a
        pipe has closed it.
    """
    from saros.model.errors import UNAVAILABLE, Error

    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Error(f"cannot write to stdout: {error.strerror or error}", UNAVAILABLE) from None


def json_text(body: bytes, indent: int = 2) -> str:
    """Return JSON for people: indented, unless it is short."""
    import msgspec

    compact = body.decode()
    return compact if len(compact) <= 72 else msgspec.json.format(compact, indent=indent)


def data(value: Any, *, compact: bool = False) -> None:
    """Print a value (see `saros.model.values`) as JSON on stdout: indented on a terminal, otherwise in one line."""
    from saros.model import values

    raw_json(bytes(values.readable(values.encode(value))), compact=compact)


def plain(value: Any, *, compact: bool = False) -> None:
    """Print builtins and structs as JSON on stdout."""
    import msgspec

    raw_json(msgspec.json.encode(value), compact=compact)


def whole(value: Any) -> Any:
    """Return structs as JSON data with all of their fields, which scripts rely on; absent ones are null."""
    import msgspec

    if isinstance(value, msgspec.Raw):
        return value if bytes(value) else None
    if isinstance(value, msgspec.Struct):
        return {name: whole(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    return value


def raw_json(body: bytes, *, compact: bool = False) -> None:
    text = json_visible(body.decode())
    if compact or not sys.stdout.isatty():
        line(text)
        return
    from rich.highlighter import JSONHighlighter
    from rich.text import Text

    console().print(JSONHighlighter()(Text(json_text(text.encode()))))


def table(titles: tuple[str, ...], rows: list[tuple[str, ...]], styles: Mapping[str, str]) -> None:
    """Print aligned columns on stdout; on a terminal, `styles` maps cell texts to colours."""
    rows = [tuple(map(one_line, row)) for row in rows]
    widths = [max(len(row[column]) for row in (titles, *rows)) for column in range(len(titles))]
    for row in (titles, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if not sys.stdout.isatty():
            line("  ".join(cells).rstrip())
            continue
        from rich.text import Text

        text = Text("  ").join(
            Text(cell, "bold" if row is titles else styles.get(cell.strip(), "")) for cell in cells
        )
        console().print(text)


def moment(ns: int) -> str:
    """Format a time as RFC 3339 in UTC, with milliseconds."""
    time = dt.datetime.fromtimestamp(ns / 1e9, dt.UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def span(ns: int) -> str:
    """Format a duration with about three digits: ``0.4ms``, ``12ms``, ``1.25s``, ``3m20s``, ``2d4h``."""
    seconds = ns / 1e9
    if seconds < 1:
        return f"{seconds * 1000:.3g}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    parts = [(days, "d"), (hour, "h"), (minute, "m"), (second, "s")]
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return "".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count)


def described(description: Description) -> dict[str, Any]:
    """Return a description as JSON data, with times as RFC 3339 and without absent values."""
    import msgspec

    result: dict[str, Any] = msgspec.structs.asdict(description)
    for key in ("start_time", "close_time"):
        if result[key] is not None:
            result[key] = moment(result[key])
    return {key: value for key, value in result.items() if value is not None}
