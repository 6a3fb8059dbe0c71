"""The environment variables that an app refers to: what they hold may be secret, and is in no message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from .problems import Problem

SHORT = 4
"""Characters: what is shorter is no secret, and part of many words."""


class Used(Mapping[str, str]):
    """An environment that remembers what was read of it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._read: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        value = self._read[name] = self._env[name]
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._env

    def __iter__(self) -> Iterator[str]:
        return iter(self._env)

    def __len__(self) -> int:
        return len(self._env)

    def hide(self, problem: Problem) -> Problem:
        """The problem with references in the place of what the variables hold."""
        message, hint = problem.message, problem.hint
        for name, value in sorted(self._read.items(), key=lambda item: -len(item[1])):
            if len(value) >= SHORT:
                message = message.replace(value, f"${{env:{name}}}")
                hint = hint and hint.replace(value, f"${{env:{name}}}")
        return msgspec.structs.replace(problem, message=message, hint=hint)
