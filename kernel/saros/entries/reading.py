"""Reads the drafts of entries: types, defaults, references and files."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from .documents import AppFiles, Draft
from .entry import Entry, nearest_line
from .fields import Target
from .kinds import Kind
from .problems import BAD, Problem, did_you_mean, listing
from .registry import full_id

_MOST_SEARCHES: Final = 50  # looking for similar ids is slow, and so many hints help nobody


class Declared:
    """The entries that an app declares, against which references are checked.

    :param complete: ``False`` when some file could not be read.
    """

    def __init__(self, drafts: Mapping[str, Draft], kinds: Mapping[str, Kind], complete: bool) -> None:
        self.drafts = drafts
        self.kinds = kinds
        self._complete = complete
        self._by_name: dict[str, list[str]] = {}
        for draft in drafts.values():
            self._by_name.setdefault(draft.name, []).append(draft.id)
        self._hints: dict[str, str | None] = {}

    def misfit(self, entry_id: str, to: Target) -> str | None:
        """Return what the entry is, if it is not what the reference needs."""
        kind = self.kinds.get(self.drafts[entry_id].kind)
        if kind is None:  # reported already
            return None
        fits = (
            (not to.kinds or kind.name in to.kinds)
            and (not to.roles or kind.role in to.roles)
            and (not to.runtimes or kind.runtime in to.runtimes)
        )
        return None if fits else f"is a {kind.name}"

    def hint(self, entry_id: str) -> str | None:
        """Return a hint for the id of an entry that does not exist."""
        if entry_id not in self._hints:
            self._hints[entry_id] = self._search(entry_id) if len(self._hints) < _MOST_SEARCHES else None
        return self._hints[entry_id]

    def _search(self, entry_id: str) -> str | None:
        elsewhere = self._by_name.get(entry_id.rpartition(":")[2], [])[:2]
        near = elsewhere or difflib.get_close_matches(entry_id, list(self.drafts), n=2, cutoff=0.7)
        if near:
            return f"did you mean {listing(near, 'or')}?"
        return None if self._complete else "it may be in a file that could not be read"


class Reading:
    """One draft while it is read; the `Place` of its fields.

    After `entry`, `problems` shows whether the entry is valid, and `references` holds the ids that it refers to.
    """

    def __init__(self, draft: Draft, kind: Kind, declared: Declared, files: AppFiles) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.references: set[str] = set()
        self._draft = draft
        self._kind = kind
        self._declared = declared
        self._files = files
        self._paths: dict[str, Path] = {}

    def entry(self) -> Entry:
        """Return the entry, without the keys that have a problem."""
        draft, kind = self._draft, self._kind
        data = kind.table.read(draft.tree.value, "", self)
        data.setdefault("meta", {})
        self._tell_words(data)
        return Entry(
            id=draft.id,
            namespace=draft.namespace,
            name=draft.name,
            kind=kind.name,
            role=kind.role,
            runtime=kind.runtime,
            data=data,
            file=draft.file,
            line=draft.tree.lines[""],
            label=draft.label,
            lines=draft.tree.lines,
            paths=self._paths,
        )

    def _tell_words(self, data: object) -> None:
        """Warn about ``no`` and the like where they are strings: in YAML 1.1 they are booleans."""
        for path, word in self._draft.tree.words.items():
            if _at_path(data, path) == word:
                hint = "write true or false for a boolean; put it in quotes for a string"
                self.warnings.append(self._at(path, f'`{path}` is the string "{word}"', hint))

    def problem(self, path: str, message: str, hint: str | None = None) -> None:
        self.problems.append(self._at(path, message, hint))

    def unknown(self, path: str, key: str, known: Collection[str]) -> None:
        hint = did_you_mean(key, known)
        self.warnings.append(self._at(path, f"`{path}` is not a known key of a {self._kind.name}", hint))

    def ignored(self, path: str, why: str) -> None:
        self.warnings.append(self._at(path, f"`{path}` has no effect: {why}", None))

    def loose(self, path: str) -> str | None:
        return self._draft.tree.loose.get(path)

    def refer(self, path: str, reference: str, to: Target) -> object:
        target = full_id(reference, self._draft.namespace)
        if target not in self._declared.drafts:
            self.problem(
                path, f'`{path}` names "{target}", which does not exist', self._declared.hint(target)
            )
            return BAD
        other = self._declared.misfit(target, to)
        if other is not None:
            self.problem(path, f'`{path}` must name {to.target}, but "{target}" {other}')
            return BAD
        self.references.add(target)
        return target

    def locate(self, path: str, source: str, directory: bool) -> bool:
        found = self._files.locate(self._draft.file, source, directory)
        if isinstance(found, Path):
            self._paths[path] = found
            return True
        self.problem(path, f'`{path}`: the {found}: "{source}"', "paths are relative to the YAML file")
        return False

    def _at(self, path: str, message: str, hint: str | None) -> Problem:
        where = f"{self._draft.label}:{nearest_line(self._draft.tree.lines, path)}"
        return Problem(message, where, self._draft.id, hint)


def _at_path(data: object, path: str) -> object:
    """Return the value at a dotted path; None where there is none, for example because a key contains dots."""
    for key in path.split("."):
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and key.isdecimal() and int(key) < len(data):
            data = data[int(key)]
        else:
            return None
    return data
