"""The YAML files of an application directory, and the entries that they declare."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .problems import BAD, Problem, did_you_mean
from .registry import AppError
from .yamlfile import Tree, line_of

_OWN: Final = ("namespace", "version")
_HEADER: Final = (*_OWN, "entries", "meta")
_VERSIONS: Final = ("1.0", 1.0, "1")
_NAMESPACE: Final = re.compile(r"[\w-]+(\.[\w-]+)*")
_NAME: Final = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, eq=False)
class Draft:
    """An entry of which only the id and the kind are known."""

    id: str
    namespace: str
    name: str
    kind: str
    tree: Tree
    file: Path
    label: str

    @property
    def where(self) -> str:
        return f"{self.label}:{self.tree.lines['']}"


class Document:
    """One YAML document of an app.

    :param label: the file's name in problems.
    """

    def __init__(self, root: Node, file: Path, label: str, env: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.complete = True  # whether all entries of the document are known
        self._root = root
        self._file = file
        self._label = label
        self._env = env

    def drafts(self) -> Iterator[Draft]:
        """Yield the entries; none, without a problem, when the document is some other YAML."""
        if not isinstance(self._root, MappingNode):
            return
        nodes = {key.value: value for key, value in self._root.value if isinstance(key, ScalarNode)}
        if "namespace" not in nodes and "entries" not in nodes:
            return
        single = "entries" not in nodes and ("kind" in nodes or "name" in nodes)
        header = self._header(single)
        namespace = self._namespace(header)
        if not single and "entries" not in nodes:
            self._problem("the file has a namespace, but neither `entries` nor `name` and `kind`", 0)
        elif namespace is None:
            self.complete = False
        elif single:
            yield from self._draft(self._without_header(self._root), namespace)
        else:
            yield from self._list(nodes["entries"], namespace)

    def _header(self, single: bool) -> Tree:
        """Check the keys of the file itself; the content of entries and anchors is checked later."""
        nothing = ScalarNode("tag:yaml.org,2002:null", "", self._root.start_mark, self._root.end_mark)
        pairs = [
            (key, value if key.value in _OWN else nothing)
            for key, value in self._root.value
            if not single or key.value in _OWN
        ]
        tree = Tree(MappingNode(self._root.tag, pairs, self._root.start_mark, self._root.end_mark), self._env)
        self._report_faults(tree, "")
        header = tree.value if isinstance(tree.value, dict) else {}
        version = header.get("version")
        if version is not None and version is not BAD and version not in _VERSIONS:
            where = f"{self._label}:{tree.lines['version']}"
            message = f'`version` is "{version}"; the file is read as version "1.0"'
            self.warnings.append(Problem(message, where, warning=True))
        for key in () if single else header:
            if key not in _HEADER and not key.startswith("x-"):
                where = f"{self._label}:{tree.lines[key]}"
                self.warnings.append(
                    Problem(f"`{key}` is not a known key here", where, hint=did_you_mean(key, _HEADER))
                )
        return tree

    def _namespace(self, header: Tree) -> str | None:
        value = header.value.get("namespace") if isinstance(header.value, dict) else BAD
        if value is BAD:
            return None
        if value is None:
            self._problem("the file has entries, but no `namespace`", header.lines[""], "add namespace: app")
            return None
        if not isinstance(value, str) or not _NAMESPACE.fullmatch(value):
            hint = 'use letters, digits, "_" and "-", and "." between the parts, as in "shop.orders"'
            self._problem(f'"{value}" is not a namespace', header.lines["namespace"], hint)
            return None
        return value

    def _list(self, node: Node, namespace: str) -> Iterator[Draft]:
        if not isinstance(node, SequenceNode):
            self.complete = False
            self._problem("`entries` must be a list", line_of(node), "begin each entry with `- name: …`")
            return
        for item in node.value:
            yield from self._draft(item, namespace)

    def _draft(self, node: Node, namespace: str) -> Iterator[Draft]:
        tree = Tree(node, self._env)
        data = tree.value
        if not isinstance(data, dict):
            self._report_faults(tree, "")
            self._problem("an entry must be a mapping with `name` and `kind`", tree.lines[""])
            return
        name, kind = data.pop("name", None), data.pop("kind", None)
        name_known = self._is_text(tree, "name", name)
        if name_known and not _NAME.fullmatch(name):
            hint = 'begin with a letter or digit, and use letters, digits, "_", "-" and "."'
            self._problem(f'"{name}" is not a name for an entry', tree.lines["name"], hint)
            name_known = False
        entry_id = f"{namespace}:{name}" if name_known else ""
        self._report_faults(tree, entry_id)
        if not name_known:
            self.complete = False
        # An entry without a kind is still declared: references to it are not at fault.
        kind_known = self._is_text(tree, "kind", kind, entry_id)
        if name_known:
            yield Draft(entry_id, namespace, name, kind if kind_known else "", tree, self._file, self._label)

    def _is_text(self, tree: Tree, key: str, value: Any, entry_id: str = "") -> bool:
        if isinstance(value, str) and value:
            return True
        if value is not BAD:
            message = f"the entry has no `{key}`" if value in (None, "") else f"`{key}` must be a string"
            self._problem(message, tree.lines.get(key, tree.lines[""]), entry=entry_id)
        return False

    def _report_faults(self, tree: Tree, entry_id: str) -> None:
        for line, message, hint in tree.faults:
            self._problem(message, line, hint, entry_id)

    def _problem(self, message: str, line: int, hint: str | None = None, entry: str = "") -> None:
        where = f"{self._label}:{line or line_of(self._root)}"
        self.problems.append(Problem(message, where, entry, hint))

    @staticmethod
    def _without_header(root: Node) -> Node:
        pairs = [(key, value) for key, value in root.value if key.value not in _OWN]
        return MappingNode(root.tag, pairs, root.start_mark, root.end_mark)


_YAML = (".yaml", ".yml")


class AppFiles:
    """An app directory.

    :param path: as the user gave it.
    :raises AppError: when it is not a directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        given = Path(path)
        try:
            self.root = given.resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise AppError([Problem(f'"{given}" is not a valid path of an app: {error}')]) from error
        if not self.root.is_dir():
            raise AppError([_no_directory(given)])
        # Relative paths stay as given, so that terminals and editors find the file from the current directory.
        self._shown = self.root.name if given.is_absolute() else os.path.normpath(given)
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def label(self, file: Path) -> str:
        """Return the name of a file below the root, as errors show it."""
        return Path(self._shown, os.path.relpath(file, self.root)).as_posix()

    def yaml_files(self) -> Iterator[Path]:
        """Yield all YAML files in a stable order, without hidden ones such as the lock files of editors."""
        for folder, folders, files in os.walk(self.root, onerror=self._unreadable):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            here = Path(folder)
            for name in folders:
                self._look_at_link(here / name)
            for name in sorted(files):
                if name.endswith(_YAML) and not name.startswith(".") and self._inside(here / name):
                    yield here / name

    def locate(self, file: Path, source: str, directory: bool) -> Path | str:
        """Return the path that `source` names, relative to a YAML file, or a sentence that says why it is wrong."""
        noun = "directory" if directory else "file"
        try:
            path = Path(os.path.normpath(file.parent / source))
            if not path.is_relative_to(self.root):
                return f"{noun} is outside the app directory"
            real = path.resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError):
            return f"{noun} does not exist"
        except (OSError, RuntimeError, ValueError) as error:
            return f"{noun} cannot be read: {getattr(error, 'strerror', None) or error}"
        if not real.is_relative_to(self.root):
            return f"{noun} is a link that leaves the app directory"
        if not (real.is_dir() if directory else real.is_file()):
            return f"path is not a {noun}"
        return real

    def _inside(self, file: Path) -> bool:
        if not self._leaves(file):
            return True
        self.problems.append(
            Problem(
                "the file is a link that leaves the app directory", self.label(file), hint="copy the file"
            )
        )
        return False

    def _leaves(self, path: Path) -> bool:
        return path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(self.root)

    def _look_at_link(self, folder: Path) -> None:
        if self._leaves(folder):
            self.warnings.append(
                Problem("the link leaves the app directory; no entries are read there", self.label(folder))
            )

    def _unreadable(self, error: OSError) -> None:
        where = self.label(Path(error.filename))
        self.problems.append(Problem(f"the directory cannot be read: {error.strerror}", where))


def _no_directory(given: Path) -> Problem:
    if given.is_file():
        return Problem(
            f'"{given}" is a file, but an app is a directory', hint=f'give the directory: "{given.parent}"'
        )
    return Problem(f'there is no app directory "{given}"', hint="`saros new DIR` makes one")
