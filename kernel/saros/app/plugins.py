"""Finds plugins, and collects what they supply."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

from ..model.errors import INVALID, NOT_FOUND, Error
from ..model.text import shown, without_secrets
from . import hookspecs

if TYPE_CHECKING:
    from ..entries import Kind
    from ..interfaces.module import Module
    from .hookspecs import BackendPlugin, GuardPlugin, ObserverPlugin, RuntimePlugin, ServicePlugin

GROUP = "saros"

FIRST_PARTY = {
    "redis": "saros-redis",
    "rediss": "saros-redis",
    "temporal": "saros-temporal",
    "http": "saros-http",
}
"""Distributions that supply missing plugins, for hints."""

_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*")


class Broken(NamedTuple):
    """A plugin that could not be loaded, and why."""

    name: str
    distribution: str
    reason: str


class Plugins:
    """The installed plugins."""

    def __init__(self, points: Sequence[EntryPoint] | None = None) -> None:
        self.manager = pluggy.PluginManager("saros")
        self.manager.add_hookspecs(hookspecs)
        self.broken: list[Broken] = []
        self.distributions: dict[str, str] = {}
        for point in sorted(entry_points(group=GROUP) if points is None else points, key=lambda p: p.name):
            self._load(point)

    def _load(self, point: EntryPoint) -> None:
        distribution = f"{point.dist.name} {point.dist.version}" if point.dist else ""
        try:
            self.manager.register(point.load(), name=point.name)
            self.manager.check_pending()
        except Exception as exc:  # a plugin's failure must not stop Saros; `saros plugins` reports it
            if self.manager.has_plugin(point.name):
                self.manager.unregister(name=point.name)
            self.broken.append(Broken(point.name, distribution, f"{type(exc).__name__}: {exc}"))
            return
        self.distributions[point.name] = distribution

    def _all(self, hook: str) -> list[Any]:
        return [item for items in getattr(self.manager.hook, hook)() for item in items]

    def kinds(self) -> list[Kind]:
        """The kernel's kinds of entries, and those of plugins."""
        from ..entries.core import CORE_KINDS

        return [*CORE_KINDS, *self._all("saros_kinds")]

    def modules(self) -> dict[str, Module]:
        return {module.name: module for module in self._all("saros_modules")}

    def runtimes(self) -> list[RuntimePlugin]:
        return self._all("saros_runtimes")

    def services(self) -> list[ServicePlugin]:
        return self._all("saros_services")

    def observers(self) -> list[ObserverPlugin]:
        return self._all("saros_observers")

    def guards(self) -> list[GuardPlugin]:
        return self._all("saros_guards")

    def backends(self) -> dict[str, BackendPlugin]:
        return {backend.scheme: backend for backend in self._all("saros_backends")}

    def supplies(self) -> dict[str, dict[str, list[str]]]:
        """Plugin -> category -> names, for everything that plugins supply; failing hooks are under ``failed``."""
        result: dict[str, dict[str, list[str]]] = {name: {} for name in self.distributions}
        for what in ("backends", "kinds", "runtimes", "modules", "services", "guards", "observers"):
            for implementation in getattr(self.manager.hook, f"saros_{what}").get_hookimpls():
                supplied = result.setdefault(implementation.plugin_name, {})
                try:
                    items = implementation.function()
                except Exception as exc:  # as in _load
                    supplied.setdefault("failed", []).append(f"{what}: {type(exc).__name__}: {exc}")
                else:
                    supplied[what] = [item.scheme if what == "backends" else item.name for item in items]
        for implementation in self.manager.hook.saros_commands.get_hookimpls():
            result.setdefault(implementation.plugin_name, {})["commands"] = []
        return result

    def backend(self, url: str) -> BackendPlugin:
        """The backend for a URL.

        :raises Error: NOT_FOUND, with the package to install; INVALID when it is not a URL.
        """
        scheme, mark, _ = url.partition("://")
        if not mark or not _SCHEME.fullmatch(scheme):
            raise Error(
                f"{shown(without_secrets(url))} is not a backend URL",
                INVALID,
                hint="for example memory:// or redis://localhost",
            )
        scheme = scheme.lower()
        known = self.backends()
        if scheme in known:
            return known[scheme]
        raise Error(
            f"no installed plugin supplies the backend {scheme}://", NOT_FOUND, hint=self._hint(scheme, known)
        )

    def _hint(self, scheme: str, known: Mapping[str, BackendPlugin]) -> str:
        distribution = FIRST_PARTY.get(scheme)
        for broken in self.broken:
            if distribution and broken.distribution.startswith(distribution):
                return f"{distribution} is installed but failed to load: {broken.reason}"
        if distribution:
            return f"pip install {distribution}"
        near = difflib.get_close_matches(scheme, known, 1)
        names = ", ".join(f"{name}://" for name in known)
        return f"did you mean {near[0]}://?" if near else f"installed backends are {names}; see saros plugins"


@cache
def installed() -> Plugins:
    """The plugins of this environment, loaded once."""
    return Plugins()
