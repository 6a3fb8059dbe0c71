"""Registers the kinds ``http.*``, the module ``http``, and the servers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from importlib import resources
from typing import TYPE_CHECKING, Any

import saros
from saros.app.hookspecs import ServicePlugin
from saros.entries import Kind
from saros.interfaces.module import Module

from .config.kinds import HTTP_KINDS, SERVICE

if TYPE_CHECKING:
    from saros import App


@saros.hookimpl
def saros_kinds() -> Sequence[Kind]:
    return HTTP_KINDS


async def _http(pid: str, args: list[Any]) -> Any:
    from .routing.exchange import answer

    return await answer(pid, args)


def _responds(pid: bytes) -> None:
    from .routing.exchange import responds

    responds(pid.decode())


def _source(name: str) -> str:
    return resources.files(__package__).joinpath("lua", f"{name}.lua").read_text("utf-8")


@saros.hookimpl
def saros_modules() -> Sequence[Module]:
    return [
        Module(
            name="http",
            source=_source("http"),
            parts={name: _source(name) for name in ("http_request", "http_response", "http_constants")},
            workflows=False,
            instead="a request is answered by the function of an http.endpoint",
            host={"http_responds": _responds},
            services={"http": _http},
            types=_source("http_types"),
        )
    ]


def _serve(app: App) -> AbstractAsyncContextManager[None] | None:
    if not app.registry.of_kind(SERVICE):
        return None
    from .server.service import serve

    return serve(app)


@saros.hookimpl
def saros_services() -> Sequence[ServicePlugin]:
    return [ServicePlugin("http", _serve)]
