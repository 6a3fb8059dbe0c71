"""URLs: what a user may write, and what an error of them says."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

import saros
from saros.model.errors import INVALID, Error
from saros_redis.options import parse

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("credentials", "user", "password"),
    [
        (":p/w=", None, "p/w="),
        ("u:a[b]c", "u", "a[b]c"),
        (":a#b", None, "a#b"),
        (":a?b", None, "a?b"),
        (":12/34", None, "12/34"),
        (":a@b/c", None, "a@b/c"),
        ("u%40x:p%2Fw%3D%25", "u@x", "p/w=%"),
        ("u:a+b%2Bc", "u", "a+b+c"),
        ("u:100%", "u", "100%"),
        ("u:a:b", "u", "a:b"),
        ("u", "u", None),
    ],
)
def test_users_and_passwords(credentials: str, user: str | None, password: str | None) -> None:
    options = parse(f"redis://{credentials}@host:7000/3?lease=5s")
    assert (options.username, options.password) == (user, password)
    assert (options.hosts, options.db, options.lease) == ((("host", 7000),), 3, 5.0)
    assert options.url == "redis://host:7000/3"


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("redis://", (("localhost", 6379),)),
        ("redis://[::1]:7000", (("::1", 7000),)),
        ("redis://[::1]", (("::1", 6379),)),
        ("redis://a,b:7000?cluster=true", (("a", 6379), ("b", 7000))),
        ("redis://host?sentinel=m&sentinel_password=a@b", (("host", 6379),)),
    ],
)
def test_hosts(url: str, hosts: Any) -> None:
    assert parse(url).hosts == hosts


@pytest.mark.parametrize(
    "url",
    [
        "redis://host:65536",
        "redis://host:0",
        "redis://host:99999999999999999999",
        "redis://host:12x",
        "redis://a b",
        "redis://[::1",
        "redis://host/x",
        "redis://host/\u00b2",
        "redis://host/0?retention=0d",
        "redis://host/0?retention=0s",
        "redis://host/0?retention=-1d",
        "redis://host/0?retention=99999999d",
        "redis://host/0?lease=0d",
        "redis://host/0?lease=soon",
        "redis://host/0?payload=99999999999999999999",
        "redis://host/0?attempts=\u00b2",
        "redis://host/0?wait=-1",
        "redis://host/0?partitions=0",
        "redis://host/0?fsync=yes",
        "redis://host/0?prefix=a%0ab",
        "redis://host/0?retentoin=7d",
        "redis://host/0?ssl_cert_reqs=none",
        "unix://",
        "unix:///run/redis.sock?cluster=true",
    ],
)
def test_what_is_refused_is_named_and_no_password_is_told(url: str) -> None:
    scheme, _, rest = url.partition("://")
    for given in (url, f"{scheme}://user:{SECRET}@{rest}", f"{scheme}://:{SECRET}/{SECRET}?{SECRET}@{rest}"):
        with pytest.raises(Error) as refused:
            parse(given)
        assert refused.value.kind == INVALID
        assert refused.value.hint
        assert SECRET not in str(refused.value)
        assert len(refused.value.message) < 400


def test_a_slip_in_an_option_is_seen() -> None:
    with pytest.raises(Error, match=r"an unknown option; did you mean retention\?"):
        parse("redis://host?retentoin=7d")


@pytest.mark.parametrize(
    "url", [f"user:{SECRET}@host", f"//:{SECRET}@host", f"red is://:{SECRET}@host", SECRET + "@"]
)
def test_no_password_of_what_is_no_url_is_told(url: str, tmp_path: Any) -> None:
    async def main() -> None:
        with pytest.raises(Error) as refused:
            async with saros.open(None, backend=url):
                pass
        assert refused.value.kind == INVALID
        assert SECRET not in str(refused.value)

    asyncio.run(main())


def test_a_password_with_every_character(new_server: Any) -> None:
    password = "p/w=[]#?%@: +&"
    server = new_server()
    with server.client() as redis:
        redis.config_set("requirepass", password)

    async def main() -> None:
        async with saros.open(None, backend=f"redis://:{quote(password, safe='')}@localhost:{server.port}"):
            pass

    asyncio.run(main())


def test_a_unix_socket(new_server: Any, tmp_path: Any) -> None:
    path = f"/tmp/saros-{tmp_path.name[-40:]}.sock"
    new_server("--unixsocket", path)

    async def main() -> None:
        async with saros.open(None, backend=f"unix://{path}?db=2&prefix=x") as app:
            assert app.backend.url == f"unix://{path}"
            assert [each async for each in app.list()] == []
        with pytest.raises(Error, match=r"cannot reach Redis at /tmp/none\.sock"):
            async with saros.open(None, backend="unix:///tmp/none.sock"):
                pass

    asyncio.run(main())
