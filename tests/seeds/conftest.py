"""The examples of the user's guide to workflows, and how they are run.

`app/` holds each of them, unchanged. Some are whole sources, some only lines of one: the fixture adds the missing
parts (the modules' locals, a table with `main`) on the first line and after the last, so that line numbers stay.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from saros.engine.replay import replay
from saros_testing import TestApp, lua_app

EXAMPLES = Path(__file__).parent / "app"

ACTIVITIES = {
    "charge_payment": """
        if input.customer == "c-broke" or input.declined then
          return nil, errors.new({message = "card declined", kind = "Declined", retryable = false})
        end
        return {id = "pay-1", amount = input.amount}
    """,
    "ship_order": """
        if not input.address then
          return nil, errors.new({message = "no address", kind = errors.INVALID, retryable = false})
        end
        return {tracking_number = "TRK-1", tracking = "TRK-1"}
    """,
    "refund_payment": "return input",
    "reserve_inventory": """
        if #input == 0 then return nil, errors.new(errors.INVALID, "nothing to reserve") end
        return {id = "res-1"}
    """,
    "release_inventory": "return input",
    "risky_activity": 'if input.risk then return nil, errors.new("Risk", "it went wrong") end return "well"',
    "send_alert": "return true",
    "fetch_data": 'return "data of " .. input',
    "old_payment": 'return "old " .. input',
    "new_payment": 'return "new " .. input',
}


class Guide:
    """The examples."""

    ACTIVITIES = ACTIVITIES
    HEAD = (
        " ".join(f'local {name} = require("{name}")' for name in ("funcs", "time", "workflow", "json")) + " "
    )
    MAIN_HEAD = HEAD + "local function main(...) local order, input, input_data, id = ..., ..., ..., ... "
    TAIL = "\nend\nreturn { main = main }\n"

    def example(self, name: str) -> str:
        return (EXAMPLES / name).read_text("utf-8")

    def source(self, name: str) -> str:
        """Return a source that defines `main`."""
        text = self.example(name)
        if "return { main" in text:
            return text
        return f"{self.HEAD}{text}\nreturn {{ main = main }}\n"

    def lines_of(self, name: str, result: str = "nil") -> str:
        """Return a source whose `main` runs an example's lines and returns `result`."""
        return f"{self.MAIN_HEAD}{self.example(name)}\nreturn {result}{self.TAIL}"

    def app(self, path: Path, name: str, text: str, **parts: Any) -> TestApp:
        """Open an app whose workflow `name` has this source, with every activity that the examples call."""
        workflows = {name: text, **parts.pop("workflows", {})}
        functions = {**ACTIVITIES, **parts.pop("functions", {})}
        return TestApp(lua_app(path, workflows=workflows, functions=functions, **parts))

    def run(
        self, path: Path, name: str, text: str, *args: Any, messages: Any = (), **parts: Any
    ) -> tuple[Any, list[str]]:
        """Return the result of a workflow, and its history, after a replay."""

        async def scenario() -> tuple[Any, list[str]]:
            async with asyncio.timeout(100), self.app(path, name, text, **parts) as app:
                handle = await app.start(f"app:{name}", *args, id="order-123", messages=messages)
                result = await handle.result(timeout=90)
                document = await handle.export()
                assert replay(document, app.app.deployment) == len(document["events"])
                return result, [f"{line.name} {line.summary}".strip() for line in await handle.history()]

        return asyncio.run(scenario())

    @staticmethod
    def calls(history: list[str]) -> list[str]:
        return [line.split()[1] for line in history if line.startswith("ActivityScheduled")]


@pytest.fixture(scope="session")
def guide() -> Guide:
    return Guide()
