"""Writes docs/surface.md, the reference of the Lua surface, from the definitions for editors.

python docs/generate_surface.py
"""

from __future__ import annotations

from pathlib import Path

from saros_lua.checking.definitions import Class, Function, modules, parse, read

PAGE = Path(__file__).with_name("surface.md")

HEAD = """\
# The Lua surface

Every module, object and function that Lua code may use. `process`, `channel`, `payload` and `errors` are always
there; an entry lists the others under `modules`. A function whose results end in `err` gives `nil, err` when it
fails. `saros types` writes the same definitions for editors.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name in modules():
        first, *rest = parse(read(name))
        parts.append(f"## {name}\n\n{first.doc}\n")
        tables = {field.text.split()[0]: f"{name}.{field.name}." for field in first.fields}
        parts += [_members(first, f"{name}."), *(_class(found, tables) for found in rest)]
    return "\n".join(part for part in parts if part)


def _class(found: Class, tables: dict[str, str]) -> str:
    """:param tables: class -> where the module has a table of it."""
    doc = f"\n{found.doc}\n" if found.doc else ""
    prefix = tables.get(found.name) if not found.is_object else None
    prefix = prefix or found.name.rpartition(".")[2].lower() + ":"
    return f"### {found.name}\n{doc}\n{_members(found, prefix)}"


def _members(found: Class, prefix: str) -> str:
    lines = []
    if found.fields:
        lines += ["| Field | |", "|---|---|"]
        for field in found.fields:
            optional = "?" if field.optional else ""
            lines.append(f"| `{field.name}{optional}` | {_typed(field.text)} |")
        lines.append("")
    for function in found.functions:
        lines.append(f"* `{signature(function, prefix)}`" + (f": {function.doc}" if function.doc else ""))
    if found.functions:
        lines.append("")
    return "\n".join(lines)


def _typed(text: str) -> str:
    kind, doc = _split(text)
    escaped = kind.replace("|", "\\|")
    return f"`{escaped}` {doc}".rstrip()


def _split(text: str) -> tuple[str, str]:
    """A type, which may have blanks within brackets, and what follows it."""
    depth = 0
    for at, char in enumerate(text):
        depth += (char in "{(<[") - (char in "})>]")
        if char == " " and depth == 0 and text[at - 1] not in ":,|":
            return text[:at], text[at + 1 :]
    return text, ""


def signature(function: Function, prefix: str) -> str:
    """``time.sleep(d) -> ok?, err?``, with parameters as they are called and results by name or type."""
    params = ", ".join(param.name + ("?" if param.optional else "") for param in function.params)
    returns = []
    for text in function.returns:
        kind, rest = _split(text)
        name = rest.split()[0] if rest else ""
        returns.append(name if name and name != "..." else kind + ("..." if name else ""))
    separator = prefix if not function.colon or prefix.endswith(":") else prefix[:-1] + ":"
    return f"{separator}{function.name}({params})" + (f" -> {', '.join(returns)}" if returns else "")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
