"""TLS, client certificates and API keys: connections that work, and one clear sentence for each that does not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from saros.app.opening import open_app
from saros.model.errors import Error

from .tls import Authority, Front, context

FLOW = "return function(x) return x end"
ENTRY = """
  - name: temporal
    kind: temporal.client
    address: "{address}"
    connection_timeout: 5s
    keep_alive_time: 300ms
"""
TLS = "    tls: {ca_file: ca.pem}\n"
MTLS = TLS + "    auth: {type: mtls, cert_file: me.cert.pem, key_file: me.key.pem}\n"
KEY = TLS + "    auth: {type: api_key, api_key_file: key.txt}\n"


@pytest.fixture
def root(tmp_path: Path, write_app: Any) -> Path:
    """An app, with the certificates that the tests need."""
    found: Path = write_app(tmp_path / "app", flow=FLOW)
    known, unknown = Authority(found, "ca"), Authority(found, "other")
    known.issue("server", "temporal.test", "127.0.0.1")
    known.issue("expired", "127.0.0.1", days=-1)
    known.issue("elsewhere", "elsewhere.test")
    known.issue("me", client=True)
    known.issue("old", client=True, days=-1)
    unknown.issue("stranger", client=True)
    (found / "key.txt").write_text("secret-key\n")
    return found


def front(root: Path, port: int, name: str = "server", *, mutual: bool = False) -> Front:
    clients = root / "ca.pem" if mutual else None
    return Front(context(root / f"{name}.cert.pem", root / f"{name}.key.pem", clients), port)


def connect_to(root: Path, address: str, more: str) -> None:
    index = root / "_index.yaml"
    text = index.read_text().partition("\n  - name: temporal\n")[0]
    index.write_text(text + ENTRY.format(address=address) + more)


@pytest.mark.parametrize(
    ("more", "mutual"),
    [
        (TLS, False),
        ("    tls: {ca_file: ca.pem, server_name: temporal.test}\n", False),
        (KEY, False),
        (MTLS, True),
    ],
    ids=["tls", "server name", "api key", "mtls"],
)
def test_workflows_run_over_a_secure_connection(
    run: Any, root: Path, plugins: Any, server: Any, shared: Any, more: str, mutual: bool
) -> None:
    async def scenario() -> tuple[Any, Front]:
        async with front(root, server.port, mutual=mutual) as tls:
            connect_to(root, tls.address, more)
            async with open_app(root, "temporal://", plugins=plugins) as app:
                found = await (await app.start("app:flow", 7)).result(90)
                await asyncio.wait_for(tls.pinged.wait(), 10)  # keep_alive_time has reached the SDK
            return found, tls

    found, tls = run(scenario())
    assert found == 7
    assert set(tls.clients) == ({"me"} if mutual else set())
    keys = {headers.get("authorization") for headers in tls.headers}
    assert keys == ({"Bearer secret-key"} if more == KEY else {None})


FAILURES = {
    "wrong authority": (
        "server", "    tls: {ca_file: other.pem}\n", "Unavailable",
        "its certificate is from an authority that this client does not trust", "set tls.ca_file",
    ),
    "no authority": (
        "server", "    tls: {enabled: true}\n", "Unavailable",
        "its certificate is from an authority that this client does not trust", "set tls.ca_file",
    ),
    "expired": ("expired", TLS, "Unavailable", "its certificate has expired", "renew"),
    "wrong name": (
        "elsewhere", TLS, "Unavailable", "its certificate is for another name (elsewhere.test)",
        "set tls.server_name",
    ),
    "no tls": ("server", "", "Unavailable", "ends the connection at once", "set tls: {enabled: true}"),
    "no client certificate": (
        "mutual", TLS, "Unavailable", "ends the connection at once", "it may demand a client certificate",
    ),
    "a stranger's certificate": (
        "mutual", MTLS.replace("me.", "stranger."), "Unavailable", "ends the connection at once",
        "it may not accept the client certificate",
    ),
    "unverified": (
        "server", "    tls: {insecure_skip_verify: true}\n", "Invalid",
        "insecure_skip_verify is not possible with Temporal's client", "set tls.ca_file",
    ),
    "refused key": ("refusing", KEY, "PermissionDenied", "refuses this client", "check `auth`"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_what_is_wrong_with_a_connection(
    run: Any, root: Path, plugins: Any, server: Any, shared: Any, case: str
) -> None:
    name, more, kind, text, hint = FAILURES[case]

    async def scenario() -> Error:
        mutual, refusing = name == "mutual", name == "refusing"
        cert = "server" if mutual or refusing else name
        async with front(root, 0 if refusing else server.port, cert, mutual=mutual) as tls:
            connect_to(root, tls.address, more)
            with pytest.raises(Error) as caught:
                async with open_app(root, "temporal://", plugins=plugins, workers=False):
                    pass
            if refusing:
                assert tls.headers[0]["authorization"] == "Bearer secret-key"
            assert tls.address in caught.value.message or caught.value.where
            return caught.value

    error = run(scenario())
    assert error.kind == kind
    assert text in error.message
    assert hint in (error.hint or "")
    assert "tonic" not in error.message


@pytest.mark.parametrize(
    ("auth", "text"),
    [
        (
            "type: mtls, cert_file: gone.pem, key_file: me.key.pem",
            "cannot read auth.cert_file gone.pem: No such",
        ),
        ("type: mtls, cert_file: me.cert.pem, key_file: .", "cannot read auth.key_file .: Is a directory"),
        (
            "type: mtls, cert_file: key.txt, key_file: me.key.pem",
            "auth.cert_file key.txt holds no certificate in PEM format",
        ),
        (
            "type: mtls, cert_file: me.cert.pem, key_file: key.txt",
            "auth.key_file key.txt holds no private key in PEM format",
        ),
        (
            "type: mtls, cert_file: me.cert.pem, key_file: stranger.key.pem",
            "auth.key_file stranger.key.pem is not the key of auth.cert_file",
        ),
        (
            "type: mtls, cert_file: old.cert.pem, key_file: old.key.pem",
            "auth.cert_file old.cert.pem has expired on ",
        ),
        ("type: api_key, api_key_file: gone.txt", "cannot read auth.api_key_file gone.txt: No such file"),
        ("type: api_key, api_key_file: empty.txt", "auth.api_key_file empty.txt is empty"),
        ("type: api_key, api_key: 'två ord'", "auth.api_key is not a valid API key"),
    ],
)
def test_files_are_looked_at_before_connecting(
    run: Any, root: Path, plugins: Any, auth: str, text: str
) -> None:
    (root / "empty.txt").write_text("\n")
    connect_to(root, "127.0.0.1:1", f"{TLS}    auth: {{{auth}}}\n")

    async def scenario() -> Error:
        with pytest.raises(Error) as caught:
            async with open_app(root, "temporal://", plugins=plugins, workers=False):
                pass
        return caught.value

    error = run(scenario())
    assert error.kind == "Invalid"
    assert error.message.startswith(text)
    assert "_index.yaml:" in (error.where or "")
    assert "ord" not in error.message
