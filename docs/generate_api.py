"""Writes `api.md`, the reference of the Python API, from its docstrings: ``python docs/generate_api.py``."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_origin, get_type_hints

import msgspec

import saros
from saros import activity
from saros.model import errors
from saros.model.records import StartOptions

PAGE = Path(__file__).with_name("api.md")

HEAD = """\
# The Python API

<!-- Written by docs/generate_api.py. -->

Everything here is typed and comes from the package `saros`; `dir(saros)` lists the names. Inputs and results are
[plain data](python.md#inputs-and-results). Functions that are called by workflows are described in
[activities in Python](python.md).

```python
import asyncio
import saros


async def main() -> None:
    async with saros.open("examples/orders", "memory://?time=skip") as app:
        order = {"id": "1", "customer_id": "c-42", "total": 20.0, "shipping_address": "12 High Street"}
        handle = await app.start("app:order_workflow", order, id="order-1")
        result = await handle.result(timeout=30)
        told = await handle.describe()
        assert told.status == "completed" and told.search_attributes["stage"] == "shipped"
        print(result["status"], told.close_time - told.start_time)


asyncio.run(main())
```
"""

_FIELD = re.compile(r"^:(param|ivar|raises) ?([\w, ]*):\s*", re.MULTILINE)


def page() -> str:
    """The page's text."""
    parts = [HEAD, "## saros.open\n", _signature("saros.open", saros.open), _doc(saros.open)]
    for kind in (saros.App, saros.Handle):
        parts += [f"## {kind.__name__}\n", _doc(kind)]
        for name, member in _members(kind):
            parts += [f"### {kind.__name__}.{name}\n", _member(name, member), _doc(member)]
    parts += ["## Description\n", _doc(saros.Description, hints=_types(saros.Description))]
    parts += ["## Line\n", _doc(saros.Line)]
    parts += ["## Start options\n", _options()]
    parts += ["## Errors\n", *_errors()]
    parts += ["## saros.activity\n", "What a function learns of the call that it carries out.\n"]
    for name, member in inspect.getmembers(activity, inspect.isfunction):
        if not name.startswith("_") and member.__module__ == activity.__name__:
            parts += [f"### activity.{name}\n", _signature(name, member), _doc(member)]
    return "\n".join(part for part in parts if part)


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    return ((name, member) for name, member in vars(kind).items() if not name.startswith("_"))


def _member(name: str, member: Any) -> str:
    if isinstance(member, property):
        return f"```text\n{name}: {inspect.signature(member.fget).return_annotation}\n```\n"
    return _signature(name, member)


def _signature(name: str, function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    parameters = [each for each in signature.parameters.values() if each.name != "self"]
    awaited = "await " if inspect.iscoroutinefunction(function) else ""
    result = str(signature.return_annotation)
    if hasattr(function, "__wrapped__"):  # an asynccontextmanager
        awaited, result = "async with ", result.removeprefix("AsyncIterator[").removesuffix("]")
    if inspect.isasyncgenfunction(function):
        awaited, result = "async for ", result.removeprefix("AsyncIterator[").removesuffix("]")
    shown = list(_shown(parameters))
    line = f"{awaited}{name}({', '.join(shown)}) -> {result}"
    if len(line) > 100:
        line = f"{awaited}{name}(\n" + "".join(f"    {each},\n" for each in shown) + f") -> {result}"
    return f"```text\n{line}\n```\n"


def _shown(parameters: list[inspect.Parameter]) -> Iterator[str]:
    """As in the code, with the ``*`` in front of the first that has to be named."""
    starred = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        stars = "*" if each.kind is each.VAR_POSITIONAL else ""
        default = "" if each.default is each.empty else f" = {each.default!r}"
        yield f"{stars}{each.name}: {each.annotation}{default}"


def _doc(thing: Any, hints: dict[str, str] | None = None) -> str:
    """A docstring as Markdown, its fields as a list."""
    text = re.sub("``(.+?)``", r"`\1`", inspect.cleandoc(thing.__doc__))
    text = re.sub(r"`saros\.(query)`", "[queries](queries.md)", text)
    first = _FIELD.search(text)
    parts = [text[: first.start()].strip()] if first else [text.strip()]
    rows = []
    fields = list(_FIELD.finditer(text))
    for number, field in enumerate(fields):
        end = fields[number + 1].start() if number + 1 < len(fields) else None
        about = " ".join(text[field.end() : end].split())
        rows.append(f"* {_label(field[1], field[2], hints or {})}{about}")
    return "\n\n".join(part for part in (*parts, "\n".join(rows)) if part) + "\n"


def _label(kind: str, name: str, hints: dict[str, str]) -> str:
    if kind == "raises":
        return f"Raises `{name}`: " if name else "Raises: "
    return f"`{name}: {hints[name]}`: " if name in hints else f"`{name}`: "


def _types(kind: Any) -> dict[str, str]:
    found = {field.name: str(field.type).replace("dt.", "") for field in dataclasses.fields(kind)}
    status = get_type_hints(kind)["status"]
    assert get_origin(status) is Literal
    return {**found, "status": " | ".join(f'"{each}"' for each in status.__args__)}


def _options() -> str:
    rows = [
        "`App.start(options={...})` takes these, meaning the same as [in Lua](lua.md#process). Durations are",
        "milliseconds; 0 means none.\n",
    ]
    for field in msgspec.structs.fields(StartOptions):
        default = None if field.default is msgspec.NODEFAULT else field.default
        shown = f" = {default!r}" if isinstance(default, str | int | bool) and default != "" else ""
        rows.append(f"* `{field.name}{shown}`")
    return "\n".join(rows) + "\n"


def _errors() -> list[str]:
    parts = []
    for kind in (saros.Error, saros.AppError, saros.CodeError, saros.NonDeterminism):
        parts += [f"### {kind.__name__}\n", _doc(kind)]
    kinds = {name: value for name, value in vars(errors).items() if name.isupper() and isinstance(value, str)}
    rows = [f"* `saros.model.errors.{name}` = `{value!r}`" for name, value in kinds.items()]
    return [*parts, "### Kinds\n", "\n".join(rows) + "\n"]


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
