"""Logs on stderr, as lines for people or JSON for machines."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, Final

from saros.model.text import json_visible, visible

from . import output
from .errors import WrongInput

_LEVELS: Final = ("debug", "info", "warning", "error")
_STYLES: Final = {"DEBUG": "dim", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}


class Lines(logging.Handler):
    """Writes one line per record, above a live display."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            time = logging.Formatter().formatTime(record, "%H:%M:%S")
            # Further lines are indented, so that no text of a program or client can look like a record.
            text = visible(record.getMessage())
            if record.exc_info:
                text += "\n" + visible(logging.Formatter().formatException(record.exc_info))
            text = text.replace("\n", "\n  ")
            level = record.levelname.lower()
            if not sys.stderr.isatty():
                print(f"{time} {level:<7} {text}", file=sys.stderr, flush=True)
                return
            from rich.text import Text

            style = _STYLES.get(record.levelname, "")
            output.console(err=True).print(
                Text.assemble((time, "dim"), " ", (f"{level:<7}", style), " ", text)
            )
        except Exception:
            self.handleError(record)


class Objects(logging.Handler):
    """Writes one JSON object per record."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            entry: dict[str, Any] = {
                "time": output.moment(int(record.created * 1e9)),
                "level": record.levelname.lower(),
                "logger": record.name,
                **getattr(record, "saros", {"message": record.getMessage()}),
                **fields_of(record),
            }
            if record.exc_info:
                entry["exception"] = logging.Formatter().formatException(record.exc_info)
            print(json_visible(json.dumps(entry, ensure_ascii=False)), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a record says about a workflow and its activities; one of Python code gets it from what runs here."""
    from saros.interfaces.observer import FIELDS, about_call
    from saros.interfaces.runtime import current

    given = {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
    scope = current.get()
    if not given and scope is not None:
        given = about_call(scope, scope.entry)
    return given


def configure(level: str, *, as_json: bool = False) -> None:
    """Send logs of this level and above to stderr.

    :raises WrongInput: for a level that does not exist.
    """
    if level.lower() not in _LEVELS:
        raise WrongInput(
            f'"{level}" is not a log level', "--log-level", f"the levels are {', '.join(_LEVELS)}"
        )
    logging.getLogger("saros").setLevel(level.upper())
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, (Lines, Objects))]:
        root.removeHandler(handler)
    root.addHandler(Objects() if as_json else Lines())
