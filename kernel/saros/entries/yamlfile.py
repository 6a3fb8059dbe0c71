"""YAML to plain data that remembers its lines.

Nodes are composed, not constructed, so that every key keeps its place. Scalars follow YAML 1.2: ``yes``,
``on``, ``12:30`` and dates are strings. Keys are always strings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .problems import BAD, Problem

_TAG: Final = "tag:yaml.org,2002:"
_WORD: Final = "!word"  # a word that was a boolean in YAML 1.1
_TEXT_TAGS: Final = frozenset({f"{_TAG}str", f"{_TAG}timestamp", f"{_TAG}value", f"{_TAG}merge", "!"})
_MERGE: Final = f"{_TAG}merge"
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LARGEST: Final = 2**63  # integers have 64 bits
_MOST_DIGITS: Final = 100  # longer numbers are too large in any case


def _core() -> Any:
    """Return a loader that reads plain scalars by YAML 1.2 (its core schema, and ``1_000``)."""
    fastest: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times as fast
    loader: Any = type("Loader", (fastest,), {"yaml_implicit_resolvers": {}})
    for tag, pattern, first in (
        (f"{_TAG}null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        (f"{_TAG}bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
        (_WORD, r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF", list("yYnNoO")),
        (f"{_TAG}int", r"[-+]?[0-9][0-9_]*|0o[0-7]+|[-+]?0x[0-9a-fA-F_]+", list("-+0123456789")),
        (f"{_TAG}float", rf"{_FLOAT.pattern}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.0123456789")),
        (_MERGE, r"<<", ["<"]),
    ):
        loader.add_implicit_resolver(tag, re.compile(rf"^(?:{pattern})$"), first)
    return loader


_Loader: Final = _core()

_ENV: Final = re.compile(r"\$\{env:([^}|]*)(?:\|([^}]*))?(\}?)")
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_MOST_NODES: Final = 100_000  # aliases of aliases can blow up a small file
_DEEPEST: Final = 100
_MANY_BRACKETS: Final = 500  # half of what libyaml itself allows, where it has a limit
_NESTED_ITEMS: Final = re.compile(r"(?:[-?] +){100}")


class Tree:
    """The data below one node.

    :param value: dict, list, string, number, boolean or ``None``; `BAD` where there is a fault.
    :param lines: dotted path of each key and list item -> line.
    :param loose: paths of strings whose type the key decides (``yes``, or the value of ``${env:NAME}``)
        -> the text in the file.
    :param words: the paths of values that were booleans in YAML 1.1.
    :param faults: line, message and hint of each mistake in the YAML itself.
    """

    def __init__(self, node: Node, env: Mapping[str, str]) -> None:
        self.lines: dict[str, int] = {"": line_of(node)}
        self.loose: dict[str, str] = {}
        self.words: dict[str, str] = {}
        self.faults: list[tuple[int, str, str | None]] = []
        self._env = env
        self._open: set[int] = set()  # nodes being read: an alias to one of them never ends
        self._count = 0
        self._spent = False  # an endless expansion is reported once
        self.value: Any = self._read(node, "")

    def _read(self, node: Node, path: str) -> Any:
        if self._spent:
            return BAD
        self._count += 1
        if id(node) in self._open or len(self._open) >= _DEEPEST or self._count > _MOST_NODES:
            self._spent = True
            self._fault(node, "the YAML here is nested too deeply, or its aliases expand without end", None)
            return BAD
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        self._open.add(id(node))
        try:
            return self._mapping(node, path) if isinstance(node, MappingNode) else self._sequence(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, path: str) -> Any:
        if node.tag != f"{_TAG}map":
            return self._foreign(node)
        data: dict[str, Any] = {}
        self._fill(data, node, path)
        return data

    def _fill(self, data: dict[str, Any], node: MappingNode, path: str) -> None:
        """Add the keys that are not there yet; the keys of ``<<`` come after those beside it."""
        first: dict[str, int] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._fault(key_node, "a key must be a string", None)
                continue
            if key_node.tag == _MERGE:
                merged.append(value_node)
                continue
            key, line = key_node.value, line_of(key_node)
            if key in first:
                self._fault(
                    key_node, f"`{key}` is given twice, first in line {first[key]}", "remove one of the two"
                )
                continue
            first[key] = line
            if key not in data:
                sub = f"{path}.{key}" if path else key
                self.lines[sub] = line
                data[key] = self._read(value_node, sub)
        for value_node in merged:
            for source in value_node.value if isinstance(value_node, SequenceNode) else [value_node]:
                if not isinstance(source, MappingNode) or id(source) in self._open:
                    self._fault(value_node, "`<<` must name another mapping, or a list of mappings", None)
                    continue
                self._open.add(id(source))
                self._fill(data, source, path)
                self._open.discard(id(source))

    def _sequence(self, node: Node, path: str) -> Any:
        if node.tag != f"{_TAG}seq":
            return self._foreign(node)
        data = []
        for index, item in enumerate(node.value):
            sub = f"{path}.{index}" if path else str(index)
            self.lines[sub] = line_of(item)
            data.append(self._read(item, sub))
        return data

    def _scalar(self, node: ScalarNode, path: str) -> Any:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        if node.tag in _TEXT_TAGS:
            return self._text(node, text, path)
        if kind == "null":
            return None
        if node.tag == _WORD or (kind == "bool" and text.lower() not in ("true", "false")):
            self.loose[path] = self.words[path] = text
            return text
        if kind == "bool":
            return text.lower() == "true"
        if kind in ("int", "float"):
            return self._number(node, text)
        return self._foreign(node)

    def _number(self, node: ScalarNode, text: str) -> Any:
        digits = text.replace("_", "")
        try:
            if node.tag == f"{_TAG}float":
                if _FLOAT.fullmatch(digits) is None:
                    self._fault(node, f"{text} is not allowed in an entry", "use a finite number")
                    return BAD
                number = float(digits)
                return self._too_large(node, text) if math.isinf(number) else number
            plain = re.fullmatch(r"[-+]?[0-9]+", digits)  # a leading zero has no meaning
            whole = int(digits[:_MOST_DIGITS], 10 if plain else 0)
            return whole if -_LARGEST <= whole < _LARGEST else self._too_large(node, text)
        except ValueError:
            self._fault(node, f'"{text}" is not a number', "put it in quotes to make it a string")
            return BAD

    def _too_large(self, node: ScalarNode, text: str) -> Any:
        self._fault(node, f"{shown(text)} is too large for a number", "put it in quotes to make it a string")
        return BAD

    def _text(self, node: ScalarNode, text: str, path: str) -> Any:
        if "${env:" not in text:
            return text
        self.loose[path] = text
        faults = len(self.faults)
        resolved = _ENV.sub(lambda match: self._variable(node, match), text)
        return resolved if len(self.faults) == faults else BAD

    def _variable(self, node: ScalarNode, match: re.Match[str]) -> str:
        name, default, closed = match.groups()
        if not closed or not _ENV_NAME.fullmatch(name):
            self._fault(
                node,
                f"`{match[0]}` is not a reference to an environment variable",
                "write ${env:NAME} or ${env:NAME|default}",
            )
            return ""
        if name in self._env:
            return self._env[name]
        if default is None:
            self._fault(
                node,
                f"the environment variable {name} is not set",
                f"set it, or give a default: ${{env:{name}|default}}",
            )
            return ""
        return str(default)

    def _foreign(self, node: Node) -> Any:
        self._fault(node, f"the YAML tag {node.tag} is not supported", "write the value without a tag")
        return BAD

    def _fault(self, node: Node, message: str, hint: str | None) -> None:
        self.faults.append((line_of(node), message, hint))


def shown(text: str) -> str:
    """Return a value's text as messages show it."""
    return text if len(text) <= 40 else text[:37] + "..."


def line_of(node: Node) -> int:
    """Return the line of a node in its file, from 1."""
    return int(node.start_mark.line) + 1


def compose(file: Path, label: str) -> Iterator[Node | Problem]:
    """Yield the documents of a file, or the reason why it cannot be read.

    :param label: the file's name in problems.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        yield Problem(f"the file cannot be read: {error.strerror or error}", label)
        return
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        yield Problem("the file is not UTF-8 text", f"{label}:{line}", hint="save it in UTF-8")
        return
    try:
        if _too_deep(text):
            yield Problem("the YAML is nested too deeply", label)
            return
        yield from [node for node in yaml.compose_all(text, Loader=_Loader) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{label}:{mark.line + 1}:{mark.column + 1}" if mark else label
        parts = [part for part in (error.context, error.problem) if part]
        yield Problem(f"this is not valid YAML: {', '.join(parts)}", where)
    except yaml.YAMLError as error:
        yield Problem(f"this is not valid YAML: {str(error).splitlines()[0]}", label)


def _too_deep(text: str) -> bool:
    """Return whether composing would exhaust the C stack, which libyaml's binding does not guard."""
    if text.count("[") + text.count("{") < _MANY_BRACKETS and not _NESTED_ITEMS.search(text):
        return False
    try:
        return _nests(text, _Loader)
    except yaml.MarkedYAMLError:
        # Some releases of libyaml refuse deep nesting while they look ahead; PyYAML's own parser goes step by step.
        return _nests(text, yaml.SafeLoader)


def _nests(text: str, loader: Any) -> bool:
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                return True
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return False
