"""What all pages share: the app, the guard, templates, notices and caches."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import HTMLResponse

from saros import App
from saros.interfaces.insight import Page, Queue, Worker
from saros.interfaces.insight.pending import Pending
from saros.model.background import Jobs
from saros.model.execution import Description

from .guard import Guard
from .notices import Notice
from .parts.shared import Shared
from .parts.stacks import Stacks
from .view import environment

if TYPE_CHECKING:
    from .parts.go import Go

T = TypeVar("T")
SHOWN: Final = 50
"""Executions on a page of the list."""
OFTEN: Final = 1.0
"""The rest after an expensive search of a live page (see `Shared`): such searches take half of the time at most."""
KEPT_NOTICES: Final = 100
KEPT_GOES: Final = 20
"""How many actions on many executions are kept with their results."""


class Recent(Generic[T]):
    """The last `most` values, by keys for URLs."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[str, T] = OrderedDict()

    def keep(self, value: T) -> str:
        """Store a value, and return its key."""
        key = secrets.token_urlsafe(9)
        self._values[key] = value
        while len(self._values) > self._most:
            self._values.popitem(last=False)
        return key

    def get(self, key: str) -> T | None:
        return self._values.get(key)


class Desk:
    """:ivar ending: whether the server is about to stop.
    :ivar jobs: background jobs, such as actions on many executions.
    :ivar goes: the latest actions on many executions, by key.
    :ivar counts: the number of executions that a query selects, by status.
    :ivar queues: all task queues, under an empty key.
    :ivar workers: all workers, under an empty key.
    :ivar listed: pages of live lists, by query and cursor.
    :ivar seen: a run and its pending work for live pages, by workflow id and run id.
    :ivar stacks: where the code of runs waits.
    :ivar made: the live parts of pages by path and query: their signature, the time, and the HTML.
    :ivar trace_url: the address of a trace, with ``{trace}`` in place of its id; empty if there is none.
    """

    def __init__(self, app: App, guard: Guard, trace_url: str = "") -> None:
        self.app = app
        self.guard = guard
        self.trace_url = trace_url
        self.jobs = Jobs()
        self.goes: Recent[Go] = Recent(KEPT_GOES)
        self.counts: Shared[str, dict[str, int]] = Shared(self.jobs, app.backend.counts, "a count")
        self.queues: Shared[str, list[Queue]] = Shared(self.jobs, lambda _: app.queues(), "the task queues")
        self.workers: Shared[str, list[Worker]] = Shared(self.jobs, lambda _: app.workers(), "the workers")
        self.listed: Shared[tuple[str, str], Page] = Shared(
            self.jobs, lambda key: app.backend.page(key[0], SHOWN, key[1]), "a list", OFTEN
        )
        self.seen: Shared[tuple[str, str], tuple[Description, Pending]] = Shared(
            self.jobs, self._look, "what is pending", OFTEN
        )
        self.made: dict[tuple[str, str], tuple[bytes, float, str]] = {}
        self.stacks = Stacks(self.jobs, app.backend)
        self.ending: Callable[[], bool] = lambda: False
        self._pages = environment()
        self._notices: Recent[Notice] = Recent(KEPT_NOTICES)

    async def _look(self, key: tuple[str, str]) -> tuple[Description, Pending]:
        backend = self.app.backend
        return await backend.describe(*key), await backend.pending(*key)

    def notify(self, notice: Notice) -> str:
        """Store a notice for the next page, and return its key for the URL."""
        return self._notices.keep(notice)

    def fragment(self, template: str, **values: Any) -> str:
        return self._pages.get_template(template).render(
            read_only=self.guard.read_only,
            csrf=self.guard.csrf,
            now=self.app.clock.now(),
            has_app=any(self.app.registry.of_role("workflow")),
            **values,
        )

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Render a page."""
        theme = request.cookies.get("saros_theme", "")
        html = self.fragment(
            template,
            backend=self.app.backend.url,
            path=request.url.path,
            theme=theme if theme in ("dark", "light") else "",
            notice=self._notices.get(request.query_params.get("notice", "")),
            **values,
        )
        return HTMLResponse(html, status)
