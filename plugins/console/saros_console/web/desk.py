"""What all pages have in common: the app, the guard, templates and notices."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse

from saros import App
from saros.model.background import Jobs

from .guard import Guard
from .notices import Notice
from .view import environment

if TYPE_CHECKING:
    from .parts.go import Go

KEPT_NOTICES: Final = 100


class Desk:
    """:ivar ending: whether the server is about to stop.
    :ivar jobs: actions on many that are under way.
    :ivar goes: the last of them, by their keys.
    :ivar trace_url: where traces are shown, with ``{trace}`` for the id of one; empty if nowhere.
    """

    def __init__(self, app: App, guard: Guard, trace_url: str = "") -> None:
        self.app = app
        self.guard = guard
        self.trace_url = trace_url
        self.jobs = Jobs()
        self.goes: OrderedDict[str, Go] = OrderedDict()
        self.ending: Callable[[], bool] = lambda: False
        self._pages = environment()
        self._notices: OrderedDict[str, Notice] = OrderedDict()

    def notify(self, notice: Notice) -> str:
        """Keep a notice for the next page, and give the key that its URL names it by."""
        key = secrets.token_urlsafe(9)
        self._notices[key] = notice
        while len(self._notices) > KEPT_NOTICES:
            self._notices.popitem(last=False)
        return key

    def fragment(self, template: str, **values: Any) -> str:
        return self._pages.get_template(template).render(
            read_only=self.guard.read_only, csrf=self.guard.csrf, now=self.app.clock.now(), **values
        )

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page."""
        theme = request.cookies.get("saros_theme", "")
        html = self.fragment(
            template,
            backend=self.app.backend.url,
            path=request.url.path,
            theme=theme if theme in ("dark", "light") else "",
            notice=self._notices.get(request.query_params.get("notice", "")),
            has_app=bool(list(self.app.registry.of_role("workflow"))),
            **values,
        )
        return HTMLResponse(html, status)
