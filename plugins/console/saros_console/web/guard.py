"""Access checks for every request: who may enter, from which address, and whether an action is genuine."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from saros.model.text import cut, one_line

audit = logging.getLogger("saros.console.audit")

COOKIE: Final = "saros_console"
MOST_FORM: Final = 1_000_000
"""Bytes of a form; more is refused."""
LOCAL_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""They restrict what a browser may do with a response to showing it."""


class Refused(Exception):
    """A request is refused, with a sentence that says why.

    :param hint: what to do instead.
    """

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.hint = status, message, hint


class Guard:
    """:param local: whether only this machine reaches it; any Host but a loopback one is then a DNS rebinding attack.
    :param user_header: the header in which a trusted proxy names the user; requests without it are refused.
    :param url: the address that users open behind a proxy, such as ``https://console.example``.
    """

    def __init__(
        self, token: str, *, read_only: bool, local: bool, user_header: str = "", url: str = ""
    ) -> None:
        self._token = token.encode()
        self._token_hash = hashlib.sha256(self._token).digest()
        self._secret = secrets.token_bytes(32)
        self.read_only = read_only
        self._local = local
        self._user_header = user_header
        outside = urlsplit(url)
        self._outside = outside.netloc.lower()
        self._names = LOCAL_NAMES | ({_name(self._outside)} if outside.netloc else set())
        self.secure = outside.scheme == "https"
        self.csrf = self._sign(b"csrf")
        self.session = self._sign(b"session")

    def _sign(self, what: bytes) -> str:
        return hmac.new(self._secret, what + self._token, hashlib.sha256).hexdigest()

    @property
    def needs_token(self) -> bool:
        return bool(self._token)

    def knows(self, token: str) -> bool:
        """Return whether a token is the right one, in a time that reveals neither it nor its length."""
        return hmac.compare_digest(hashlib.sha256(token.encode()).digest(), self._token_hash)

    def user(self, request: Request) -> str:
        """Return the user that the proxy names; empty without a proxy, or if the header came twice: one is forged."""
        told = request.headers.getlist(self._user_header) if self._user_header else []
        return told[0].strip() if len(told) == 1 else ""

    def is_in(self, request: Request) -> bool:
        """Return whether a request has the token, or a user whom the proxy names."""
        if self._user_header and not self.user(request):
            return False
        if not self._token:
            return True
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.knows(given.strip()):
            return True
        return hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self.session.encode())

    def check_host(self, request: Request) -> None:
        """:raises Refused: for a host name that is not ours, as in DNS rebinding."""
        name = _name(request.headers.get("host", ""))
        if self._local and name.lower() not in self._names:
            raise Refused(
                421, f"this console is not {cut(one_line(name), 100)}", "open the address that it printed"
            )

    def check_site(self, request: Request) -> None:
        """:raises Refused: for a request that another site made the browser send."""
        site = request.headers.get("sec-fetch-site", "same-origin")
        origin = request.headers.get("origin")
        own = {request.headers.get("host", "").lower(), self._outside} - {""}  # Origin: null has no host
        if site != "same-origin" or (origin is not None and urlsplit(origin).netloc.lower() not in own):
            raise Refused(403, "another site has sent this form", "act from the console's own pages")

    async def form(self, request: Request) -> dict[str, str]:
        """Return the fields of an action after all checks.

        :raises Refused: if the action is not allowed.
        """
        if self.read_only:
            raise Refused(403, "this console is read-only", "start it without --read-only to act")
        self.check_site(request)
        fields = await read_form(request)
        if not hmac.compare_digest(fields.get("csrf", "").encode(), self.csrf.encode()):
            raise Refused(
                403, "this page is from before the console was started", "load it again, and repeat"
            )
        return fields


def _name(host: str) -> str:
    """Return a host without its port."""
    return host if host.endswith("]") else host.rsplit(":", 1)[0]


async def read_form(request: Request) -> dict[str, str]:
    """:raises Refused: for a body that is too large or not a form."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM:
            raise Refused(413, f"the form has more than {MOST_FORM:,} bytes", "use the command line")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
    except ValueError:
        raise Refused(400, "this is no form") from None


def protected(app: ASGIApp) -> ASGIApp:
    """Wrap an app so that all its responses have `HEADERS`, static files and errors included."""

    async def shielded(scope: Scope, receive: Receive, send: Send) -> None:
        async def out(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("cache-control", "no-cache" if "etag" in headers else "no-store")
            await send(message)

        await app(scope, receive, out)

    return shielded


def note(request: Request, what: str, done: str) -> None:
    """Log who did what, and with what result, in one line."""
    who = getattr(request.state, "user", "") or (request.client.host if request.client else "?")
    audit.info("%s %s: %s", cut(one_line(who), 100), cut(one_line(what), 600), cut(one_line(done), 300))
