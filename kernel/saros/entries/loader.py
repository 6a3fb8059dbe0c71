"""Loads an application."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from . import rules
from .documents import AppFiles, Document, Draft
from .entry import Entry
from .kinds import Kind, by_name
from .problems import Problem, did_you_mean, in_order, listing
from .reading import Declared, Reading
from .registry import AppError, Registry
from .yamlfile import compose

_PLUGINS: Final = {"http": "saros-http"}
"""The first word of a kind -> the plugin that supplies it, for hints."""


def load(
    path: str | os.PathLike[str],
    kinds: Iterable[Kind],
    env: Mapping[str, str] | None = None,
    known_modules: Collection[str] | None = None,
    absent: Mapping[str, str] | None = None,
) -> Registry:
    """Read and check all entries of an app.

    :param path: the app directory.
    :param kinds: the kinds that entries may have.
    :param env: what ``${env:NAME}`` refers to; default: the environment.
    :param known_modules: names that ``modules`` may list; ``None`` leaves that unchecked.
    :param absent: hints for names that are absent here but exist in the language elsewhere.
    :raises AppError: with all problems at once.
    """
    return _Loading(AppFiles(path), by_name(kinds), os.environ if env is None else env).load(
        known_modules, absent or {}
    )


class _Loading:
    def __init__(self, files: AppFiles, kinds: Mapping[str, Kind], env: Mapping[str, str]) -> None:
        self.files = files
        self.kinds = kinds
        self.env = Used(env)
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.drafts: dict[str, Draft] = {}
        self.faulty: set[str] = set()  # ids of entries that have a problem
        self.told: set[str] = set()  # unknown kinds
        self.references: dict[str, set[str]] = {}
        self.complete = True  # whether all entries are known

    def load(self, known_modules: Collection[str] | None, absent: Mapping[str, str]) -> Registry:
        for file in self.files.yaml_files():
            label = self.files.label(file)
            for node in compose(file, label):
                if isinstance(node, Problem):
                    self.problems.append(node)
                    self.complete = False
                else:
                    self.declare(Document(node, file, label, self.env))
        self.problems += self.files.problems
        self.warnings += self.files.warnings
        if not self.drafts and not self.problems:
            raise AppError([Problem(f'the app "{self.files.root.name}" has no entries', hint=_FIRST_ENTRY)])
        entries = self.read()
        self.check_together(entries, known_modules, absent)
        self.check_each(entries)
        warnings = in_order(map(self.env.hide, self.warnings))
        if self.problems:
            raise AppError(
                map(self.env.hide, self.problems), Registry(self.files.root, self.valid(entries), warnings)
            )
        return Registry(self.files.root, entries, warnings)

    def declare(self, document: Document) -> None:
        """Record the ids and kinds of a document's entries."""
        for draft in document.drafts():
            first = self.drafts.setdefault(draft.id, draft)
            if first is not draft:
                message = f"the id is given twice, first at {first.where}"
                self.report(Problem(message, draft.where, draft.id, "rename one of the two"))
            elif draft.kind and draft.kind not in self.kinds:
                self.unknown_kind(draft)
        for problem in document.problems:
            self.report(problem)
        self.warnings += document.warnings
        self.complete = self.complete and document.complete

    def unknown_kind(self, draft: Draft) -> None:
        """Report kinds of other runtimes once, for their first entry."""
        kind, where = draft.kind, f"{draft.label}:{draft.tree.lines['kind']}"
        self.faulty.add(draft.id)
        foreign = rules.foreign_kind(kind)
        descriptive = kind.partition(".")[0] == rules.META
        if kind in self.told and (foreign or descriptive):
            return
        self.told.add(kind)
        if descriptive:
            message = f'the kind "{kind}" has no meaning here: its entries are skipped'
            self.warnings.append(Problem(message, where, draft.id, warning=True))
        elif foreign:
            message, hint = foreign
            self.report(Problem(message, where, draft.id, hint))
        else:
            self.report(Problem(f'the kind "{kind}" is unknown', where, draft.id, self.kind_hint(kind)))

    def read(self) -> dict[str, Entry]:
        """Read the entries of known kinds."""
        declared = Declared(self.drafts, self.kinds, self.complete)
        entries = {}
        for draft in self.drafts.values():
            kind = self.kinds.get(draft.kind)
            if kind is None:
                self.faulty.add(draft.id)
                continue
            reading = Reading(draft, kind, declared, self.files)
            entries[draft.id] = reading.entry()
            self.references[draft.id] = reading.references
            self.warnings += reading.warnings
            for problem in reading.problems:
                self.report(problem)
        return entries

    def check_together(
        self, entries: Mapping[str, Entry], known_modules: Collection[str] | None, absent: Mapping[str, str]
    ) -> None:
        valid = [entry for entry in entries.values() if entry.id not in self.faulty]
        found = [
            *rules.one_type_one_workflow(valid),
            *rules.every_workflow_has_a_worker(valid),
            *rules.every_worker_has_a_client(valid),
            *rules.no_import_cycles(entries),
            *rules.no_dependency_cycles(entries),
        ]
        if known_modules is not None:
            found += rules.modules_exist(entries.values(), known_modules, absent)
        for problem in found:
            self.report(problem)

    def check_each(self, entries: Mapping[str, Entry]) -> None:
        """Run the kinds' own checks, which see valid entries only."""
        valid = self.valid(entries)
        registry = Registry(self.files.root, valid)
        for entry in valid.values():
            for problem in self.kinds[entry.kind].check(entry, registry):
                (self.warnings if problem.warning else self.problems).append(problem)

    def valid(self, entries: Mapping[str, Entry]) -> dict[str, Entry]:
        """Return the entries that have no problem and refer to none that has one."""
        valid = {entry_id: entry for entry_id, entry in entries.items() if entry_id not in self.faulty}
        while lost := [entry_id for entry_id in valid if not self.references[entry_id] <= valid.keys()]:
            for entry_id in lost:
                del valid[entry_id]
        return valid

    def report(self, problem: Problem) -> None:
        self.problems.append(problem)
        if problem.entry:
            self.faulty.add(problem.entry)

    def kind_hint(self, kind: str) -> str:
        family = kind.partition(".")[0]
        plugin = _PLUGINS.get(family)
        if plugin is not None and not any(name.startswith(f"{family}.") for name in self.kinds):
            return f"install the plugin {plugin}, which supplies the kinds {family}.*"
        return did_you_mean(kind, self.kinds) or f"the kinds are {listing(sorted(self.kinds), 'and')}"


_FIRST_ENTRY: Final = (
    "write an `_index.yaml` with a `namespace` and `entries`; `saros new DIR` makes an example"
)


SHORT = 4
"""The least number of characters of a secret; shorter text is part of many words."""


class Used(Mapping[str, str]):
    """An environment that remembers which variables were read."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._read: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        value = self._read[name] = self._env[name]
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._env

    def __iter__(self) -> Iterator[str]:
        return iter(self._env)

    def __len__(self) -> int:
        return len(self._env)

    def hide(self, problem: Problem) -> Problem:
        """Return the problem with references to variables in place of their values."""
        message, hint = problem.message, problem.hint
        for name, value in sorted(self._read.items(), key=lambda item: -len(item[1])):
            if len(value) >= SHORT:
                message = message.replace(value, f"${{env:{name}}}")
                hint = hint and hint.replace(value, f"${{env:{name}}}")
        return msgspec.structs.replace(problem, message=message, hint=hint)
