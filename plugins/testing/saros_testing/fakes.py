"""Fakes: functions of an app that a test replaces by callables."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from saros.entries import Entry
from saros.interfaces.deployment import Deployment
from saros.interfaces.runtime import CallScope
from saros.model import values
from saros.model.raw import Raw
from saros.model.values import Json

RUNTIME = "testing"


class Fakes:
    """A runtime of functions (see `saros.interfaces.runtime.Functions`): entry id -> callable, sync or async."""

    def __init__(self, callables: Mapping[str, Callable[..., Any]]) -> None:
        self._callables = dict(callables)

    def check(self, entry: Entry) -> None:
        pass

    async def call(self, entry: Entry, args: Raw, scope: CallScope) -> Json:
        scope.enter()
        result = self._callables[entry.id](*values.decode(args))
        return values.encode(await result if inspect.isawaitable(result) else result)


def put_in(deployment: Deployment, callables: Mapping[str, Callable[..., Any]]) -> None:
    """Replace functions (or processes) of the app by callables.

    :raises Error: NOT_FOUND or INVALID, when an id names no function of the app.
    """
    for id in callables:
        entry = deployment.registry.callable(id)
        deployment.registry.entries[id] = dataclasses.replace(entry, runtime=RUNTIME)
    deployment.functions = {**deployment.functions, RUNTIME: Fakes(callables)}
