"""Every code block of the documentation runs.

The blocks of a page run in order, in a directory that has `examples/`:

* a block with a title, such as ```` ```lua title="shop/order.lua" ````, is a file; at the end of the page, its apps
  are checked and its tests run;
* ``lua``: the body of a workflow's ``main``, or a whole source with one; it runs with an order, in virtual time;
* ``yaml``: entries to add to the orders example, or a whole file of them;
* ``python``: a program; ``json`` and ``toml``: only parsed; ``text``: ignored;
* ``sh`` and ``console``: commands; the lines after a ``$ `` line are its output, in which ``…`` stands for anything.
  Log lines are left out, since their place among the others varies.

The blocks of pages about servers (`docs/backends`) are only compiled; of their commands, the arguments are parsed.

A comment in front of a block changes how it is tested: ``<!-- test: function -->`` (it is the body of a function
instead of a workflow), ``<!-- test: fails TEXT -->`` (it fails with this text), ``<!-- test: parse -->`` (its
commands need a server, so only their arguments are parsed).
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
import yaml

from saros.app.loading import check_app
from saros.app.plugins import installed
from saros.model.errors import Error
from saros_cli import main
from saros_cli.main import _assemble
from saros_lua.sandbox.chunks import compile_user
from saros_testing import TestApp

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/orders/README.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
ORDER = {
    "id": "123",
    "customer_id": "c-42",
    "total": 99.5,
    "shipping_address": "12 High Street",
    "items": [{"sku": "lamp", "price": 40}],
}
FENCE = re.compile(r"^```(?P<language>\w*)(?: +title=\"(?P<title>[^\"]+)\")?(?P<rest>.*)$")
HINT = re.compile(r"<!-- test: (?P<words>.*?) -->")
LOG = re.compile(r"^\d\d:\d\d:\d\d (debug|info|warning|error) .*\n", re.MULTILINE)
MODULES = ("funcs", "time", "json", "logger", "ctx", "uuid", "crypto", "hash", "workflow")


class Block(NamedTuple):
    language: str
    title: str
    hint: str
    line: int
    text: str


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    hint, opened, lines = "", None, []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        bare = line.strip()
        if opened is not None:
            if bare == "```":
                text = textwrap.dedent("\n".join(lines)) + "\n"
                found.append(Block(opened[0], opened[1], hint, opened[2], text))
                opened, hint = None, ""
            else:
                lines.append(line)
        elif match := FENCE.match(bare):
            assert not match["rest"], (
                f"{page.name}:{number}: {bare} is not a fence that this test understands"
            )
            opened, lines = (match["language"], match["title"] or "", number), []
        elif comment := HINT.fullmatch(bare):
            hint = comment["words"]
        elif bare:
            hint = ""
    assert opened is None, f"{page.name}: the block at line {opened} has no end"
    return found


def look_at(block: Block) -> None:
    """Compile a block that would need a server to run."""
    if block.language == "lua":
        compile_user(f"return function(...) {block.text}\nend".encode(), "page.lua")
    elif block.language == "yaml":
        yaml.safe_load(block.text)
    elif block.language == "python":
        compile(block.text, "page.py", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    elif block.language in ("sh", "bash", "console"):
        for line in block.text.replace("\\\n", " ").splitlines():
            for words in _parts(line.removeprefix("$ ")):
                if words[0] == "saros":
                    _parse(words[1:])


class Runner:
    """Runs the blocks of one page."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.monkeypatch = monkeypatch
        self.apps: set[Path] = set()
        self.tests: list[Path] = []
        shutil.copytree(ROOT / "examples", path / "examples")
        monkeypatch.chdir(path)
        monkeypatch.delenv("SAROS_BACKEND", raising=False)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setenv("API_TOKEN", "secret")
        monkeypatch.setenv("ORDERS_ADDR", "127.0.0.1:0")

    def run(self, block: Block) -> None:
        if block.title:
            file = self.path / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text.replace("127.0.0.1:8080", "127.0.0.1:0"), "utf-8")  # a free port
            if file.suffix == ".yaml":
                self.apps.add(file.parent)
            if file.name.startswith("test_"):
                self.tests.append(file)
            return
        kinds: dict[str, Callable[[Block], None]] = {
            "lua": self.lua,
            "yaml": self.yaml,
            "python": self.python,
            "sh": self.shell,
            "console": self.shell,
            "json": lambda block: json.loads(block.text),
            "toml": lambda block: tomllib.loads(block.text) and None,
            "text": lambda block: None,
        }
        kinds[block.language](block)

    def orders(self, extra: dict[str, str]) -> Path:
        """A copy of the orders example, with more files."""
        app = self.path / f"orders{len(list(self.path.glob('orders*')))}"
        shutil.copytree(ROOT / "examples" / "orders", app)
        for name, text in extra.items():
            (app / name).write_text(text, "utf-8")
        return app

    def lua(self, block: Block) -> None:
        words = block.hint.split(maxsplit=1)
        role = "function" if words[:1] == ["function"] else "workflow"
        modules = [name for name in MODULES if role == "workflow" or name != "workflow"]
        source = block.text
        if "return { main = main }" not in source:
            head = "".join(f'local {name} = require("{name}") ' for name in modules)
            source = f"{head} local function main(order) {block.text}\nend\nreturn {{ main = main }}\n"
        entry = {"name": "page", "kind": f"{role}.lua", "source": "file://page.lua", "method": "main"}
        index = {"namespace": "app", "entries": [{**entry, "modules": modules}]}
        app_path = self.orders({"page.lua": source, "page.yaml": yaml.safe_dump(index)})

        async def scenario() -> None:
            async with asyncio.timeout(100), TestApp(app_path) as app:
                if role == "function":
                    await app.call("app:page", ORDER)
                    return
                handle = await app.start("app:page", ORDER, messages=[("approve", {"approved_by": "admin"})])
                await handle.result(timeout=90)
                await app.replay(handle.id)

        if words[:1] == ["fails"]:
            with pytest.raises(Error, match=re.escape(words[1])):
                asyncio.run(scenario())
        else:
            asyncio.run(scenario())

    def yaml(self, block: Block) -> None:
        text = block.text
        if text.startswith("- "):
            text = "namespace: app\nentries:\n" + textwrap.indent(text, "  ")
        check_app(self.orders({"page.yaml": text}))

    def python(self, block: Block) -> None:
        file = self.path / f"block{block.line}.py"
        file.write_text(block.text, "utf-8")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            runpy.run_path(str(file), run_name="__main__")
        told = [
            line.split("  # ", 1)[1]
            for line in block.text.splitlines()
            if "print(" in line and "  # " in line
        ]
        assert out.getvalue().splitlines()[: len(told)] == told

    def finish(self) -> None:
        """Check the apps and run the tests that the page contains."""
        for app in self.apps:
            check_app(app)
        if self.tests:
            without = [
                word
                for name in ("cacheprovider", "xdist", "hypothesispytest")
                for word in ("-p", f"no:{name}")
            ]
            installed = any(point.name == "saros" for point in entry_points(group="pytest11"))
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                *without,
                *(() if installed else ("-p", "saros.testing.pytest_plugin")),
                "--rootdir",
                str(self.path),
                *self.tests,
            ]
            done = subprocess.run(command, capture_output=True, text=True, cwd=self.path, timeout=120)
            assert done.returncode == 0, done.stdout + done.stderr

    # --- commands ---------------------------------------------------------------------------

    def shell(self, block: Block) -> None:
        for command, output in _commands(block):
            for part in _parts(command):
                self.command(part, output, parse=block.hint == "parse")

    def command(self, words: list[str], output: str, *, parse: bool) -> None:
        match words:
            case ["saros", *args] if parse:
                _parse(args)
            case ["saros", *args]:
                self.saros(args, output)
            case ["pip", "install", *targets]:
                for target in targets:
                    assert not target.startswith(".") or (ROOT / target / "pyproject.toml").exists(), target
            case ["tox", *args]:
                known = {"-e", "docs", "lint", "py311", "py312", "py313", "--"}
                assert all(word in known or word.startswith("tests") for word in args), args
            case ["cd", directory]:
                self.monkeypatch.chdir(directory)
            case ["export", setting]:
                if not parse:
                    self.monkeypatch.setenv(*setting.split("=", 1))
            case _:
                raise AssertionError(f"this test does not know how to run {words}")

    def saros(self, args: list[str], expected: str) -> None:
        written = io.StringIO()
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
            status = main(args)
        shown = LOG.sub("", written.getvalue())
        if not expected:
            assert status == 0, shown
            return
        pattern = ".*?".join(re.escape(part) for part in re.split("…", expected.strip()))
        assert re.fullmatch(pattern, shown.strip(), re.DOTALL), f"\nshown:\n{shown}\nexpected:\n{expected}"


def _commands(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a block, each with its expected output."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "sh":
        return [(line, "") for line in lines if line and not line.startswith("#")]
    found: list[tuple[str, str]] = []
    for line in lines:
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            command, output = found.pop()
            found.append((command, f"{output}{line}\n"))
    return found


def _parts(command: str) -> list[list[str]]:
    """Split a line at ``&&`` into commands, each as words."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="&")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    parts: list[list[str]] = [[]]
    for word in lexer:
        if word == "&&":
            parts.append([])
        elif word != "&":
            parts[-1].append(word)
    return [part for part in parts if part]


def _parse(args: list[str]) -> None:
    args = args[: args.index(">")] if ">" in args else args
    group: Any = typer.main.get_command(_assemble())
    command = group.get_command(group.make_context("saros", [args[0]]), args[0])
    assert command is not None, args[0]
    command.make_context(args[0], args[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page.name == "http.md" and "http" not in installed().distributions:
        pytest.skip("the plugin saros-http is not installed")
    runner = Runner(tmp_path, monkeypatch)
    for block in blocks(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        assert block.language, f"{where}: the block has no language; mark it text if it does not run"
        try:
            (look_at if page.parent.name == "backends" else runner.run)(block)
        except Exception as raised:
            raised.add_note(f"in the block at {where}")
            raise
    runner.finish()


LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    assert not missing
