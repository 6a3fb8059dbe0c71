"""A deployment: one application with the plugins that run it. Drivers look up entries and their code here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..entries import Entry, Registry
from ..model.errors import CodeError
from ..model.text import json_visible, one_line
from ..model.turns import Turns
from ..model.values import Json
from .module import Module, Service
from .program import Facts, Program
from .runtime import Functions, Runtime

if TYPE_CHECKING:
    from .observer import Observer


class Deployment:
    """:param programs: runtime name -> the runtime that makes programs from its entries.
    :param functions: runtime name -> the runtime that runs its functions.
    """

    def __init__(
        self,
        registry: Registry,
        programs: Mapping[str, Runtime],
        functions: Mapping[str, Functions],
        modules: Mapping[str, Module] | None = None,
    ) -> None:
        self.registry = registry
        self.programs = programs
        self.functions = functions
        self.version = 0
        """The number of reloads of the app. A program that an older version made runs older code."""
        self.observer: Observer | None = None
        """The app's observer; None if there is none."""
        self.turns = Turns()
        """The turns of its programs in the event loop."""
        self.services: dict[str, Service] = {}
        for module in (modules or {}).values():
            self.services.update(module.services)

    def program(self, entry: Entry, *, workflow: bool, facts: Facts, trace: bool = False) -> Program:
        """Return a new program of an entry; with `trace`, it records the line of each command.

        :raises CodeError: when its code cannot be loaded.
        """
        runtime = self.programs.get(entry.runtime)
        if runtime is None:
            raise CodeError(f"no installed plugin runs entries of kind {entry.kind}", where=entry.where())
        return runtime.program(entry, workflow=workflow, facts=facts, trace=trace)

    def adopt(self, newer: Deployment) -> None:
        """Take over the entries and code of a reloaded app. Running programs keep the code that they have."""
        self.registry, self.services = newer.registry, newer.services
        self.programs, self.functions = newer.programs, newer.functions
        self.version += 1

    def refresh(self) -> None:
        """Read sources again, after code failed to run."""
        for runtime in self.programs.values():
            runtime.refresh()

    def log(self, level: str, message: str, fields: Json, name: str, about: Mapping[str, Any]) -> None:
        """Write a log record of an entry's code.

        :param name: the entry and the execution.
        :param about: the record's fields, see `saros.interfaces.observer.FIELDS`.
        """
        logger = logging.getLogger("saros.app")
        number = logging.getLevelName(level.upper())
        if isinstance(number, int) and logger.isEnabledFor(number):
            text = "" if fields in (b"", b"{}", b"[]") else " " + json_visible(fields.decode())
            parts = {"message": message, "fields": msgspec.json.decode(fields or b"{}"), "source": name}
            extra = {"saros": parts, **about}
            logger.log(number, "%s%s [%s]", one_line(message), text, one_line(name), extra=extra)
