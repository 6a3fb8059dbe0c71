"""Behaviours, and the function that runs them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from saros.model.errors import Error
from saros.model.execution import new_id
from saros_memory.virtual_clock import VirtualClock

from ..apps import lua_app
from ..cases import TestApp, eventually, refused

__all__ = ["BEHAVIOURS", "TOGETHER", "Behaviour", "Case", "behaviour", "eventually", "refused", "run"]

BEHAVIOURS: Final[list[Behaviour]] = []
LIMIT_S = 60.0
_PARTS = (
    "values",
    "activities.calls",
    "activities.python_functions",
    "activities.attempts",
    "timers.timing",
    "timers.punctual",
    "signals.messages",
    "workflows.children",
    "workflows.control",
    "insight.searching",
    "signals.clients",
    "workflows.lifecycle",
    "workflows.cancels",
    "workflows.runs",
    "activities.options",
    "workflows.running",
    "workflows.versions",
    "surface",
    "insight.looking",
    "insight.scheduled",
    "workflows.together",
    "insight.logs",
)


class Behaviour(NamedTuple):
    """:param clause: the section of the contract.
    :param text: one sentence that a user may rely on.
    :param needs: features that a backend may lack for a stated reason.
    """

    clause: str
    text: str
    scenario: Callable[[Case], Awaitable[None]]
    needs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.clause} {self.text}"

    @property
    def name(self) -> str:
        return self.scenario.__name__


class Case:
    """One run of one behaviour: makes apps on the backend under test, and cleans up after them.

    :param workers: the number of deployments of each app that run side by side.
    """

    def __init__(self, url: str, path: Path, workers: int = 1) -> None:
        self.url = url
        self.path = path
        self._workers = workers
        self._others: dict[TestApp, TestApp] = {}
        self._stack = contextlib.AsyncExitStack()
        self._apps = 0

    async def app(self, main: str = "", *, into: Path | None = None, **parts: Any) -> TestApp:
        """Open an app of Lua texts (see `saros.testing.lua_app`); `main` is the workflow ``app:main``."""
        path = into or self.path / f"app{self._apps}"
        self._apps += 1
        workflows: Mapping[str, str] = {**({"main": main} if main else {}), **parts.pop("workflows", {})}
        lua_app(path, workflows=workflows, **parts)
        app = last = await self._stack.enter_async_context(TestApp(path, self.url))
        for _ in range(1, self._workers):
            last = await self._stack.enter_async_context(TestApp(path, self.url, services=False))
        self._others[app] = last
        return app

    def other(self, app: TestApp) -> TestApp:
        """Return another deployment of the app, or the app itself if it is the only one."""
        return self._others[app]

    async def run(self, main: str, *args: Any, **parts: Any) -> Any:
        """Run a workflow ``main``, and return its result."""
        return await (await self.app(main, **parts)).run("app:main", *args, id=self.id())

    async def fails(self, main: str, *args: Any, **parts: Any) -> Error:
        """Run a workflow ``main``, and return its error."""
        return await (await self.app(main, **parts)).fails("app:main", *args, id=self.id())

    def still(self, app: TestApp) -> contextlib.AbstractContextManager[None]:
        """Stop virtual time within the context, so that the test can act before time goes on."""
        virtual = isinstance(app.app.clock, VirtualClock)
        return app.hold_time() if virtual else contextlib.nullcontext()

    def id(self) -> str:
        """Return a fresh workflow id, because backends outlive a test."""
        return f"case-{new_id()[:13]}"

    async def close(self) -> None:
        await self._stack.aclose()


def behaviour(clause: str, text: str, *needs: str) -> Callable[[Callable[[Case], Awaitable[None]]], Any]:
    """Add a scenario to the suite."""

    def add(scenario: Callable[[Case], Awaitable[None]]) -> Callable[[Case], Awaitable[None]]:
        BEHAVIOURS.append(Behaviour(clause, text, scenario, needs))
        return scenario

    return add


def run(behaviour: Behaviour, url: str, path: Path, workers: int = 1) -> None:
    """Run one behaviour on a backend; raise AssertionError, or any other error that occurs.

    :param workers: the number of deployments that share the work; with more than one, all that open the URL must see
        the same executions.
    """

    async def scenario() -> None:
        case = Case(url, path, workers)
        try:
            async with asyncio.timeout(LIMIT_S):
                await behaviour.scenario(case)
        finally:
            await case.close()

    asyncio.run(scenario())


for _part in _PARTS:
    importlib.import_module(f"{__package__}.{_part}")

# fmt: off
_SHARED: Final = [
    "calls_in_parallel", "call_retried", "call_heartbeat", "future_canceled", "local_calls",
    "local_calls_fail", "local_call_ends_with_its_workflow", "timers_in_order", "timer_stops",
    "signals_in_order", "workflows_talk", "functions_talk", "names", "replies", "signals_survive_continue",
    "child_called", "child_exit", "child_cancelled", "parent_close", "processes", "monitors",
    "monitors_end_with_their_run", "cooperative_cancel", "terminates", "execution_timeout",
    "workflow_retry", "no_orphans", "updates_continue", "continues", "queries", "updates", "side_effects",
    "work_changes_hands", "workers_share",
    "messages_in_order", "messages_across_runs", "messages_across_retries", "messages_before_the_end",
    "coroutines_send_before_the_end",
    "cancel_meets_continue", "unread_cancel_continues", "unmet_cancel_continues", "met_cancel_ends_with_its_run",
    "cancelled_in_both_runs",
]
# fmt: on
TOGETHER: Final[list[Behaviour]] = [each for each in BEHAVIOURS if each.name in _SHARED]
"""The behaviours to run with two workers as well, because one worker may have to finish what the other began."""
