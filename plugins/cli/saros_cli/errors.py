"""Prints errors on stderr, as ``error: <what> (<where>)`` and ``hint: <what to do>``, and picks the exit status."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

import typer

from . import output

if TYPE_CHECKING:
    from saros.model.errors import Error

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

# Depending on its version, Typer uses click or its own copy of it: these are the classes that it raises.
UsageError: Final[type[Exception]] = typer.BadParameter.__mro__[1]
_ClickError: Final[type[Exception]] = typer.BadParameter.__mro__[2]


class WrongInput(Exception):
    """The user's input is not valid: exit status 2.

    :param where: the argument, such as ``argument 2``.
    """

    def __init__(self, message: str, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message, self.where, self.hint = message, where, hint


class Failed(Exception):
    """The user's code failed, not the command. The report shows the error's kind and details."""

    def __init__(self, error: Error) -> None:
        super().__init__(str(error))
        self.error = error


class Interrupted(Exception):
    """Ctrl-C, with a message about its consequences."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def report(raised: BaseException, *, debug: bool) -> int:
    """Report an exception that ended a command, and return the exit status."""
    if isinstance(raised, UsageError):
        return _usage(raised)
    if isinstance(raised, _ClickError):
        show(raised.format_message())  # type: ignore[attr-defined]
        return USAGE
    if isinstance(raised, WrongInput):
        show(raised.message, raised.where, raised.hint)
        return USAGE
    if isinstance(raised, Interrupted):
        show(raised.message, hint=raised.hint)
        return INTERRUPTED
    if isinstance(raised, (KeyboardInterrupt, typer.Abort)):
        return INTERRUPTED
    return _failure(raised, debug)


def _failure(raised: BaseException, debug: bool) -> int:
    from saros.entries import AppError
    from saros.model.errors import Error

    if isinstance(raised, Failed):
        show_failure(raised.error)
    elif isinstance(raised, AppError):
        show_problems(raised)
    elif isinstance(raised, Error):
        show(_told(raised), raised.where or "", raised.hint or "")
    else:
        show(
            f"{type(raised).__name__}: {raised}" if str(raised) else type(raised).__name__,
            hint="" if debug else "this is unexpected; `saros --debug ...` shows where it happened",
        )
    if debug:
        traceback.print_exception(raised, file=sys.stderr)
    return FAILURE


def show(what: str, where: str = "", hint: str = "") -> None:
    """Print an error, and a hint what to do about it."""
    output.label("error", what + (f" ({where})" if where else ""), "bold red")
    if hint:
        output.label("hint", hint, "cyan")


def show_failure(error: Error) -> None:
    """Print the error of a workflow or function: kind, message, details."""
    from saros.model import values

    text = _told(error)
    show(f"{error.kind}: {text}" if error.kind else text, error.where or "", error.hint or "")
    if error.details is not None:
        output.label("details", output.json_text(bytes(values.readable(values.encode(error.details)))), "dim")


def show_problems(error: Any) -> None:
    """Print every problem of an app."""
    for problem in error.problems:
        what = f"{problem.entry}: {problem.message}" if problem.entry else problem.message
        show(what, problem.where, problem.hint or "")


def _told(error: Error) -> str:
    return f"{error.context}: {error.message}" if error.context else error.message


def _usage(raised: Any) -> int:
    message = raised.format_message().strip()
    context = raised.ctx
    show(message[:1].lower() + message[1:].rstrip("."))
    if context is not None:
        output.label(
            "usage", f"{context.command_path} {' '.join(context.command.collect_usage_pieces(context))}"
        )
        output.label("hint", f"{context.command_path} --help", "cyan")
    return USAGE
