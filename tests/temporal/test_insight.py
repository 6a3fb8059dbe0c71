"""What is told about executions when no worker is there, and with long histories."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.interfaces.history import LAST
from saros.model.errors import UNAVAILABLE
from saros_temporal.client import insight_client
from saros_temporal.client.history_client import HistoryClient
from saros_testing import TestApp, eventually
from saros_testing.cases import refused

from .conftest import Server

pytestmark = pytest.mark.anyio

MAIN = """
return function()
local process, time = require("process"), require("time")
local w = require("workflow")
w.on_query("state", function() return 1 end)
local approve = process.listen("approve")
coroutine.spawn(function() time.sleep("5h") end)
approve:receive()
end
"""


@pytest.fixture
def queue() -> str:
    return f"insight-{uuid.uuid4()}"


async def _started(path: Path, url: str, id: str) -> None:
    """Start a workflow, wait until its timer is under way, and stop the worker."""
    async with TestApp(path, url) as app:
        order = await app.start("app:main", id=id)

        async def waits() -> bool:
            return bool((await order.pending()).timers)

        await eventually(waits, "the timer is under way", 60)


async def test_a_stack_without_a_worker_is_that_of_a_replay(
    server: Server, write_app: Any, tmp_path: Path, queue: str
) -> None:
    path, id = write_app(tmp_path / "app", queue, main=MAIN), str(uuid.uuid4())
    await _started(path, server.url, id)
    async with saros.open(path, backend=server.url, workers=False) as app:
        stack = await app.get(id).stack()
        assert (stack.queries, stack.topics) == (["state"], ["approve"])
        (waits, sleeps) = sorted(stack.coroutines, key=lambda each: each.waits)
        assert sleeps.waits == "a timer"
        assert all("main.lua:" in each.frames[0] for each in (waits, sleeps))


async def test_without_worker_and_app_the_error_names_the_queue(
    server: Server, write_app: Any, tmp_path: Path, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, id = write_app(tmp_path / "app", queue, main=MAIN), str(uuid.uuid4())
    await _started(path, server.url, id)
    monkeypatch.setattr(insight_client, "POLLS_NS", 0)  # the server remembers the worker that has gone
    async with saros.open(None, backend=server.url, workers=False) as app:
        began = time.monotonic()
        error = await refused(app.get(id).stack())
        assert error.kind == UNAVAILABLE
        assert queue in error.message
        assert time.monotonic() - began < insight_client.TRIGGERED_S
        await app.get(id).terminate()


async def test_a_page_of_a_history_goes_on_where_the_last_one_ended(
    server: Server, write_app: Any, tmp_path: Path, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = "return function() for _ = 1, 60 do process.inbox():receive() end return true end"
    request = HistoryClient._request

    def small(self: HistoryClient) -> Any:
        found = request(self)
        found.maximum_page_size = 3  # batches of events
        return found

    monkeypatch.setattr(HistoryClient, "_request", small)
    read: list[int] = []
    decode = HistoryClient._decode

    async def counted(self: HistoryClient, events: Any) -> None:
        read.append(len(events))
        await decode(self, events)

    monkeypatch.setattr(HistoryClient, "_decode", counted)
    async with TestApp(write_app(tmp_path / "app", queue, main=main), server.url) as app:
        order = await app.start("app:main", id=str(uuid.uuid4()))
        backend = app.app.backend

        async def in_pages(start: int) -> list[Any]:
            found: list[Any] = []
            while True:
                read.clear()
                page = await backend.history(order.id, "", start + len(found), limit=7)
                found += page.records
                if len(page.records) < 7:
                    return found
                assert len(found) < 8 or sum(read) <= 60  # not the whole history again

        sent: list[int] = []

        async def heard(count: int) -> bool:
            return len((await backend.history(order.id)).records) == count + 1

        for count in (30, 59):
            for number in range(len(sent), count):
                sent.append(number)
                await order.signal(f"topic-{number}")
            await eventually(lambda count=count: heard(count), "the signals are in the history", 60)
            whole = (await backend.history(order.id)).records
            assert await in_pages(0) == whole
            assert (await backend.history(order.id, "", LAST)).records == whole[-1:]
        assert await in_pages(50) == whole[50:]
        await order.signal("last")
        assert await order.result(60) is True
        whole = (await backend.history(order.id)).records
        page = await backend.history(order.id, "", len(whole) - 2, limit=5)
        assert (page.records, page.status) == (whole[-2:], "completed")


async def test_a_client_without_the_app_sees_who_serves_what_runs(
    server: Server, write_app: Any, tmp_path: Path, queue: str
) -> None:
    path, id = write_app(tmp_path / "app", queue, main=MAIN), str(uuid.uuid4())
    async with TestApp(path, server.url) as app, saros.open(None, server.url, workers=False) as client:
        order = await app.start("app:main", id=id)

        async def seen() -> bool:
            served = {name for worker in await client.workers() for name in worker.task_queues}
            polled = {each.name for each in await client.queues() if each.pollers}
            return queue in served & polled

        await eventually(seen, "the worker and its queue are seen", 60)
        await order.terminate()
