"""`saros signal`, `query`, `update`, `cancel`, `terminate`, `release` and `result`: talk to executions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import inputs, output, session
from ..errors import Failed, Interrupted
from ..parameters import (
    VALUE_HELP,
    AnswerTimeout,
    Backend,
    ClientApp,
    ExecutionId,
    Json,
    Reason,
    RunId,
    Timeout,
)

if TYPE_CHECKING:
    from saros.app.handle import Handle

_Values = Annotated[
    list[str] | None,
    typer.Argument(metavar="JSON", help=f"Its arguments: {VALUE_HELP}", show_default=False),
]


def add_to(cli: typer.Typer, panel: str) -> None:
    for command, example in (
        (signal, """saros signal order-123 approve '{"approved_by": "ann"}'"""),
        (query, "saros query order-123 progress --app examples/orders"),
        (update, """saros update order-123 set_address '"12 High Street"'"""),
        (cancel, "saros cancel order-123 --reason 'out of stock'"),
        (terminate, "saros terminate order-123 --reason 'wrong customer'"),
        (release, "saros release order-123"),
        (result, "saros result order-123 --timeout 30s"),
    ):
        cli.command(rich_help_panel=panel, epilog=f"Example: {example}")(command)


def _with(
    backend: str | None,
    app: Path | None,
    id: str,
    run_id: str,
    work: Callable[[Handle], Awaitable[Any]],
) -> Any:
    async def run() -> Any:
        async with session.client(backend, app) as opened:
            return await work(opened.get(id, run_id))

    return session.run(run())


SLOW_S = 5.0
"""The time without an answer after which a note says so."""


async def _answer(asking: Coroutine[Any, Any, Any], id: str, timeout: float | None) -> Any:
    """Wait for a worker's answer.

    :param timeout: seconds.
    :raises Error: TIMEOUT when no worker answers in time.
    """
    import asyncio

    from saros.model.background import Job
    from saros.model.errors import TIMEOUT, Error

    hint = "is a worker running? `saros run APP` with the same --backend starts one"
    job = Job(asking, f"the request to {id}")
    try:
        soon = SLOW_S if timeout is None else min(SLOW_S, timeout)
        await asyncio.wait({job.task}, timeout=soon)
        if not job.done() and (timeout is None or timeout > soon):
            output.note(f"no worker has answered for {id} yet: {hint}")
            await asyncio.wait({job.task}, timeout=None if timeout is None else timeout - soon)
        if not job.done():
            raise Error(f"no worker has answered for {id} within {timeout:g} s", TIMEOUT, hint=hint)
        return await job.wait()
    finally:
        await job.end()


def _said(text: str, json: bool, **told: Any) -> None:
    """Print that the request was carried out, as a sentence or as data."""
    if json:
        output.plain(told, compact=True)
    else:
        output.line(text)


def signal(
    id: ExecutionId,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic.", show_default=False)],
    payload: Annotated[
        list[str] | None,
        typer.Argument(metavar="JSON", help=f"Its payloads: {VALUE_HELP}", show_default=False),
    ] = None,
    app: ClientApp = None,
    backend: Backend = None,
    json: Json = False,
) -> None:
    """Send a signal to a running execution."""
    payloads = inputs.value_list(payload or [], "argument")
    _with(backend, app, id, "", lambda handle: handle.signal(topic, *payloads))
    _said(f"sent {topic} to {id}", json, id=id, topic=topic, sent=True)


def query(
    id: ExecutionId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of workflow.on_query.", show_default=False)],
    arguments: _Values = None,
    run_id: RunId = "",
    timeout: AnswerTimeout = None,
    app: ClientApp = None,
    backend: Backend = None,
    json: Json = False,
) -> None:
    """Query a running execution, and print the answer as JSON.

    On memory and Redis the answer comes from the app's code, which runs here.
    """
    args = inputs.value_list(arguments or [], "argument")
    seconds = inputs.seconds(timeout)

    async def work(handle: Handle) -> Any:
        from saros.model.errors import CodeError

        await handle.describe()
        try:
            return await _answer(handle.query(name, *args), id, seconds)
        except CodeError as error:
            if app is None:
                error.hint = error.hint or "name the app's directory with --app DIR"
            raise

    output.data(_with(backend, app, id, run_id, work), compact=json)


def update(
    id: ExecutionId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of workflow.on_update.", show_default=False)],
    arguments: _Values = None,
    timeout: AnswerTimeout = None,
    app: ClientApp = None,
    backend: Backend = None,
    json: Json = False,
) -> None:
    """Send an update to a running execution, and print its answer as JSON."""
    args = inputs.value_list(arguments or [], "argument")
    seconds = inputs.seconds(timeout)

    async def work(handle: Handle) -> Any:
        from saros.model.errors import Error

        await handle.describe()

        async def asking() -> Any:
            try:
                return await handle.update(name, *args)
            except Error as error:
                raise Failed(error) from None

        return await _answer(asking(), id, seconds)

    output.data(_with(backend, app, id, "", work), compact=json)


def cancel(
    id: ExecutionId, reason: Reason = "", app: ClientApp = None, backend: Backend = None, json: Json = False
) -> None:
    """Request the cancellation of a running execution; its code decides how to end."""
    _with(backend, app, id, "", lambda handle: handle.cancel(reason))
    _said(f"asked {id} to end", json, id=id, cancel_requested=True)


def release(id: ExecutionId, app: ClientApp = None, backend: Backend = None, json: Json = False) -> None:
    """Try at once what has failed: a parked workflow task, and activities that wait for a retry."""
    _with(backend, app, id, "", lambda handle: handle.release())
    _said(f"released {id}", json, id=id, released=True)


def terminate(
    id: ExecutionId, reason: Reason = "", app: ClientApp = None, backend: Backend = None, json: Json = False
) -> None:
    """End a running execution at once; its code does not run again."""
    _with(backend, app, id, "", lambda handle: handle.terminate(reason))
    _said(f"ended {id}", json, id=id, terminated=True)


def result(
    id: ExecutionId,
    run_id: RunId = "",
    timeout: Timeout = None,
    app: ClientApp = None,
    backend: Backend = None,
    json: Json = False,
) -> None:
    """Wait for an execution to end, and print its result as JSON."""
    seconds = inputs.seconds(timeout)

    async def work() -> Any:
        from ..progress import result_of

        async with session.client(backend, app) as opened:
            handle = opened.get(id, run_id)
            await handle.describe()
            return await result_of(opened, handle, timeout=seconds, quiet=True)

    found = session.run(work(), lambda: Interrupted("interrupted; the workflow goes on"))
    output.data(found, compact=json)
