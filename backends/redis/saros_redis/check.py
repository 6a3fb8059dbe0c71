"""What is looked at before anything is stored: version, memory policy, persistence, partitions."""

from __future__ import annotations

import logging
import re
from typing import Any

import redis

from saros.errors import INVALID, PERMISSION_DENIED, UNAVAILABLE, Error

from .client import BUSY, LOST, Client
from .keys import settings_key
from .options import Options

log = logging.getLogger("saros.redis")

FORMAT = "1"
"""Of what is stored; another one is refused."""


async def check(client: Client, commands: Any) -> int:
    """Look at the server and agree on the number of partitions, which is returned.

    :raises Error: UNAVAILABLE, PERMISSION_DENIED or INVALID, each naming the server.
    """
    options = client.options
    try:
        info = await _info(commands)
        _check_version(options, info)
        _check_memory(options, info)
        _check_persistence(options, info)
        return await _agree(options, commands)
    except redis.exceptions.AuthenticationError as exc:
        raise _refused(options, exc) from exc
    except redis.exceptions.NoPermissionError as exc:
        raise _refused(options, exc) from exc
    except (*LOST, *BUSY) as exc:
        raise client.unavailable(exc) from exc
    except redis.ResponseError as exc:
        raise Error(f"Redis at {options.url} refuses to work: {exc}", UNAVAILABLE) from exc


def _refused(options: Options, exc: Exception) -> Error:
    return Error(
        f"Redis at {options.url} refuses access: {exc}",
        PERMISSION_DENIED,
        retryable=False,
        hint="put user and password into the URL: redis://user:password@host:port",
    )


async def _info(commands: Any) -> dict[str, Any]:
    found = await commands.execute_command("INFO")
    if isinstance(found, dict) and "redis_version" not in found:  # a cluster answers for each node
        found = next(iter(found.values()))
    if isinstance(found, bytes):
        lines = found.decode().splitlines()
        found = dict(line.split(":", 1) for line in lines if ":" in line)
    return {str(name): value for name, value in found.items()}


def _check_version(options: Options, info: dict[str, Any]) -> None:
    text = str(info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    if numbers < (6, 2):
        raise Error(
            f"Redis at {options.url} is version {text}; Saros needs 6.2 or later (or Valkey)",
            INVALID,
            retryable=False,
        )


def _check_memory(options: Options, info: dict[str, Any]) -> None:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        raise Error(
            f"Redis at {options.url} has maxmemory-policy {policy} and would throw workflows away when it is full",
            INVALID,
            retryable=False,
            hint="CONFIG SET maxmemory-policy noeviction, and in redis.conf",
        )


def _check_persistence(options: Options, info: dict[str, Any]) -> None:
    if str(info.get("aof_enabled", "1")) == "0":
        log.warning(
            "Redis at %s has no append-only file: workflows are lost when it stops; set appendonly yes",
            options.url,
        )


async def _agree(options: Options, commands: Any) -> int:
    wanted = options.partitions or options.default_partitions
    key = settings_key(options.prefix)
    await commands.hsetnx(key, "partitions", wanted)
    await commands.hsetnx(key, "format", FORMAT)
    stored, version = await commands.hmget(key, "partitions", "format")
    if version.decode() != FORMAT:
        raise Error(
            f"the data with prefix {options.prefix} in {options.url} has format {version.decode()}, "
            f"and this version of saros-redis writes format {FORMAT}",
            INVALID,
            retryable=False,
        )
    if options.partitions and int(stored) != options.partitions:
        raise Error(
            f"the data with prefix {options.prefix} in {options.url} has {int(stored)} partitions, "
            f"not {options.partitions}; their number cannot change",
            INVALID,
            retryable=False,
            hint="leave partitions out of the URL, or use another prefix",
        )
    return int(stored)
