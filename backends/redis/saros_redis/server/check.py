"""Checks of the server before any write: version, role, memory policy, persistence, permissions, partitions."""

from __future__ import annotations

import contextlib
import logging
import re
from typing import Any

import anyio
import redis

from saros.model.errors import INVALID, UNAVAILABLE, Error

from .. import codec, errors
from ..keys import Keys, settings_key
from ..options import Options
from .client import BUSY, LOST, TIMEOUT_S, Client
from .connect import check_files, disconnect
from .scripts import script

log = logging.getLogger("saros.redis")

FORMAT = "1"
"""The format of the stored data; data of any other format is refused."""


async def check(client: Client, commands: Any) -> int:
    """Check the server and agree on the number of partitions, which is returned.

    :raises Error: UNAVAILABLE, PERMISSION_DENIED or INVALID, each naming the server.
    """
    options = client.options
    if options.tls:
        check_files(options)
    try:
        with anyio.fail_after(TIMEOUT_S):  # the connections have no timeout for an answer
            info = await _info(commands)
            _check_version(options, info)
            _check_role(options, info)
            _check_memory(options, info)
            _check_persistence(options, info)
            partitions = await _agree(options, commands)
            await _check_permissions(client, commands)
    except redis.exceptions.AuthenticationError as exc:
        raise errors.refused(options, exc) from exc
    except (*LOST, *BUSY, redis.exceptions.InvalidResponse) as exc:
        raise errors.unavailable(options, exc, opening=True) from exc
    except redis.ResponseError as exc:
        raise _answered(options, exc) from exc
    return partitions


def _answered(options: Options, exc: redis.ResponseError) -> Error:
    if errors.is_refusal(exc):
        return errors.refused(options, exc)
    if errors.is_full(exc):
        return errors.full(options, exc)
    if errors.is_away(exc):
        return errors.unavailable(options, exc)
    return Error(f"Redis at {options.url} refuses to work: {exc}", UNAVAILABLE)


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
    if options.fsync and numbers < (7, 2):  # Valkey says 7.2.4 here
        raise Error(
            f"Redis at {options.url} is version {text}; fsync=true needs WAITAOF, of 7.2 or later (or Valkey)",
            INVALID,
            retryable=False,
            hint="appendfsync always in redis.conf has a master write to disk before it answers",
        )


def _check_role(options: Options, info: dict[str, Any]) -> None:
    mode = info.get("redis_mode") or info.get("server_mode")  # the latter is Valkey's word
    if mode == "sentinel":
        raise Error(
            f"{options.url} is a Sentinel",
            INVALID,
            retryable=False,
            hint="name the master that it watches: sentinel=mymaster",
        )
    if mode == "cluster" and not options.cluster:
        raise Error(
            f"Redis at {options.url} is a node of a cluster",
            INVALID,
            retryable=False,
            hint="add cluster=true to the URL",
        )
    if options.cluster or info.get("role", "master") == "master":
        return
    master = f"{info.get('master_host')}:{info.get('master_port')}"
    raise Error(
        f"Redis at {options.url} is a replica of {master}, and does not accept writes",
        UNAVAILABLE,
        hint="use the address of the master, or Sentinel (sentinel=) if the master may change",
    )


def _check_memory(options: Options, info: dict[str, Any]) -> None:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        raise Error(
            f"Redis at {options.url} has maxmemory-policy {policy} and would delete workflows when it is full",
            INVALID,
            retryable=False,
            hint="CONFIG SET maxmemory-policy noeviction, and in redis.conf",
        )


def _check_persistence(options: Options, info: dict[str, Any]) -> None:
    if str(info.get("aof_enabled", "1")) != "0":
        return
    if options.fsync:
        raise Error(
            f"Redis at {options.url} has no append-only file, which fsync=true needs",
            INVALID,
            retryable=False,
            hint="CONFIG SET appendonly yes, and in redis.conf",
        )
    log.warning(
        "Redis at %s has no append-only file: workflows are lost when it stops; set appendonly yes",
        options.url,
    )


async def _check_permissions(client: Client, commands: Any) -> None:
    """Try the needed permissions. A script that is refused a command would leave half of its work done."""
    options = client.options
    tag = Keys(options.prefix, 1).tags[0]
    found = await commands.execute_command("EVAL", script("probe").text, 1, tag, codec.pack_args([]))
    if found:
        raise errors.refused(options, redis.exceptions.NoPermissionError(found[0].decode()))
    try:  # it cannot be tried in a script; the settings are a hash, so that it does not block
        await commands.execute_command("BLPOP", settings_key(options.prefix), 1)
    except redis.ResponseError as exc:
        if "WRONGTYPE" not in str(exc):
            raise
    listener = await client.listener()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(disconnect, listener)
        pubsub = listener.pubsub()
        stack.push_async_callback(pubsub.aclose)
        await pubsub.subscribe(f"{tag}:ev:probe")
        await pubsub.get_message(timeout=TIMEOUT_S)


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
