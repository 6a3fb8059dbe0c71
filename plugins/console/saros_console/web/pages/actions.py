"""Actions: start, signal, query, update, cancel, terminate, release; pause, resume and trigger schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from saros.model import values
from saros.model.errors import INVALID, NOT_FOUND, TIMEOUT, Error

from ..guard import Refused, note
from ..notices import Notice, failure
from ..view import execution_link, link, payload

if TYPE_CHECKING:
    from ..desk import Desk

ANSWER_S: Final = 15.0
"""Seconds to wait for the answer to a query or an update."""


def json_list(text: str, what: str) -> list[Any]:
    """Decode a JSON array in a form.

    :raises Error: INVALID.
    """
    try:
        found = values.decode(values.from_plain(text.strip().encode() or b"[]"))
    except (Error, msgspec.DecodeError, UnicodeError) as error:
        raise Error(f"{what} is no JSON: {error}", INVALID, hint='write an array, such as ["a", 1]') from None
    if not isinstance(found, list):
        raise Error(f"{what} must be a JSON array", INVALID, hint="put [ ] around it")
    return found


async def _done(console: Desk, fields: dict[str, str]) -> tuple[str, str]:
    """Carry out an action on an execution; return a sentence about it, and its answer."""
    handle, action, id = console.app.get(fields.get("id", "")), fields.get("action", ""), fields.get("id", "")
    reason, name = fields.get("reason", ""), fields.get("name", "").strip()
    if action in ("signal", "query", "update"):
        if not name:
            raise Error(f"the {action} needs a name", INVALID)
        args = json_list(fields.get("args", ""), "what it gets")
        if action == "signal":
            await handle.signal(name, *args)
            return f"sent {name} to {id}", ""
        ask = handle.query if action == "query" else handle.update
        try:
            with anyio.fail_after(ANSWER_S):
                answer = await ask(name, *args)
        except TimeoutError:
            hint = "does a worker run? `saros run APP` with the same --backend is one"
            raise Error(
                f"no worker has answered for {id} within {ANSWER_S:g} s", TIMEOUT, hint=hint
            ) from None
        return f"{id} has answered {name}", payload(values.encode(answer))
    if action == "cancel":
        await handle.cancel(reason)
        return f"asked {id} to end", ""
    if action == "terminate":
        await handle.terminate(reason)
        return f"ended {id}", ""
    if action == "release":
        await handle.release()
        return f"released {id}", ""
    raise Refused(400, "there is no such action")


async def act(console: Desk, request: Request) -> Response:
    fields = await console.guard.form(request)
    what = f"{fields.get('action', '')} {fields.get('name', '')} {fields.get('id', '')}"
    try:
        said, body = await _done(console, fields)
    except Error as error:
        note(request, what, f"failed: {error}")
        key = console.notify(failure(error))
    else:
        note(request, what, "done")
        key = console.notify(Notice(said, body=body))
    return RedirectResponse(execution_link(fields.get("id", ""), notice=key), 303)


async def start_form(console: Desk, request: Request) -> Response:
    like = request.query_params.get("like", "")
    given = {"entry": request.query_params.get("entry", ""), "args": "[]", "id": ""}
    if like:
        page = await console.app.backend.history(like, "", 0, limit=1)
        given.update(entry=page.run.entry, args=payload(page.run.args))
    return _form(console, request, given, None)


def _form(
    console: Desk, request: Request, given: dict[str, str], problem: Any, status: int = 200
) -> Response:
    workflows = sorted(entry.id for entry in console.app.registry.of_role("workflow"))
    return console.render(request, "start.html", status, given=given, problem=problem, workflows=workflows)


async def start(console: Desk, request: Request) -> Response:
    fields = await console.guard.form(request)
    given = {name: fields.get(name, "") for name in ("entry", "args", "id")}
    what = f"start {given['entry']} {given['id']}"
    try:
        args = json_list(given["args"], "the input")
        handle = await console.app.start(given["entry"], *args, id=given["id"].strip() or None)
    except Error as error:
        note(request, what, f"failed: {error}")
        return _form(console, request, given, failure(error), 400)
    note(request, what, f"started {handle.id}")
    said = f"started {handle.id}" if handle.created else f"{handle.id} ran already"
    return RedirectResponse(execution_link(handle.id, notice=console.notify(Notice(said))), 303)


async def schedule(console: Desk, request: Request) -> Response:
    fields = await console.guard.form(request)
    app, id, action = console.app, fields.get("id", ""), fields.get("action", "")
    try:
        if action == "pause":
            await app.pause(id, fields.get("reason", ""))
            said = f"paused {id}"
        elif action == "resume":
            await app.resume(id)
            said = f"{id} goes on with its next time"
        elif action == "trigger":
            said = f"{id} has started {await app.trigger(id)}"
        else:
            raise Error("there is no such action", NOT_FOUND)
    except Error as error:
        note(request, f"{action} {id}", f"failed: {error}")
        notice = failure(error)
    else:
        note(request, f"{action} {id}", said)
        notice = Notice(said)
    return RedirectResponse(link("/schedules", notice=console.notify(notice)), 303)
