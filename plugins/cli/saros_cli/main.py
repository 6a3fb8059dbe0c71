"""Assembles the commands, runs one, and turns failures into a message and an exit status."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import streams
from .commands import about, apps, call, executions, insight, replaying, requests, serve, start
from .errors import FAILURE, OK, report

COMPLETION = "_SAROS_COMPLETE"

#: Panels of `saros --help`, in order.
RUN, LOOK, TALK, DEVELOP = "Run", "Look", "Talk to executions", "Develop"


class Commands(TyperGroup):
    """The commands of Saros. Commands of plugins load when one is called, or when all are listed."""

    _complete = False

    def _with_plugins(self) -> None:
        if self._complete:
            return
        self._complete = True
        from saros.app.plugins import installed

        added = typer.Typer(add_completion=False)
        # A separate group, so that a plugin adds commands but cannot replace one.
        installed().manager.hook.saros_commands(cli=added)
        if not added.registered_commands and not added.registered_groups:
            return
        added.callback()(lambda: None)  # without a callback, Typer turns a single command into the root
        group: Any = typer.main.get_command(added)
        for name, command in group.commands.items():
            self.commands.setdefault(name, command)

    def list_commands(self, ctx: Any) -> list[str]:
        self._with_plugins()
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands:
            self._with_plugins()
        return super().get_command(ctx, cmd_name)


def _assemble() -> typer.Typer:
    cli = typer.Typer(
        cls=Commands,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        pretty_exceptions_enable=False,
        help="Durable workflows in Lua: in memory, on Redis or on Temporal.",
        epilog="Begin with: saros new orders && saros start orders app:order_workflow --wait",
    )
    cli.callback(invoke_without_command=True)(_root)
    for panel, module in (
        (RUN, start),
        (RUN, serve),
        (RUN, call),
        (LOOK, executions),
        (LOOK, insight),
        (TALK, requests),
        (DEVELOP, apps),
        (DEVELOP, replaying),
        (DEVELOP, about),
    ):
        module.add_to(cli, panel)
    return cli


def _root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="SAROS_DEBUG", help="Show tracebacks of unexpected errors.")
    ] = False,
) -> None:
    ctx.obj = {"debug": debug}
    if version:
        about.version(json=False)
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(2)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    :param args: the arguments; default: those of this process.
    :return: the exit status: 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C.
    """
    if args is not None:
        return _run(args)
    streams.prepare()
    status = _run(sys.argv[1:])
    ending = sys.modules.get(f"{__package__}.ending")
    if ending is not None:  # only a command with an event loop may leave something behind
        ending.limit_exit(status)
    return status


def _run(args: Sequence[str]) -> int:
    arguments = _with_numbers(list(args))
    command: Any = typer.main.get_command(_assemble())
    if COMPLETION in os.environ:
        command.main(arguments, prog_name="saros")
    debug = bool(os.environ.get("SAROS_DEBUG"))
    try:
        context = command.make_context("saros", arguments)
        try:
            with context:
                command.invoke(context)
        finally:
            debug = bool(context.obj and context.obj["debug"])
        sys.stdout.flush()
    except typer.Exit as done:
        return _flushed(done.exit_code)
    except BrokenPipeError:
        return _flushed(OK)
    except (Exception, KeyboardInterrupt) as raised:
        return _flushed(report(raised, debug=debug))
    return OK


def _flushed(status: int) -> int:
    """Flush the output, and return the exit status."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader needs no more, as with `saros list | head`
        streams.give_up(sys.stdout)
    except OSError:  # the write that failed has already been reported
        streams.give_up(sys.stdout)
        return status or FAILURE
    return status


_TAKE_JSON = frozenset({"call", "run", "start", "signal", "query", "update"})
_FLAGS = frozenset({"--json", "--wait", "-w"})
_NUMBER = re.compile(r"-(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def _with_numbers(arguments: list[str]) -> list[str]:
    """Put a space before each negative number, so that it parses as an argument and not as an option."""
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    if command not in _TAKE_JSON:
        return arguments
    result: list[str] = []
    for argument in arguments:
        before = result[-1] if result else ""
        takes_it = before.startswith("-") and before not in _FLAGS and "=" not in before
        number = _NUMBER.fullmatch(argument) and not takes_it and "--" not in result
        result.append(f" {argument}" if number else argument)
    return result
