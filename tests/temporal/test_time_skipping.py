"""Days and months on Temporal's test server, which skips the time in which nothing happens."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.model.errors import NOT_FOUND, Error

FLOWS = {
    "sleeps": """
local time = require("time")
return function(span)
  local before = time.now()
  time.sleep(span)
  return time.now():sub(before):hours()
end
""",
    "waits": """
local time = require("time")
local workflow = require("workflow")
return function()
  local before = time.now()
  local inbox, timer = process.inbox(), time.after("48h")
  local found = channel.select({ inbox:case_receive(), timer:case_receive() })
  local ok, err = workflow.attrs({ search = { customer = "c-1" } })
  return { found.channel == timer, math.floor(time.now():sub(before):hours()), ok or err:message() }
end
""",
    "retries": """
local funcs = require("funcs")
local time = require("time")
return function(options)
  local before = time.now()
  local value, err = funcs.new():with_options(options):call("app:flaky")
  return { value or err:kind(), value or err:message(), math.floor(time.now():sub(before):hours()) }
end
""",
    "forever": """
return function() process.inbox():receive() end
""",
    "ticks": """
local time = require("time")
return function(to) process.send(to, "tick", time.now():format("Jan 2 15:04")) end
""",
    "collects": """
return function(count)
  local found = {}
  for number = 1, count do found[number] = process.inbox():receive():payload():data() end
  return found
end
""",
}
FLAKY = """
local activity = require("activity")
return function()
  local attempt = activity.info().attempt
  if attempt < 4 then return nil, errors.new({ message = "not yet", retryable = true }) end
  return attempt
end
"""


@pytest.fixture
def root(tmp_path: Path, write_app: Any) -> Path:
    found: Path = write_app(tmp_path / "app", flaky=FLAKY, **FLOWS)
    index = found / "_index.yaml"
    text = index.read_text().replace("workflow]", "workflow, channel]")
    kind, uses = "kind: workflow.lua, source: file://flaky.lua, modules: ", "[funcs, time, workflow, channel]"
    text = text.replace(kind + uses, "kind: function.lua, source: file://flaky.lua, modules: [activity]")
    text += "  - {name: temporal, kind: temporal.client, search_attributes: {customer: keyword}}\n"
    index.write_text(text)
    return found


def test_a_month_takes_no_time(run: Any, opener: Any, skipping: Any, root: Path) -> None:
    async def scenario() -> None:
        async with opener(root, skipping.url) as app:
            handle = await app.start("app:sleeps", "720h")
            assert await skipping.skip(handle.result()) == pytest.approx(720, abs=0.1)
            handle = await app.start("app:waits")
            assert await skipping.skip(handle.result()) == [True, 48, True]

    run(scenario())


def test_retries_and_timeouts_of_days(run: Any, opener: Any, skipping: Any, root: Path) -> None:
    async def scenario() -> None:
        async with opener(root, skipping.url) as app:

            async def result(**options: Any) -> Any:
                return await skipping.skip((await app.start("app:retries", options)).result())

            policy = {"initial_interval": "24h", "backoff_coefficient": 2, "maximum_interval": "1000h"}
            day = {"activity.retry_policy": policy}
            assert await result(**day) == [4, 4, 24 + 48 + 96]
            short = {**day, "activity.schedule_to_close_timeout": "60h"}
            assert await result(**short) == ["", "not yet", 24]  # the third attempt would be too late

            handle = await app.start("app:forever", options={"execution_timeout": 30 * 86_400_000})
            with pytest.raises(Error, match="timed out") as failed:
                await skipping.skip(handle.result())
            assert failed.value.kind == "Timeout"
            described = await handle.describe()
            assert described.status == "timed_out"
            assert (described.close_time - described.start_time).total_seconds() == pytest.approx(
                30 * 86_400, abs=5
            )

    run(scenario())


async def _terminated(cron: saros.Handle) -> None:
    """Terminate a cron workflow. Between two of its runs, the test server knows none for a moment."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await cron.terminate()
            except Error as error:
                if error.kind != NOT_FOUND:
                    raise
            await asyncio.sleep(0.05)


def test_cron_runs_each_night(run: Any, opener: Any, skipping: Any, root: Path) -> None:
    async def scenario() -> list[str]:
        async with opener(root, skipping.url) as app:
            collector = await app.start("app:collects", 3)
            cron = await app.start("app:ticks", collector.pid, options={"cron_schedule": "30 2 * * *"})
            found: list[str] = await skipping.skip(collector.result())
            await _terminated(app.get(cron.id))
            return found

    ticks = [dt.datetime.strptime(f"2024 {tick}", "%Y %b %d %H:%M") for tick in run(scenario())]
    assert [(tick.hour, tick.minute) for tick in ticks] == [(2, 30)] * 3
    assert len({tick.date() for tick in ticks}) == 3
