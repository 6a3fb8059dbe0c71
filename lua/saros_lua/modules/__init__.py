"""The modules of the surface, which ``require`` finds in Lua code without plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from saros.interfaces.module import HostFunction, Module, Service

from ..library import chunk_files
from . import crypto, env, json, payload, time
from . import hash as digests

_IO: Final = "do it in a function, and call that with funcs.call"
_READ: Final = "read it in a function, and call that with funcs.call, or pass it as an argument"


def _module(
    name: str,
    *,
    workflows: bool = True,
    functions: bool = True,
    instead: str = "",
    host: Mapping[str, HostFunction] | None = None,
    services: Mapping[str, Service] | None = None,
) -> Module:
    return Module(
        name=name,
        source=chunk_files()[name].read_text("utf-8"),
        workflows=workflows,
        functions=functions,
        instead=instead,
        host=host or {},
        services=services or {},
    )


async def _http_client(pid: str, args: list[Any]) -> dict[str, Any]:
    from . import http_client

    return await http_client.request(pid, args)


async def _http_batch(pid: str, args: list[Any]) -> list[dict[str, Any]]:
    from . import http_client

    return await http_client.batch(pid, args)


async def _http_stream(pid: str, args: list[Any]) -> Any:
    from . import http_client

    return await http_client.stream(pid, args)


def _jwt_sign(*args: bytes) -> bytes:
    from . import jwt

    return jwt.sign(*args)


def _jwt_open(*args: bytes) -> bytes:
    from . import jwt

    return jwt.open_token(*args)


_JWT: Final = {"crypto_jwt_sign": _jwt_sign, "crypto_jwt_open": _jwt_open}
_HTTP: Final = {"http_client": _http_client, "http_batch": _http_batch, "http_stream": _http_stream}

SURFACE: Final[tuple[Module, ...]] = (
    # Globals, which can be required as well.
    _module("process"),
    _module("channel"),
    _module("payload", host=payload.HOST),
    _module("errors"),
    _module("funcs"),
    _module("workflow", functions=False, instead="activities use activity.info()"),
    _module("time", host=time.HOST),
    _module("ctx"),
    _module("json", host=json.HOST),
    _module("logger"),
    _module("uuid", host=digests.HOST),
    _module("hash", host=digests.HOST),
    _module("base64", host=digests.HOST),
    _module("crypto", host={**crypto.HOST, **_JWT}, services=crypto.SERVICES),
    _module("env", workflows=False, host=env.HOST, instead=_READ),
    _module("http_client", workflows=False, services=_HTTP, instead=_IO),
    _module("activity", workflows=False, instead="workflows use workflow.info()"),
)
