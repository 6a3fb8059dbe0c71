"""The console as an ASGI app: routes, and what holds for all of them."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from saros import App
from saros.model.errors import NOT_FOUND, UNAVAILABLE, Error

from . import actions, bulk, live, overview, run_page, runs
from .guard import COOKIE, Guard, Refused, protect, read_form
from .notices import Notice, failure
from .view import environment

Page = Callable[["Console", Request], Awaitable[Response]]

KEPT_NOTICES: Final = 100


class Console:
    """:ivar asgi: what a server serves.

    :ivar ending: whether that server is about to stop.
    """

    def __init__(self, app: App, *, read_only: bool = False, token: str = "", local: bool = True) -> None:
        self.app = app
        self.guard = Guard(token, read_only=read_only, local=local)
        self.ending: Callable[[], bool] = lambda: False
        self._pages = environment()
        self._notices: OrderedDict[str, Notice] = OrderedDict()
        get, post = ["GET"], ["POST"]
        table: list[tuple[str, Page, list[str]]] = [
            ("/", runs.page, get),
            ("/execution", run_page.page, get),
            ("/execution/history.json", run_page.export, get),
            ("/live/executions", live.executions, get),
            ("/live/execution", live.execution, get),
            ("/workers", overview.workers, get),
            ("/schedules", overview.schedules, get),
            ("/entries", overview.entries, get),
            ("/start", actions.start_form, get),
            ("/start", actions.start, post),
            ("/act", actions.act, post),
            ("/schedules/act", actions.schedule, post),
            ("/bulk", bulk.form, get),
            ("/bulk", bulk.carry_out, post),
        ]
        static = str(resources.files(__package__).joinpath("..", "static"))
        self.asgi = Starlette(
            routes=[
                Mount("/static", StaticFiles(directory=static)),
                Route("/login", self._bound(_login, open=True), methods=["GET", "POST"]),
                *(Route(path, self._bound(page), methods=methods) for path, page, methods in table),
                Route("/{rest:path}", self._bound(_missing)),
            ],
        )

    def _bound(self, page: Page, open: bool = False) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                self.guard.check_host(request)
                if not open and not self.guard.is_in(request):
                    return protect(RedirectResponse("/login", 303))
                return protect(await page(self, request))
            except Refused as refused:
                shown = Notice(refused.message, True, refused.hint)
                status = refused.status
            except Error as error:
                status = {NOT_FOUND: 404, UNAVAILABLE: 503}.get(error.kind, 400)
                shown = failure(error)
            return protect(self.render(request, "problem.html", status, problem=shown))

        return answer

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


async def _missing(console: Console, request: Request) -> Response:
    raise Refused(404, "there is no such page", "go back to the executions")


async def _login(console: Console, request: Request) -> Response:
    guard = console.guard
    if request.method == "POST":
        guard.check_site(request)
        if guard.knows((await read_form(request)).get("token", "")):
            response = RedirectResponse("/", 303)
            secure = request.url.scheme == "https"
            response.set_cookie(COOKIE, guard.session, httponly=True, samesite="strict", secure=secure)
            return response
        return console.render(request, "login.html", 403, wrong=True)
    return console.render(request, "login.html", wrong=False)
