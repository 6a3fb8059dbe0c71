"""Writes `cli.md` out of the command line itself: ``python docs/generate_cli.py``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from saros_cli.main import _assemble

OWN = ("saros", "saros_cli", "saros_lua", "saros_redis", "saros_sql", "saros_temporal", "saros_http")
PLUGINS = "Of plugins"
PAGE = Path(__file__).with_name("cli.md")

HEAD = """\
# Command line

<!-- Written by docs/generate_cli.py. -->

Every command has `--help`. Commands that print data have `--json`, and then print nothing else on stdout; notes, logs
and errors go to stderr. The exit status is 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C. An error is one
line, `error: what (where)`, and often a hint.

`--backend` says where workflows live; without it `SAROS_BACKEND` does, and without that it is `memory://`. What lives
in `memory://` ends with the command, so `saros start` then runs the workflow itself and waits for it. Commands that
look at executions are for servers.

A JSON argument is JSON, `@FILE` with JSON in it, or `-` for stdin. Times are texts such as `500ms`, `30s`, `1h30m`.
"""


def page() -> str:
    """The page's text."""
    group: Any = typer.main.get_command(_assemble())
    panels: dict[str, list[tuple[str, Any]]] = {}
    for name, command in _commands(group):
        if command.callback.__module__.partition(".")[0] in OWN:
            panels.setdefault(command.rich_help_panel or PLUGINS, []).append((name, command))
    parts = [HEAD]
    for panel, commands in panels.items():
        parts.append(f"## {panel}\n")
        parts += [_command(name, command) for name, command in commands]
    return "\n".join(parts)


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Commands and their names, those of plugins and of groups of commands too."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield before + name, command


def _command(name: str, command: Any) -> str:
    arguments = [item for item in command.params if item.param_type_name == "argument"]
    options = [item for item in command.params if item.param_type_name == "option"]
    usage = " ".join(["saros", name, *(_argument(item) for item in arguments), "[OPTIONS]"])
    parts = [
        f"### saros {name}\n",
        f"`{usage}`\n",
        f"{inspect.cleandoc(command.help).replace(chr(12), '')}\n",
    ]
    rows = [(f"`{_argument(item)}`", item) for item in arguments]
    rows += [(_option(item), item) for item in options if "--help" not in item.opts]
    if rows:
        parts.append("| | |\n|---|---|")
        parts += [f"| {left} | {_help(item)} |" for left, item in rows]
        parts.append("")
    if command.epilog:
        example = command.epilog.removeprefix("Example: ")
        parts.append(f"<!-- test: parse -->\n```sh\n{example}\n```\n")
    return "\n".join(parts)


def _argument(item: Any) -> str:
    name = item.metavar or item.name.upper()
    many = "..." if item.nargs == -1 and not name.endswith("...") else ""
    return f"{name}{many}" if item.required else f"[{name}{many}]"


def _option(item: Any) -> str:
    value = "" if item.is_flag else f" {item.metavar or _type(item)}"
    return ", ".join(f"`{name}{value if name.startswith('--') else ''}`" for name in sorted(item.opts))


def _type(item: Any) -> str:
    return "N" if isinstance(item.default, int) else "TEXT"


def _help(item: Any) -> str:
    text = (item.help or "").replace("|", "\\|")
    if (
        item.param_type_name == "option"
        and item.show_default is True
        and item.default not in (None, "", False)
    ):
        text += f" Default: {item.default}."
    if item.param_type_name == "option" and item.envvar:
        text += f" Environment: `{item.envvar}`."
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
