"""Processes of other nodes: messages, monitors, links, requests, names, and nodes that die."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import saros
from saros.interfaces.nodes import NodeMail
from saros.model import values
from saros.model.records import Spawn
from saros_testing import lua_app

PROCESSES = {
    # answers with what it gets and how often it was asked
    "echo": """
        local process = require("process")
        local inbox, count = process.inbox(), 0
        while true do
          local message = inbox:receive()
          local body = message:payload():data()
          if message:topic() == "end" then return body end
          if message:topic() == "fail" then error("was told to fail") end
          count = count + 1
          process.send(message:from(), "answer", {body = body, count = count})
        end
    """,
    # ends when it is asked to, and tells so
    "polite": """
        local process = require("process")
        local events = process.events()
        process.registry.register("polite")
        return events:receive().kind
    """,
    # tells of the events of a peer it is linked to
    "linked": """
        local process = require("process")
        process.set_options({trap_links = true})
        local events = process.events()
        process.link(input)
        process.registry.register("linked")
        local event = events:receive()
        return event.kind
    """,
    "named": """
        local process = require("process")
        process.registry.register("named")
        process.inbox():receive()
        return "done"
    """,
}

TALK = """
    local process = require("process")
    local answers, found = process.listen("answer"), {}
    for i = 1, 3 do
      local ok, err = process.send(input, "question", i)
      if not ok then return {err = err:kind(), retry = err:retryable(), text = err:message()} end
      local answer = answers:receive()
      found[i] = {answer.body, answer.count}
    end
    return found
"""
WATCH = """
    local process = require("process")
    local events = process.events()
    local ok, err = process.monitor(input.pid)
    if not ok then return {err = err:kind()} end
    if input.then_ == "send" then process.send(input.pid, input.topic, "bye") end
    if input.then_ == "cancel" then process.cancel(input.pid) end
    if input.then_ == "terminate" then process.terminate(input.pid) end
    if input.name then process.registry.register(input.name) end
    local event = events:receive()
    local result = event.result or {}
    return {kind = event.kind, from = event.from, value = result.value, failed = result.error ~= nil}
"""
LOOK = """
    local process = require("process")
    return process.registry.lookup(input)
"""
CODE = {"talk": TALK, "watch": WATCH, "look": LOOK}
WORKFLOWS = {
    **CODE,
    "spawn_and_wait": """
        local process = require("process")
        local events = process.events()
        local pid = process.spawn("app:echo", "app:host")
        process.registry.register("spawned", pid)
        local event = events:receive()
        return {event.kind, event.from == pid, event.error and event.error:kind()}
    """,
    "exec": """
        local process = require("process")
        local value, err = process.exec("app:named", "app:host")
        return value or err:kind()
    """,
}
FUNCTIONS = {f"f_{name}": text for name, text in CODE.items()}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return lua_app(tmp_path / "app", workflows=WORKFLOWS, functions=FUNCTIONS, processes=PROCESSES)


def opened(app: Path, url: str, **more: Any) -> Any:
    return saros.open(app, backend=url, services=False, **more)


async def spawn(app: saros.App, entry: str, *args: Any) -> str:
    found = Spawn(f"app:{entry}", "app:host", msgspec.Raw(values.encode_args(args)))
    return msgspec.json.decode(await app.host.spawn(found, None), type=str)


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(100):
        while not (found := await look()):  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.02)
        return found


def run(app: Path, url: str, main: Callable[[Any, Any], Awaitable[None]]) -> None:
    """Run a test with two nodes that both work."""

    async def both() -> None:
        async with asyncio.timeout(100), opened(app, url) as a, opened(app, url) as b:
            await main(a, b)

    asyncio.run(both())


async def each_way(a: Any, name: str, argument: Any) -> list[Any]:
    """What a function of node a gives, and what workflows give, whose requests any node delivers."""
    found = [await a.call(f"app:f_{name}", argument())]
    orders = [await a.start(f"app:{name}", argument()) for _ in range(6)]
    return found + [await order.result(90) for order in orders]


def test_messages_and_answers(app: Path, url: str) -> None:
    async def main(a: Any, b: Any) -> None:
        pids: list[str] = []
        for _ in range(7):
            pids.append(await spawn(b, "echo"))
        assert await each_way(a, "talk", pids.pop) == [[[1, 1], [2, 2], [3, 3]]] * 7

    run(app, url, main)


def test_ended_processes_are_not_found(app: Path, url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A workflow's message is accepted at once, and the log tells that nobody is there."""

    async def main(a: Any, b: Any) -> None:
        pid = f"{b.host.node}|p999"
        gone = {"err": "NotFound", "retry": False, "text": f"process {pid} not found"}
        assert await a.call("app:f_talk", pid) == gone
        orders = [await a.start("app:talk", pid) for _ in range(6)]

        async def told() -> bool:
            lines = [line for line in caplog.messages if f"process {pid} not found" in line]
            return all(any(order.id in line for line in lines) for order in orders)

        await until(told)
        assert await each_way(a, "watch", lambda: {"pid": pid}) == [{"err": "NotFound"}] * 7
        nowhere = "@nowhere|p1"
        assert (await a.call("app:f_talk", nowhere))["err"] == "NotFound"

    run(app, url, main)


@pytest.mark.parametrize(("topic", "value", "failed"), [("end", "bye", False), ("fail", None, True)])
def test_monitors_hear_of_ends(app: Path, url: str, topic: str, value: Any, failed: bool) -> None:
    async def main(a: Any, b: Any) -> None:
        pids = [await spawn(b, "echo") for _ in range(7)]
        waiting = list(pids)
        found = await each_way(a, "watch", lambda: {"pid": waiting.pop(), "then_": "send", "topic": topic})
        assert [each.pop("from") for each in found] == pids[::-1]
        assert [each.get("value") for each in found] == [value] * 7
        assert [(each["kind"], each["failed"]) for each in found] == [("EXIT", failed)] * 7
        with_server = b.backend.store._client.commands
        assert not await with_server.hlen(
            b.backend.store._partitions.keys.box(b.host.node).replace(":nm:", ":nw:")
        )

    run(app, url, main)


def test_cancel_and_terminate(app: Path, url: str) -> None:
    async def main(a: Any, b: Any) -> None:
        async def request(verb: str) -> dict[str, Any]:
            pid = await spawn(b, "polite")
            await until(lambda: b.backend.lookup("polite"))
            return {"pid": pid, "then_": verb}

        for verb in ("cancel", "terminate"):
            asked = [await request(verb) for _ in range(2)]
            first = await a.call("app:f_watch", asked[0])
            second = await (await a.start("app:watch", asked[1])).result(90)
            for found in (first, second):
                assert found["kind"] == "EXIT"
                assert found.get("value") == ("CANCEL" if verb == "cancel" else None)
                assert found["failed"] == (verb == "terminate")

    run(app, url, main)


def test_links_hold_in_both_directions(app: Path, url: str) -> None:
    async def main(a: Any, b: Any) -> None:
        async def pair() -> tuple[str, str, asyncio.Task[Any]]:
            peer = await spawn(b, "echo")
            linked = await spawn(a, "linked", peer)
            assert await until(lambda: a.backend.lookup("linked")) == linked
            events = asyncio.create_task(b.call("app:f_watch", {"pid": linked, "name": "watching"}))
            await until(lambda: b.backend.lookup("watching"))
            return peer, linked, events

        peer, _linked, events = await pair()
        b.host.get(peer).end(b'{"err":{"message":"broken"}}')
        assert (await events)["value"] == "LINK_DOWN"

        peer, linked, events = await pair()
        a.host.get(linked).end(b'{"err":{"message":"broken"}}')
        assert (await events)["failed"]
        await until(lambda: asyncio.sleep(0, b.host.get(peer) is None))

    run(app, url, main)


def test_names_are_found_from_everywhere(app: Path, url: str) -> None:
    async def main(a: Any, b: Any) -> None:
        pid = await spawn(b, "echo")
        assert await b.backend.register("shop", pid)
        assert await each_way(a, "look", lambda: "shop") == [pid] * 7
        assert await a.call("app:f_talk", "shop") == [[1, 1], [2, 2], [3, 3]]
        talked = await (await a.start("app:talk", "shop")).result(90)
        assert talked == [[1, 4], [2, 5], [3, 6]]

    run(app, url, main)


def test_mail_is_carried_out_once_and_sent_again_when_lost(
    app: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(a: Any, b: Any) -> None:
        real: Any = a.backend.store.send_node
        sent: list[NodeMail] = []

        async def flaky(node: str, mail: NodeMail) -> bool:
            sent.append(mail)
            if len(sent) == 1:
                return True  # the first is lost
            return bool(await real(node, mail)) and bool(await real(node, mail))  # the others come twice

        monkeypatch.setattr("saros.engine.nodes.AGAIN_S", 0.1)
        monkeypatch.setattr(a.backend.store, "send_node", flaky)
        pid = await spawn(b, "echo")
        assert await a.call("app:f_talk", pid) == [[1, 1], [2, 2], [3, 3]]
        assert sent[0] == sent[1]

    run(app, url, main)


def test_a_client_reaches_processes(app: Path, url: str) -> None:
    async def main() -> None:
        async with asyncio.timeout(100), opened(app, url) as node, opened(app, url, workers=False) as client:
            pid = await spawn(node, "polite")
            await until(lambda: client.backend.lookup("polite"))
            ended = asyncio.create_task(node.call("app:f_watch", {"pid": pid, "name": "watching"}))
            await until(lambda: client.backend.lookup("watching"))
            await client.host.ask(saros.model.records.Ask("cancel", pid), "")
            assert (await ended)["value"] == "CANCEL"

    asyncio.run(main())


NODE = """
import asyncio, sys
import msgspec, saros
from saros.model.records import Spawn

async def main():
    async with saros.open(sys.argv[1], backend=sys.argv[2], services=False) as app:
        pids = []
        for _ in range(int(sys.argv[3])):
            pids.append(msgspec.json.decode(await app.host.spawn(Spawn("app:echo", "app:host"), None)))
        print(*pids, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def node(app: Path) -> Iterator[Callable[..., Any]]:
    """Starts worker processes with processes; gives the worker and their pids."""
    started: list[subprocess.Popen[bytes]] = []

    def start(url: str, count: int = 0) -> tuple[subprocess.Popen[bytes], list[str]]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", NODE, str(app), url, str(count)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        started.append(worker)
        assert worker.stdout is not None
        return worker, worker.stdout.readline().decode().split()

    yield start
    for each in started:
        each.kill()
        each.wait()
        assert each.stdout is not None
        each.stdout.close()


def test_a_killed_node(app: Path, server: Any, node: Callable[..., Any]) -> None:
    url = server.url(lease="1s")

    async def main() -> None:
        async with asyncio.timeout(100), opened(app, url) as a:
            worker, pids = await asyncio.to_thread(node, url, 3)
            linked = await spawn(a, "linked", pids[0])
            assert await until(lambda: a.backend.lookup("linked")) == linked
            order = await a.start("app:watch", {"pid": pids[1], "name": "order"})
            watches = [{"pid": linked, "name": "f1"}, {"pid": pids[2], "name": "f2"}]
            calls = [asyncio.create_task(a.call("app:f_watch", watch)) for watch in watches]
            for name in ("order", "f1", "f2"):
                await until(lambda name=name: a.backend.lookup(name))
            worker.kill()
            of_linked, of_process = await asyncio.gather(*calls)
            assert of_linked["value"] == "LINK_DOWN"
            for found, pid in ((of_process, pids[2]), (await order.result(90), pids[1])):
                assert found == {"kind": "EXIT", "from": pid, "failed": True}
            assert (await a.call("app:f_talk", pids[0]))["err"] == "NotFound"
            assert await each_way(a, "watch", lambda: {"pid": pids[1]}) == [{"err": "NotFound"}] * 7

    asyncio.run(main())


def test_a_killed_node_that_a_workflow_spawned_on(app: Path, server: Any, node: Callable[..., Any]) -> None:
    url = server.url(lease="1s")

    async def main() -> None:
        worker, _ = await asyncio.to_thread(node, url)
        async with asyncio.timeout(100), opened(app, url, workers=False) as a:
            waits = await a.start("app:spawn_and_wait")
            executes = await a.start("app:exec")
            await until(lambda: a.backend.lookup("spawned"))
            await until(lambda: a.backend.lookup("named"))
            a.start_workers(services=False)
            worker.kill()
            assert await waits.result(90) == ["EXIT", True, "Unavailable"]
            assert await executes.result(90) == "Unavailable"

    asyncio.run(main())


def test_nodes_outlive_the_server(app: Path, own_server: Any) -> None:
    url = own_server.url(lease="1s")

    async def main(a: Any, b: Any) -> None:
        pid = await spawn(b, "echo")
        order = await a.start("app:watch", {"pid": pid, "name": "order"})
        watching = asyncio.create_task(a.call("app:f_watch", {"pid": pid, "name": "function"}))
        for name in ("order", "function"):
            await until(lambda name=name: a.backend.lookup(name))
        own_server.kill()
        await asyncio.sleep(2.0)  # longer than a lease
        await asyncio.to_thread(own_server.start)
        assert await a.call("app:f_talk", pid) == [[1, 1], [2, 2], [3, 3]]
        assert not watching.done()
        b.host.get(pid).end(b'{"ok":"late"}')
        for found in (await watching, await order.result(90)):
            assert found == {"kind": "EXIT", "from": pid, "value": "late", "failed": False}

    run(app, url, main)


def test_a_call_of_a_client_can_be_answered(redis_url: str, tmp_path: Path) -> None:
    """It serves no queue, but others reach the pid that it tells them."""

    async def scenario() -> None:
        async with asyncio.timeout(60):
            lua_app(
                tmp_path,
                processes={
                    "echo": "while true do local m = process.inbox():receive() "
                    "local ok, err = process.send(m:from(), 'answer', m:payload():data()) "
                    "if not ok then error(err) end end"
                },
                functions={
                    "asks": "local ok, err = process.send(input, 'ask', 7) if not ok then return nil, err end "
                    "return process.inbox():receive():payload():data()",
                    "starts": "return process.spawn('app:echo', 'app:host')",
                },
            )
            async with saros.open(tmp_path, redis_url) as app:
                pid = await app.call("app:starts")
                async with saros.open(tmp_path, redis_url, workers=False) as client:
                    assert await client.call("app:asks", pid) == 7

    asyncio.run(scenario())
