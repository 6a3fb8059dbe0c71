"""Parses what users type: JSON values, options, entries. Errors name the place of the mistake."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import WrongInput

if TYPE_CHECKING:
    from saros.entries import Entry
    from saros.interfaces.deployment import Deployment


def value(text: str, where: str) -> Any:
    """Parse an argument: JSON, ``@file`` for a file with JSON, or ``-`` for stdin.

    :param where: the argument's name in errors.
    :raises WrongInput: with the position of the mistake.
    """
    if text == "-":
        text, where = sys.stdin.read().removeprefix("\ufeff"), "stdin"
    elif text.startswith("@"):
        text, where = read(text[1:], where), text[1:]
    from saros.model import values
    from saros.model.errors import Error

    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise WrongInput(
            f"this is not JSON: {_lower(error.msg)} at line {error.lineno}, column {error.colno}",
            where,
            _json_hint(text),
        ) from None
    except RecursionError:
        raise WrongInput("this JSON is nested too deeply", where) from None
    try:
        result = values.decode(values.from_plain(text.encode()))
        values.encode(result)
    except UnicodeEncodeError:
        raise WrongInput("this is not UTF-8", where) from None
    except Error as error:
        raise WrongInput(error.message, where) from None
    return result


def value_list(texts: Sequence[str], where: str) -> list[Any]:
    """Parse several arguments.

    :raises WrongInput: with the number of the argument.
    """
    return [value(text, f"{where} {number}") for number, text in enumerate(texts, 1)]


def mapping(text: str | None, where: str) -> dict[str, Any]:
    """Parse an object; without a text, it is empty.

    :raises WrongInput: when the text is not an object.
    """
    found = {} if text is None else value(text, where)
    if not isinstance(found, dict):
        raise WrongInput(
            f"this must be a JSON object, not {_short(found)}", where, 'for example {"user": "ann"}'
        )
    return found


def options(pairs: Sequence[str]) -> dict[str, Any]:
    """Parse start options from ``key=value`` pairs; a value is JSON or else text, and a time may be written as "30s".

    :raises WrongInput: when a pair is not valid.
    """
    from saros.entries import parse_duration
    from saros.model.errors import Error

    result: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise WrongInput(
                f'"{pair}" is not a valid option',
                "--option",
                "write key=value, as in id_reuse_policy=reject_duplicate",
            )
        try:
            found: Any = json.loads(text)
        except ValueError:
            found = text
        if isinstance(found, str) and (key.endswith("timeout") or key.endswith("start_delay")):
            try:
                found = parse_duration(found) // 1_000_000
            except Error as error:
                raise WrongInput(error.message, f"--option {key}", error.hint or "") from None
        result[key] = found
    return result


def seconds(text: str | None, where: str = "--timeout") -> float | None:
    """Parse a time to wait: ``"30s"``, ``"5m"``, or a number of seconds.

    :raises WrongInput: when it is none.
    """
    if text is None:
        return None
    from saros.entries import parse_duration
    from saros.model.errors import Error

    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parse_duration(text) / 1e9)
    except Error as error:
        raise WrongInput(error.message, where, 'write for example "30s" or "5m"') from None


def read(path: str, where: str) -> str:
    """Read the text of a file.

    :raises WrongInput: when it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise WrongInput(f'cannot read "{path}": {error.strerror or error}', where) from None
    except UnicodeDecodeError:
        raise WrongInput(f'"{path}" is not UTF-8', where) from None


def entry(deployment: Deployment, name: str, roles: Sequence[str], what: str) -> Entry:
    """Return the entry that a user names: by id, by type name, or by a name that only one such entry has.

    :param what: the expected kind of entry, for errors.
    :raises Error: NOT_FOUND or INVALID, with a hint.
    """
    from saros.entries import did_you_mean
    from saros.model.errors import INVALID, NOT_FOUND, Error

    registry = deployment.registry
    able = [found for role in roles for found in registry.of_role(role)]
    found = registry.get(name) or registry.by_type(name)
    if found is None and ":" not in name:
        named = [candidate for candidate in able if candidate.name == name]
        found = named[0] if len(named) == 1 else None
    ids = [candidate.id for candidate in able]
    root = os.path.relpath(registry.root)
    if found is None:
        hint = did_you_mean(name, ids) or _choice(ids, what)
        raise Error(f'the app has no {what} "{name}"', NOT_FOUND, where=root, hint=hint)
    if found.role not in roles:
        use = {"workflow": "start it with `saros start`", "function": "call it with `saros call`"}
        raise Error(
            f"{found.id} is a {found.kind}, not a {what}",
            INVALID,
            where=found.where(),
            hint=use.get(found.role) or _choice(ids, what),
        )
    return found


def _choice(ids: Sequence[str], what: str) -> str:
    shown = ", ".join(ids[:8]) + (", ..." if len(ids) > 8 else "")
    return f"its {what}s are {shown}" if ids else f"it has no {what}s"


def _short(found: Any) -> str:
    text = json.dumps(found)
    return text if len(text) <= 40 else text[:37] + "..."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _json_hint(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        return "write null for a missing value"
    if "'" in stripped and '"' not in stripped:
        return 'JSON needs double quotes; put single quotes around it for the shell: \'{"id": "1"}\''
    if stripped[0].isalpha():
        return f"a text needs quotes: '\"{stripped}\"'" if len(stripped) < 40 else "a text needs quotes"
    return 'put single quotes around it for the shell: \'{"id": "1"}\''


def address(text: str, where: str) -> tuple[str, int]:
    """Host and port; without a host, only this machine reaches it.

    :raises WrongInput: for what is no address.
    """
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise WrongInput(f'"{text}" is no address', where, "write HOST:PORT, such as 127.0.0.1:9464")
    return host.strip("[]") or "127.0.0.1", int(port)
