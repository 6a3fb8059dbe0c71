"""Finds the resource of a path: literal segments win over parameters, and parameters over the rest of a path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from ..problem import Asgi, HttpError, Receive, Scope, Send, send_problem, send_whole, text_of

_PARAM: Final = re.compile(r"\{([A-Za-z_]\w*)(\.\.\.)?\}")

Segments = tuple[str, ...]


def _unquote(segment: str) -> str:
    return text_of(unquote_to_bytes(segment))


class Part(NamedTuple):
    """One segment of a pattern: a text, a parameter, or a parameter that takes the rest."""

    rank: int  # 0 text, 1 parameter, 2 rest: the lowest wins
    text: str


class Pattern(NamedTuple):
    text: str
    parts: tuple[Part, ...]

    @classmethod
    def parse(cls, path: str) -> Pattern:
        parts = []
        for segment in path.split("/"):
            found = _PARAM.fullmatch(segment)
            if found is None:
                parts.append(Part(0, segment))
            else:
                parts.append(Part(2 if found[2] else 1, found[1]))
                if found[2]:
                    break
        return cls(path, tuple(parts))

    @property
    def literal(self) -> Segments | None:
        """The segments of a pattern without parameters, else None."""
        return None if any(part.rank for part in self.parts) else tuple(part.text for part in self.parts)

    def match(self, segments: Segments) -> list[str] | None:
        """Return a flat list of the parameters' names and values; None if the path does not match."""
        rest = self.parts[-1].rank == 2
        if len(segments) < len(self.parts) or (len(segments) > len(self.parts) and not rest):
            return None
        params: list[str] = []
        for part, segment in zip(self.parts, segments, strict=False):
            if part.rank == 0:
                if part.text != segment:
                    return None
            elif part.rank == 1:
                if not segment:
                    return None
                params += (part.text, segment)
            else:
                params += (part.text, "/".join(segments[len(self.parts) - 1 :]))
        return params


class Resource:
    """A path with its methods.

    :param app: the ASGI app of the methods, behind the router's middleware.
    """

    def __init__(self, path: str, methods: dict[str, Asgi]) -> None:
        self.pattern = Pattern.parse(path)
        self.methods = methods
        self.app: Asgi = self.dispatch

    def serves(self, method: str) -> bool:
        return method in self.methods or (method == "HEAD" and "GET" in self.methods)

    async def dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the app of the request's method."""
        method = scope["method"]
        found = self.methods.get(method)
        if found is None and method == "HEAD":
            found = self.methods.get("GET")
        if found is not None:
            await found(scope, receive, send)
            return
        allow = ", ".join(sorted(allowed([self])))
        if method == "OPTIONS":
            await send_whole(send, 204, [(b"allow", allow.encode())], b"")
        else:
            error = HttpError(405, "This method is not allowed here.", {"Allow": allow})
            await send_problem(scope, send, error)


def allowed(resources: Iterable[Resource]) -> set[str]:
    """Return the methods for a response's Allow header."""
    methods = {"OPTIONS"}
    for resource in resources:
        methods |= resource.methods.keys()
    return methods | ({"HEAD"} if "GET" in methods else set())


class Routes:
    """All resources of one server."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._literal: dict[Segments, list[Resource]] = {}
        self._patterns: list[Resource] = []
        for resource in resources:
            literal = resource.pattern.literal
            if literal is not None:
                self._literal.setdefault(literal, []).append(resource)
            else:
                self._patterns.append(resource)
        self._patterns.sort(key=lambda resource: [part.rank for part in resource.pattern.parts])

    def find(self, raw_path: str, method: str) -> tuple[Resource, list[str]]:
        """Return the resource for a path as the client wrote it, and the path's parameters.

        :raises HttpError: 404.
        """
        parts = raw_path.split("/")
        segments = tuple(map(_unquote, parts)) if "%" in raw_path else tuple(parts)
        candidates: list[tuple[Resource, list[str]]] = [
            (resource, []) for resource in self._literal.get(segments, ())
        ]
        for resource, _ in candidates:
            if resource.serves(method):
                return resource, []
        for resource in self._patterns:
            params = resource.pattern.match(segments)
            if params is not None:
                if resource.serves(method):
                    return resource, params
                candidates.append((resource, params))
        if not candidates:
            raise HttpError(404, "There is nothing here.")
        return candidates[0]
