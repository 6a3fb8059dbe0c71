"""The console as an ASGI app: its routes, and the headers and errors that they share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from saros import App
from saros.model.errors import NOT_FOUND, UNAVAILABLE, Error

from . import live
from .desk import Desk
from .guard import COOKIE, Guard, Refused, protected, read_form
from .notices import Notice, failure
from .pages import actions, bulk, failures, list_page, overview, run_page

Page = Callable[[Desk, Request], Awaitable[Response]]


class Console(Desk):
    """:ivar asgi: the ASGI app."""

    def __init__(
        self,
        app: App,
        *,
        read_only: bool = False,
        token: str = "",
        local: bool = True,
        user_header: str = "",
        url: str = "",
        trace_url: str = "",
    ) -> None:
        guard = Guard(token, read_only=read_only, local=local, user_header=user_header, url=url)
        super().__init__(app, guard, trace_url)
        get, post = ["GET"], ["POST"]
        table: list[tuple[str, Page, list[str]]] = [
            ("/", list_page.page, get),
            ("/execution", run_page.page, get),
            ("/execution/history.json", run_page.export, get),
            ("/live/executions", live.executions, get),
            ("/live/execution", live.execution, get),
            ("/live/workers", live.workers, get),
            ("/live/schedules", live.schedules, get),
            ("/live/bulk", live.bulk, get),
            ("/failures", failures.page, get),
            ("/workers", overview.workers, get),
            ("/schedules", overview.schedules, get),
            ("/entries", overview.entries, get),
            ("/start", actions.start_form, get),
            ("/start", actions.start, post),
            ("/act", actions.act, post),
            ("/schedules/act", actions.schedule, post),
            ("/bulk", bulk.form, get),
            ("/bulk", bulk.carry_out, post),
            ("/bulk/progress", bulk.progress, get),
            ("/bulk/stop", bulk.stop, post),
        ]
        static = str(resources.files(__package__).joinpath("..", "static"))
        pages = Starlette(
            routes=[
                Mount("/static", StaticFiles(directory=static)),
                Route("/login", self._bound(_login, open=True), methods=["GET", "POST"]),
                *(Route(path, self._bound(page), methods=methods) for path, page, methods in table),
                Route("/{rest:path}", self._bound(_missing)),
            ],
        )
        self.asgi = protected(pages)

    def _bound(self, page: Page, open: bool = False) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                self.guard.check_host(request)
                request.state.user = self.guard.user(request)
                if not open and not self.guard.is_in(request):
                    if not self.guard.needs_token:
                        raise Refused(403, "the proxy has not told who you are", "come in through the proxy")
                    return RedirectResponse("/login", 303)
                response = await page(self, request)
                if request.method == "HEAD" and isinstance(response, StreamingResponse):
                    return Response(media_type=response.media_type)  # a stream would not end
                return response
            except Refused as refused:
                shown = Notice(refused.message, True, refused.hint)
                status = refused.status
            except Error as error:
                status = {NOT_FOUND: 404, UNAVAILABLE: 503}.get(error.kind, 400)
                shown = failure(error)
            return self.render(request, "problem.html", status, problem=shown)

        return answer


async def _missing(console: Desk, request: Request) -> Response:
    raise Refused(404, "there is no such page", "go back to the executions")


async def _login(console: Desk, request: Request) -> Response:
    guard = console.guard
    if request.method == "POST":
        guard.check_site(request)
        if guard.knows((await read_form(request)).get("token", "")):
            response = RedirectResponse("/", 303)
            secure = guard.secure or request.url.scheme == "https"
            response.set_cookie(COOKIE, guard.session, httponly=True, samesite="strict", secure=secure)
            return response
        return console.render(request, "login.html", 403, wrong=True)
    return console.render(request, "login.html", wrong=False)
