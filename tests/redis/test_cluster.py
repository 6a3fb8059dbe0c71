"""A real cluster of three nodes, and a master that Sentinel names."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

import saros
from saros.model.records import Spawn
from saros_testing import lua_app
from saros_testing.conformance import BEHAVIOURS, Behaviour, run

PICKED = BEHAVIOURS[::9]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, server_class: Any) -> Iterator[list[Any]]:
    started: list[Any] = []
    try:
        for _ in range(3):
            folder = tmp_path_factory.mktemp("node")
            started.append(server_class(folder, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000"))
            started[-1].start()
        _join(started)
        yield started
    finally:
        for node in started:
            node.kill()


def _join(started: list[Any]) -> None:
    clients = [node.client() for node in started]
    slots = [range(0, 5461), range(5461, 10923), range(10923, 16384)]
    for client, owned in zip(clients, slots, strict=False):
        client.execute_command("CLUSTER", "ADDSLOTS", *owned)
    for node in started[1:]:
        clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
    _until(lambda: all(_known(client) == len(started) for client in clients))
    for client in clients:
        client.close()


@pytest.fixture
def replicated(tmp_path: Path, server_class: Any) -> Iterator[list[Any]]:
    """Three masters, and then their replicas."""
    started: list[Any] = []
    try:
        for number in range(6):
            folder = tmp_path / f"node{number}"
            folder.mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
            started.append(server_class(folder, *options, "--repl-diskless-sync-delay", "0"))
            started[-1].start()
        _join(started)
        clients = [node.client() for node in started]
        ids = [client.execute_command("CLUSTER", "MYID") for client in clients]
        for client, master in zip(clients[3:], ids, strict=False):
            client.execute_command("CLUSTER", "REPLICATE", master)
        _until(lambda: all(node.is_replicated() for node in started[:3]))
        for client in clients:
            client.close()
        yield started
    finally:
        for node in started:
            node.kill()


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _known(client: Any) -> int:
    lines = client.execute_command("CLUSTER", "INFO").decode().split()
    info = dict(line.split(":", 1) for line in lines)
    return int(info["cluster_known_nodes"]) if info["cluster_state"] == "ok" else 0


@pytest.mark.parametrize("behaviour", PICKED, ids=lambda item: item.name)
def test_conforms_on_a_cluster(behaviour: Behaviour, nodes: list[Any], tmp_path: Path) -> None:
    run(behaviour, nodes[0].url(cluster="true", partitions=6), tmp_path)


def test_work_is_spread_over_a_cluster(nodes: list[Any], tmp_path: Path) -> None:
    child = 'time.sleep("10ms") return input * 2'
    main = 'local value, err = require("workflow").call("app:child", input) return value or nil, err'
    path = lua_app(tmp_path, workflows={"main": main, "child": child})
    url = nodes[0].url(cluster="true", prefix="spread")

    async def main_() -> None:
        async with saros.open(path, backend=url) as app:
            orders = [await app.start("app:main", n, id=f"x{n}") for n in range(40)]
            assert [await order.result(90) for order in orders] == [n * 2 for n in range(40)]
            assert len([each async for each in app.list("status = 'completed'")]) == 80

    asyncio.run(main_())
    counts = []
    for node in nodes:
        with node.client() as client:
            counts.append(sum(1 for _ in client.scan_iter("{spread:*}:m:*")))
    assert sum(counts) == 80
    assert all(counts)


def test_the_documented_user_of_a_cluster(nodes: list[Any], acl: Any, tmp_path: Path) -> None:
    for node in nodes:
        with node.client() as client:
            client.execute_command(*acl("allowed", "shop"), "+cluster|slots", "+command")
    url = nodes[0].url(cluster="true", prefix="allowed", partitions=6).replace("//", "//shop:secret@")
    run(PICKED[0], url, tmp_path)
    for node in nodes:
        with node.client() as client:
            denied = {entry["object"] for entry in client.acl_log()}
        assert denied <= {"client", "client|setinfo"}  # redis-py sends its name, and ignores a refusal


def test_clusters_and_single_servers_are_told_apart(nodes: list[Any], server: Any, tmp_path: Path) -> None:
    path = lua_app(tmp_path, workflows={"main": "return 1"})

    async def refused(url: str) -> saros.Error:
        with pytest.raises(saros.Error) as raised:
            async with saros.open(path, backend=url):
                pass
        return raised.value

    error = asyncio.run(refused(nodes[0].url()))
    assert "is a node of a cluster" in error.message
    assert error.hint == "add cluster=true to the URL"
    error = asyncio.run(refused(server.url(cluster="true")))
    assert f"Redis at localhost:{server.port} is not a cluster" in error.message


def test_processes_of_other_nodes_on_a_cluster(nodes: list[Any], tmp_path: Path) -> None:
    echo = """
        local process = require("process")
        local message = process.inbox():receive()
        process.send(message:from(), "answer", message:payload():data())
        return "done"
    """
    talk = """
        local process = require("process")
        local answers, events = process.listen("answer"), process.events()
        process.monitor(input)
        process.send(input, "question", "hello")
        return {answers:receive(), events:receive().result.value}
    """
    path = lua_app(tmp_path, workflows={"talk": talk}, functions={"ask": talk}, processes={"echo": echo})
    url = nodes[0].url(cluster="true", partitions=6)

    async def main() -> None:
        async with saros.open(path, backend=url) as a, saros.open(path, backend=url) as b:
            spawn = Spawn("app:echo", "app:host")
            pids = [msgspec.json.decode(await b.host.spawn(spawn, None)) for _ in range(6)]
            assert await a.call("app:ask", pids.pop()) == ["hello", "done"]
            orders = [await a.start("app:talk", pid) for pid in pids]
            assert [await order.result(90) for order in orders] == [["hello", "done"]] * 5

    asyncio.run(main())


def test_a_master_of_a_cluster_is_killed(replicated: list[Any], tmp_path: Path) -> None:
    """A replica takes over, and workflows of all partitions finish, including those of the killed master."""
    body = """
        local sum = 0
        for i = 1, input do
          sum = sum + funcs.call("app:square", i)
          time.sleep("20ms")
        end
        return sum
    """
    path = lua_app(tmp_path / "app", workflows={"steps": body}, functions={"square": "return input * input"})
    url = replicated[1].url(cluster="true", partitions=6, lease="1s")
    victim, heir = replicated[0], replicated[3]

    async def main() -> None:
        async with saros.open(path, backend=url) as app:
            orders = [await app.start("app:steps", 30, id=f"s{number}") for number in range(30)]
            for master in replicated[:3]:
                await asyncio.to_thread(_until, master.is_replicated)
            begun = time.monotonic()
            victim.kill()
            with heir.client() as client:
                await asyncio.to_thread(
                    _until, lambda: client.info("replication")["role"] == "master" and _known(client)
                )
            promoted = time.monotonic() - begun
            sums = [await order.result(90) for order in orders]
            finished = time.monotonic() - begun
            assert sums == [sum(i * i for i in range(1, 31))] * 30
            late = [await app.start("app:steps", 1, id=f"late{number}") for number in range(12)]
            assert [await order.result(90) for order in late] == [1] * 12
            print(f"promoted {promoted:.1f} s, all finished {finished:.1f} s")

    asyncio.run(main())


def test_sentinel_names_the_master(server: Any, tmp_path: Path) -> None:
    binary = shutil.copy(server.binary, tmp_path / "redis-sentinel")
    port = _port_of(server)
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"port {port}\ndir {tmp_path}\nsentinel monitor orders 127.0.0.1 {server.port} 1\nrequirepass open\n"
    )
    path = lua_app(tmp_path / "app", workflows={"main": "return input + 1"})
    sentinel = subprocess.Popen([binary, str(config), "--sentinel"], stdout=subprocess.DEVNULL)

    async def main() -> None:
        url = f"redis://localhost:1,localhost:{port}/0?prefix=watched&sentinel=orders"
        for query, text in (
            ("", "refuses access"),
            ("&sentinel_password=open&sentinel=others", "has no master 'others' that works"),
        ):
            with pytest.raises(saros.Error, match=text):
                async with saros.open(path, backend=url + query):
                    pass
        with pytest.raises(saros.Error, match="cannot reach Sentinel at localhost:1, localhost:2"):
            async with saros.open(path, backend="redis://localhost:1,localhost:2/0?sentinel=orders"):
                pass
        with pytest.raises(saros.Error, match="is a Sentinel"):
            async with saros.open(path, backend=f"redis://default:open@localhost:{port}/0"):
                pass
        url += "&sentinel_password=open"
        async with saros.open(path, backend=url) as app:
            assert await (await app.start("app:main", 1)).result(90) == 2

    try:
        deadline = time.monotonic() + 10
        while not _answers(port):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        asyncio.run(main())
    finally:
        sentinel.kill()
        sentinel.wait()


def _port_of(server: Any) -> int:
    other = type(server)(server.folder)
    return int(other.port)


def _answers(port: int) -> bool:
    try:
        with redis.Redis(port=port, password="open") as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
