"""Applications written by tests, from a few Lua texts instead of a directory of files."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

EVERY_MODULE = (
    *("funcs", "time", "json", "logger", "ctx", "uuid", "hash", "base64", "crypto", "payload", "errors"),
    *("process", "channel"),
)
_ONLY = {"workflow": ("workflow",), "function": ("env", "activity"), "process": ("env",), "library": ()}


def write_app(path: Path, files: Mapping[str, str]) -> Path:
    """Write an app's files (relative name -> text, dedented) and return its directory."""
    for name, text in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), "utf-8")
    return path


def lua_app(
    path: Path,
    *,
    workflows: Mapping[str, str] | None = None,
    functions: Mapping[str, str] | None = None,
    processes: Mapping[str, str] | None = None,
    libraries: Mapping[str, str] | None = None,
    python: Mapping[str, str] | None = None,
    meta: Mapping[str, Mapping[str, Any]] | None = None,
    worker_options: Mapping[str, Any] | None = None,
    entries: tuple[Mapping[str, Any], ...] = (),
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write an app of namespace ``app`` whose entries may require every module.

    A Lua text is the body of ``main(...)`` (whose first argument is ``input``), or a whole source when a line
    of it starts with ``return { main``; names are entry names. The app has the worker ``app:worker`` (task
    queue ``main``), the process host ``app:host``, and imports every library under its name.

    :param python: entry name -> ``package.module:callable``.
    :param meta: entry name -> its ``meta``.
    :param worker_options: of ``app:worker``.
    :param entries: further entries, as YAML data.
    :param files: further files.
    """
    data: list[dict[str, Any]] = [
        {"name": "worker", "kind": "temporal.worker", "task_queue": "main"},
        {"name": "host", "kind": "process.host"},
    ]
    if worker_options:
        data[0]["worker_options"] = dict(worker_options)
    sources: dict[str, str] = dict(files or {})
    imports = {name: name for name in libraries or {}}
    groups = {"workflow": workflows, "function": functions, "process": processes, "library": libraries}
    for role, texts in groups.items():
        for name, text in (texts or {}).items():
            entry: dict[str, Any] = {"name": name, "kind": f"{role}.lua", "source": f"file://{name}.lua"}
            entry["modules"] = [*EVERY_MODULE, *_ONLY[role]]
            if role != "library":
                entry["imports"] = imports
            if meta and name in meta:
                entry["meta"] = meta[name]
            data.append(entry)
            sources[f"{name}.lua"] = text if role == "library" else _source(text)
    for name, call in (python or {}).items():
        entry = {"name": name, "kind": "function.python", "call": call}
        if meta and name in meta:
            entry["meta"] = meta[name]
        data.append(entry)
    data.extend(dict(entry) for entry in entries)
    sources["_index.yaml"] = yaml.safe_dump({"namespace": "app", "entries": data}, sort_keys=False)
    return write_app(path, sources)


def _source(text: str) -> str:
    text = textwrap.dedent(text).strip("\n")
    if any(line.startswith("return { main") for line in text.splitlines()):
        return text + "\n"
    head = (
        'local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")\n'
        "return { main = function(...)\nlocal input = ...\n"
    )
    return f"{head}{text}\nend }}\n"
