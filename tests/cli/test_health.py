"""Probes of `saros run`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from typing import Any

import httpx
import pytest

from saros_cli import health, inputs
from saros_cli.errors import WrongInput
from saros_testing.cases import eventually


def test_addresses() -> None:
    assert inputs.address("127.0.0.1:9464", "--health") == ("127.0.0.1", 9464)
    assert inputs.address(":9464", "--health") == ("127.0.0.1", 9464)
    assert inputs.address("9464", "--health") == ("127.0.0.1", 9464)
    assert inputs.address("[::1]:0", "--health") == ("::1", 0)
    for wrong in ("here", "host:", "host:99999", "host:-1"):
        with pytest.raises(WrongInput):
            inputs.address(wrong, "--health")


async def _raw(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await writer.drain()
        return await reader.read()
    finally:
        writer.close()


def test_probes_before_the_app_is_open(free_port: int) -> None:
    async def scenario() -> None:
        async with health.probes(("127.0.0.1", free_port)), httpx.AsyncClient() as client:
            url = f"http://127.0.0.1:{free_port}"
            assert (await client.get(f"{url}/healthz")).status_code == 200
            assert (await client.head(f"{url}/healthz")).content == b""
            assert (await client.get(f"{url}/readyz")).status_code == 503
            assert (await client.get(f"{url}/else")).status_code == 404
            assert (await client.post(f"{url}/healthz")).headers["allow"] == "GET, HEAD"

    asyncio.run(scenario())


def test_the_server_is_bounded(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REQUEST_S", 0.2)

    async def scenario() -> None:
        async with health.probes(("127.0.0.1", free_port)):
            assert await _raw(free_port, b"GET /healthz HTTP/1.1\r\n") == b""  # the rest never comes
            head = b"GET /healthz HTTP/1.1\r\nhost: x\r\nlong: " + b"x" * 20_000 + b"\r\n\r\n"
            with_reset = await asyncio.gather(_raw(free_port, head), return_exceptions=True)
            assert b"200" not in (with_reset[0] if isinstance(with_reset[0], bytes) else b"")
            assert b"200" in await _raw(free_port, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")

    asyncio.run(scenario())


def test_run_answers_probes(cli: Any, shop: str, free_port: int) -> None:
    paths = [path for path in sys.path if path]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SAROS_HEALTH": f":{free_port}"}
    env.pop("OTEL_SDK_DISABLED", None)
    command = [sys.executable, "-m", "saros", "run", shop]
    served = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=env)

    async def scenario() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}") as client:

            async def ready() -> bool:
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(ready, "the app is ready", 60)
            assert (await client.get("/healthz")).text == "ok\n"
            assert b"saros_sticky_cache_size" in (await client.get("/metrics")).content

    try:
        asyncio.run(scenario())
        served.send_signal(signal.SIGTERM)
        assert served.wait(60) == 0
    finally:
        served.kill()
        served.wait()


def test_a_log_record_of_python_code_names_its_attempt() -> None:
    from saros.interfaces.runtime import CallScope, current
    from saros_cli.logs import fields_of

    record = logging.LogRecord("shop", logging.INFO, "", 0, "charging", (), None)
    scope = CallScope("@n|f1", {"workflow_id": "w", "run_id": "r", "attempt": 2, "activity_id": "3"}, {})
    scope.entry = "app:charge"
    token = current.set(scope)
    try:
        found = fields_of(record)
    finally:
        current.reset(token)
    assert (found["workflow_id"], found["run_id"], found["entry"], found["attempt"]) == (
        "w",
        "r",
        "app:charge",
        2,
    )


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def test_a_thread_that_ignores_its_end_is_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    from saros.interfaces.activations import watch
    from saros.interfaces.runtime import CallScope

    async def scenario() -> None:
        probes, scope = health.Probes(), CallScope("@n|f1", {}, {})
        scope.entry = "app:charge"
        with watch.aside(scope):
            assert (await probes.answer("/healthz")).status == 200
            scope.cancel()
            assert (await probes.answer("/healthz")).status == 200  # it has some time to end
            monkeypatch.setattr(health, "SILENT_S", 0.0)
            told = await probes.answer("/healthz")
            assert (told.status, b"app:charge" in told.body) == (503, True)
        assert (await probes.answer("/healthz")).status == 200

    asyncio.run(scenario())
