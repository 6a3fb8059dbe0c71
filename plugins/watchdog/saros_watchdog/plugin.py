"""Registers the guard of processes with workers (see `saros_watchdog.watchdog`)."""

from __future__ import annotations

from contextlib import AbstractContextManager

from saros import hookimpl
from saros.app.hookspecs import Guarded, GuardPlugin


@hookimpl
def saros_guards() -> list[GuardPlugin]:
    return [GuardPlugin("watchdog", _guard)]


def _guard(guarded: Guarded) -> AbstractContextManager[None]:
    from .watchdog import watching_over

    return watching_over(guarded)
