"""Connections and workers: errors that say what fails, a lost server, a codec, options, exits."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
import uuid
import zlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from temporalio.api.common.v1 import Payload
from temporalio.client import TLSConfig
from temporalio.converter import PayloadCodec

from saros.app.loading import load_app
from saros.app.opening import open_app
from saros.interfaces.history import LAST
from saros.model.errors import Error

from .tls import Authority


async def failure(path: Path, url: str, plugins: Any) -> Error:
    with pytest.raises(Error) as caught:
        async with open_app(path, url, plugins=plugins):
            pass
    return caught.value


def test_a_server_that_is_not_there(run: Any, write_app: Any, tmp_path: Path, plugins: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        error = run(failure(write_app(tmp_path / "app"), f"temporal://{address}/mine", plugins))
    assert error.kind == "Unavailable"
    assert f"cannot reach the Temporal server {address} (namespace mine)" in error.message


def test_a_server_that_says_nothing_is_given_up_in_time(
    run: Any, write_app: Any, tmp_path: Path, plugins: Any
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        root = with_client(tmp_path / "app", write_app, address, "")
        index = root / "_index.yaml"
        index.write_text(index.read_text().replace("connection_timeout: 2s", "connection_timeout: 300ms"))
        error = run(failure(root, "temporal://", plugins))
    assert error.kind == "Unavailable"
    assert error.message.endswith("no answer within 0.3 s")


def test_a_namespace_that_is_not_there(
    run: Any, write_app: Any, tmp_path: Path, plugins: Any, server: Any, shared: Any
) -> None:
    error = run(failure(write_app(tmp_path / "app"), f"temporal://{server.address}/elsewhere", plugins))
    assert error.kind == "NotFound"
    assert error.message == f"the Temporal server {server.address} has no namespace elsewhere"


CLIENT = """
  - name: temporal
    kind: temporal.client
    address: {address}
    namespace: default
    connection_timeout: 2s
"""


def with_client(root: Path, write_app: Any, address: str, more: str) -> Path:
    write_app(root)
    index = root / "_index.yaml"
    index.write_text(index.read_text() + CLIENT.format(address=address) + more)
    return root


def test_tls_to_a_server_without(
    run: Any, write_app: Any, tmp_path: Path, plugins: Any, server: Any, shared: Any
) -> None:
    root = with_client(tmp_path / "app", write_app, server.address, "    tls: {enabled: true}\n")
    error = run(failure(root, "temporal://", plugins))
    assert error.kind == "Unavailable"
    assert server.address in error.message


def test_a_bad_certificate_is_named(
    run: Any, write_app: Any, tmp_path: Path, plugins: Any, server: Any
) -> None:
    more = "    tls: {ca_file: ca.pem}\n    auth: {type: mtls, cert_file: cert.pem, key_file: key.pem}\n"
    root = with_client(tmp_path / "app", write_app, server.address, more)
    error = run(failure(root, "temporal://", plugins))
    assert (error.kind, "cannot read tls.ca_file ca.pem" in error.message) == ("Invalid", True)
    (root / "ca.pem").write_text("nonsense")
    error = run(failure(root, "temporal://", plugins))
    assert error.message == "tls.ca_file ca.pem holds no certificate in PEM format"


def test_what_a_client_entry_means(write_app: Any, tmp_path: Path, plugins: Any) -> None:
    from saros_temporal.client.target import target_of

    authority = Authority(tmp_path, "ca")
    cert, key = (file.read_bytes() for file in authority.issue("me", client=True))
    more = f"""
    auth: {{type: mtls, cert_pem: {json.dumps(cert.decode())}, key_pem: {json.dumps(key.decode())}}}
    tls: {{enabled: true, ca_file: ca.pem, server_name: temporal.example}}
    keep_alive_time: 5s
    keep_alive_timeout: 1s
"""
    root = with_client(tmp_path / "app", write_app, "example:1234", more)
    ca = authority.file.rename(root / "ca.pem").read_bytes()
    registry = load_app(root, plugins).registry
    target = target_of("temporal://", registry)
    assert (target.address, target.namespace, target.timeout_s) == ("example:1234", "default", 2.0)
    assert target.tls == TLSConfig(ca, "temporal.example", cert, key)
    assert (target.keep_alive.interval_millis, target.keep_alive.timeout_millis) == (5000, 1000)
    other = target_of("temporal://other/space", registry)
    assert (other.address, other.namespace, other.url) == (
        "other:7233",
        "space",
        "temporal://other:7233/space",
    )
    with pytest.raises(Error, match="a Temporal URL may not have a user"):
        target_of("temporal://other/space?x=1", registry)


def test_an_api_key_comes_from_its_file_and_means_tls(write_app: Any, tmp_path: Path, plugins: Any) -> None:
    from saros_temporal.client.target import target_of

    more = "    auth: {type: api_key, api_key_file: key.txt}\n"
    root = with_client(tmp_path / "app", write_app, "example:1234", more)
    (root / "key.txt").write_text("secret\n")
    target = target_of("temporal://", load_app(root, plugins).registry)
    assert target.api_key == "secret"
    assert isinstance(target.tls, TLSConfig)


def test_worker_options() -> None:
    from saros_temporal.worker.worker import worker_options

    found = worker_options({
        "identity": "me",
        "max_concurrent_activity_execution_size": 7,
        "max_cached_workflows": 0,
        "max_concurrent_workflow_task_pollers": 3,
        "worker_activities_per_second": 0,
        "task_queue_activities_per_second": 5,
        "sticky_schedule_to_start_timeout": "3s",
        "worker_stop_timeout": 1500,
        "disable_eager_activities": True,
        "deployment_name": "orders",
        "build_id": "v2",
        "use_versioning": True,
        "default_versioning_behavior": "pinned",
    })  # fmt: skip
    assert (found["identity"], found["max_concurrent_activities"], found["max_cached_workflows"]) == (
        "me",
        7,
        0,
    )
    assert found["workflow_task_poller_behavior"].maximum == 3
    assert "max_activities_per_second" not in found
    assert found["max_task_queue_activities_per_second"] == 5.0
    assert found["sticky_queue_schedule_to_start_timeout"] == timedelta(seconds=3)
    assert found["graceful_shutdown_timeout"] == timedelta(seconds=1.5)
    assert found["disable_eager_activity_execution"] is True
    assert found["deployment_config"].version.build_id == "v2"
    assert found["deployment_config"].use_worker_versioning is True


class Sealed(PayloadCodec):
    """The example of the guide: compresses, then encrypts."""

    def __init__(self) -> None:
        self._box = Fernet(base64.urlsafe_b64encode(b"k" * 32))

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(
                metadata={"encoding": b"binary/sealed"},
                data=self._box.encrypt(zlib.compress(payload.SerializeToString())),
            )
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload.FromString(zlib.decompress(self._box.decrypt(payload.data)))
            if payload.metadata.get("encoding") == b"binary/sealed"
            else payload
            for payload in payloads
        ]


FLOW = """
local funcs, workflow = require("funcs"), require("workflow")
return function(secret)
  workflow.on_query("secret", function() return secret end)
  workflow.attrs{memo = {note = secret}}
  local message = process.inbox():receive()
  local value = funcs.call("app:echo", { secret, message:payload():data() })
  local exit = process.spawn("app:other", "app:worker", value)
  local event = process.events():receive()
  return event.result.value
end
"""


def test_a_codec_covers_everything(
    run: Any, opener: Any, write_app: Any, tmp_path: Path, server: Any
) -> None:
    root = write_app(tmp_path / "sealed", flow=FLOW, other="return function(x) return x end")

    async def scenario() -> Any:
        async with opener(root, options={"codec": Sealed()}) as app:
            handle = await app.start("app:flow", "s3cret", messages=[("m", "s3cret first")])
            assert await handle.query("secret") == "s3cret"
            result = await handle.result(90)
            memo = (await handle.describe()).memo
            lines = [line.summary for line in await handle.history()]
            pages = [
                await app.backend.history(handle.id, limit=1),
                await app.backend.history(handle.id, "", LAST),
            ]
            inputs = [bytes(page.run.args) for page in pages]
        async with opener(root, workers=False) as bare:
            return result, memo, lines, inputs, str(await bare.get(handle.id).export())

    result, memo, lines, inputs, raw = run(scenario())
    assert result == ["s3cret", "s3cret first"]
    assert memo["note"] == "s3cret"
    assert any("s3cret first" in line for line in lines)
    assert inputs == [b'["s3cret"]'] * 2
    texts = [base64.b64encode(b"s3cret"[i:]).decode()[:6] for i in range(3)]
    assert "s3cret" not in raw
    assert not any(text in raw for text in texts)


def test_a_codec_that_cannot_be_made(
    run: Any, write_app: Any, tmp_path: Path, plugins: Any, server: Any
) -> None:
    async def scenario() -> None:
        with pytest.raises(Error, match="cannot make the payload codec nowhere:Codec"):
            async with open_app(
                write_app(tmp_path / "app"), server.url, plugins=plugins, options={"codec": "nowhere:Codec"}
            ):
                pass

    run(scenario())


async def signaled(handle: Any) -> bool:
    """Send; False while the server is away."""
    try:
        await handle.signal("go", 2)
    except Error as error:
        if error.kind != "Unavailable":
            raise
        return False
    return True


def test_a_lost_server_loses_nothing(
    run: Any,
    opener: Any,
    write_app: Any,
    until: Any,
    tmp_path: Path,
    another: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from saros_temporal.client import connection

    monkeypatch.setattr(connection, "CHECK_S", 0.2)

    def said(text: str) -> list[str]:
        return [record.getMessage() for record in caplog.records if text in record.getMessage()]

    async def tells(text: str) -> bool:
        return bool(said(text))

    flow = """
local funcs = require("funcs")
return function()
  local first = funcs.call("app:echo", 1)
  local message = process.inbox():receive()
  return { first, message:payload():data(), (funcs.call("app:echo", 3)) }
end
"""

    async def scenario() -> Any:
        loop = asyncio.get_running_loop()
        async with opener(write_app(tmp_path / "lost", flow=flow), another.url) as app:
            handle = await app.start("app:flow")
            async for line in handle.watch():
                if line.name == "ActivityCompleted":
                    break
            await loop.run_in_executor(None, another.stop)
            await until(lambda: tells("the worker continues when it is back"), 60)
            await loop.run_in_executor(None, another.start)
            await until(lambda: signaled(handle), 60)
            await until(lambda: tells(f"{another.address} is back"), 60)
            return await handle.result(60)

    assert run(scenario(), 300) == [1, 2, 3]
    lost = len(
        said("the worker continues when it is back")
    )  # a loaded server may be lost again while it starts
    assert lost - len(said(f"{another.address} is back")) in (0, 1)


SCRIPT = """
import asyncio, sys
from importlib.metadata import EntryPoint, entry_points
import saros
from saros.app.plugins import GROUP, Plugins

points = list(entry_points(group=GROUP))
if not any(point.name == "temporal" for point in points):
    points.append(EntryPoint("temporal", "saros_temporal.plugin", GROUP))

async def main():
    async with saros.open(sys.argv[1], sys.argv[2], plugins=Plugins(points)) as app:
        waiting = await app.start("app:flow")
        handle = await app.start("app:flow", messages=[("go", 2)])
        await handle.result(90)
        await waiting.terminate()

asyncio.run(main())
sys.exit(3)
"""


def test_a_process_ends_cleanly(write_app: Any, tmp_path: Path, server: Any, shared: Any) -> None:
    root = write_app(
        tmp_path / "ends", uuid.uuid4().hex, flow="return function() process.inbox():receive() end"
    )
    for _ in range(4):
        command = [sys.executable, "-c", SCRIPT, str(root), server.url]
        ended = subprocess.run(command, capture_output=True, timeout=120, env=dict(os.environ), check=False)
        assert ended.returncode == 3, ended.stderr.decode()
