"""What several of these modules ask of an app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from saros.app.app import App
from saros.insight.parked import troubled_page
from saros.model.errors import NOT_FOUND, Error

from ...cases import TestApp
from ..suite import Case, eventually

AGAIN = 'return nil, errors.new{message = "again", retryable = true}'


async def order_result(app: TestApp, id: str) -> object:
    result: object = await app.app.get(id).result(30)
    return result


def shared(case: Case) -> str:
    """Return a URL whose executions are visible to every app in this process that opens it."""
    return f"memory://{case.path.name}" if case.url.startswith("memory:") else case.url


async def stop_workers(app: TestApp) -> None:
    await app.app.stop_workers()


async def has(app: TestApp, id: str, name: str) -> bool:
    return any(line.name == name for line in await app.app.get(id).history())


async def started(app: TestApp, id: str) -> bool:
    """Return whether its code has run; a backend may count earlier events."""
    return await has(app, id, "ExecutionStarted")


async def answers(order: object, text: str) -> bool:
    answer: object = await order.query("status", "is ")  # type: ignore[attr-defined]
    return answer == text


async def is_listed(app: App, id: str, trouble: str) -> bool:
    """Return whether the list of the parked or retrying executions has this one."""
    page = await troubled_page(app.backend, trouble, f"id = '{id}'", 2)
    return [run.id for run in page.items] == [id]


async def problem_of(app: TestApp, id: str) -> str:
    found = ""

    async def parked() -> bool:
        nonlocal found
        found = (await app.app.get(id).describe()).problem or ""
        return bool(found)

    await eventually(parked, "the execution is parked")
    return found


async def status(app: TestApp, id: str) -> str:
    """Return the status of the newest run; "" if there is no run."""
    try:
        return (await app.app.get(id).describe()).status
    except Error as error:
        if error.kind != NOT_FOUND:
            raise
        return ""


def run_is(app: TestApp, id: str, *statuses: str) -> Callable[[], Awaitable[bool]]:
    async def found() -> bool:
        return await status(app, id) in statuses

    return found
