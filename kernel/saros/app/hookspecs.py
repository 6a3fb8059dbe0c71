"""The hooks that a plugin may implement, with `saros.hookimpl`.

A plugin is a module (or object) that an entry point of group ``saros`` names. Keep it light: import heavy
libraries in the factories that its hooks return, because every command of `saros` loads every plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

if TYPE_CHECKING:
    import typer

    from ..entries import Kind, Registry
    from ..interfaces.backend import Backend
    from ..interfaces.deployment import Deployment
    from ..interfaces.module import Module
    from ..interfaces.observer import Observer
    from ..interfaces.runtime import Functions, Runtime
    from .app import Serve

hookspec = pluggy.HookspecMarker("saros")
hookimpl = pluggy.HookimplMarker("saros")


class BackendPlugin(NamedTuple):
    """:param make: ``make(url, options)`` returns a backend that is not open yet; options are the app's own.
    :param replay: ``replay(document, deployment)`` replays a history that the backend exports in its own format
        and returns the number of events, or None if the document has another format.
    :param in_process: True if all its data lives in the process that opened it.
    :param limits: what it does not support (a need of `saros.testing.conformance`) -> why.
    """

    scheme: str
    make: Callable[[str, Mapping[str, Any]], Backend]
    summary: str = ""
    replay: Callable[[Any, Any], int | None] | None = None
    in_process: bool = False
    limits: Mapping[str, str] = {}


class RuntimePlugin(NamedTuple):
    """:param make: ``make(registry, modules)`` returns the runtime of an app; modules by name.
    :param always: modules that code has without listing them; entries may still list them.
    :param reloading: ``reloading(root)`` returns a context within which the code of the app in that directory is
        reloaded; if the context ends with an exception, the previous code is restored.
    :param absent: names that are not modules here, but elsewhere in the language -> the message when one is listed.
    """

    name: str
    make: Callable[[Registry, Mapping[str, Module]], Runtime | Functions]
    functions: bool = False  # True: `make` returns `Functions` instead of a `Runtime`
    reloading: Callable[[str], AbstractContextManager[None]] | None = None
    always: Sequence[str] = ()
    absent: Mapping[str, str] = {}


class ServicePlugin(NamedTuple):
    """:param serve: ``serve(app)`` returns a context within which the service runs, or None if the app has none."""

    name: str
    serve: Serve


class ObserverPlugin(NamedTuple):
    """:param make: ``make(deployment, backend, works)`` gives an observer of an open app, or None when nobody
    listens; `works` tells whether this process has workers.
    """

    name: str
    make: Callable[[Deployment, Backend, bool], Observer | None]


class Guarded(NamedTuple):
    """A process with workers, and how another process opens the same backend.

    :param url: of the backend, with the options it was made with.
    :param path: the app's directory, as it was given; `root` is absolute.
    :param env: what ``${env:NAME}`` in YAML refers to; None for the environment.
    :param silence_s: code of an entry may block the process for so many seconds.
    """

    backend: Backend
    url: str
    options: Mapping[str, Any]
    path: str
    env: Mapping[str, str] | None
    root: str
    silence_s: float


class GuardPlugin(NamedTuple):
    """:param guard: ``guard(guarded)`` gives a context, within which it watches over the process: from the start of
    the workers until the app closes.
    """

    name: str
    guard: Callable[[Guarded], AbstractContextManager[None]]


@hookspec
def saros_backends() -> Sequence[BackendPlugin]:  # type: ignore[empty-body]
    """Backends, by URL scheme."""


@hookspec
def saros_kinds() -> Sequence[Kind]:  # type: ignore[empty-body]
    """Kinds of entries."""


@hookspec
def saros_runtimes() -> Sequence[RuntimePlugin]:  # type: ignore[empty-body]
    """Runtimes, which run the code of entries."""


@hookspec
def saros_modules() -> Sequence[Module]:  # type: ignore[empty-body]
    """Modules that the code of entries may require."""


@hookspec
def saros_services() -> Sequence[ServicePlugin]:  # type: ignore[empty-body]
    """Services that run beside the workers while an app is served, such as an HTTP server."""


@hookspec
def saros_guards() -> Sequence[GuardPlugin]:  # type: ignore[empty-body]
    """What ends a process that the code of an entry blocks."""


@hookspec
def saros_observers() -> Sequence[ObserverPlugin]:  # type: ignore[empty-body]
    """Who hears what clients, workers and servers do, such as a tracer."""


@hookspec
def saros_commands(cli: typer.Typer) -> None:
    """Add commands to the command line."""
