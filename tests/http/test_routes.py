"""Which endpoint a path selects."""

from __future__ import annotations

import pytest

from saros_http.problem import HttpError, Receive, Scope, Send
from saros_http.routing.routes import Pattern, Resource, Routes


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("never called")


def routes(*paths: str) -> Routes:
    return Routes(Resource(path, {"GET": nothing}) for path in paths)


@pytest.mark.parametrize(
    ("path", "pattern", "params"),
    [
        ("/a", "/a", []),
        ("/a/b", "/a/{x}", ["x", "b"]),
        ("/a/c", "/a/c", []),
        ("/a/b%2Fc", "/a/{x}", ["x", "b/c"]),
        ("/%61", "/a", []),
        ("/a/b/c", "/{x}/{y}/c", ["x", "a", "y", "b"]),
        ("/a/b/d", "/{rest...}", ["rest", "a/b/d"]),
        ("/", "/{rest...}", ["rest", ""]),
        ("/a/", "/{rest...}", ["rest", "a/"]),
    ],
)
def test_the_most_exact_one(path: str, pattern: str, params: list[str]) -> None:
    table = routes("/{rest...}", "/a/{x}", "/a/c", "/a", "/{x}/{y}/c")
    resource, found = table.find(path, "GET")
    assert (resource.pattern.text, found) == (pattern, params)


@pytest.mark.parametrize("path", ["", "/", "/b", "/a/", "//a", "/a/b/c", "a"])
def test_no_other(path: str) -> None:
    with pytest.raises(HttpError) as caught:
        routes("/a", "/a/{x}").find(path, "GET")
    assert caught.value.status == 404


def test_methods_may_be_split_over_routers() -> None:
    reading = Resource("/a/{x}", {"GET": nothing})
    writing = Resource("/a/{x}", {"POST": nothing})
    table = Routes([reading, writing])
    assert table.find("/a/1", "POST")[0] is writing
    assert table.find("/a/1", "HEAD")[0] is reading
    assert table.find("/a/1", "PUT")[0] is reading  # it is found, and the server answers 405


def test_patterns() -> None:
    assert Pattern.parse("/a/b").literal == ("", "a", "b")
    assert Pattern.parse("/{a}").literal is None
    assert Pattern.parse("/{a}").match(("", "")) is None
