"""Who may ask the viewer: this machine, by the address that was printed, from the page itself. Everything else is refused before anything is read."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY: Final = 64_000
"""Bytes of a body: a label with its note."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'"
)
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Door:
    """Before the app. hosts: what a Host header may say; token: of this viewer, changed into a cookie at the first visit."""

    app: ASGIApp
    hosts: frozenset[str]
    token: str

    @property
    def cookie(self) -> str:
        """The cookie's name: browsers keep one jar for all ports of a host."""
        return f"batchtrial_{min(self.hosts).rpartition(':')[2]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *((name.encode(), value.encode()) for name, value in HEADERS.items())]
            await send(message)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        answer = self._refusal(scope, headers)
        await (self.app if answer is None else answer)(scope, _bounded(receive) if answer is None else receive, sent)

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """What is answered in the place of the app; None for whoever may ask."""
        host = headers.get("host", "")
        if host not in self.hosts:
            return _refused(421, "this viewer answers at its own address only")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return _refused(405, "only GET and POST are understood")
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return _refused(403, "another origin may not ask")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") and not (scope["method"] == "GET" and scope["path"] == "/"):
            return _refused(403, "another site may not ask")
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and given and self._is_token(given):
            found = RedirectResponse("/", status_code=303)
            found.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
            return found
        if not self._is_token(_cookie(headers.get("cookie", ""), self.cookie)):
            return _refused(403, "open the address that `batchtrial view` printed: it carries the token of this viewer")
        return self._refused_write(scope, headers, origin)

    def _refused_write(self, scope: Scope, headers: Mapping[str, str], origin: str | None) -> Response | None:
        if scope["method"] != "POST":
            return None
        if origin is None:
            return _refused(403, "a change needs the page's own origin")
        if not headers.get("content-type", "").startswith("application/json"):
            return _refused(415, "a change is JSON")
        length = headers.get("content-length", "")
        if not length.isdigit() or int(length) > MOST_BODY:
            return _refused(413, f"a change is at most {MOST_BODY:,} bytes, and says its length")
        return None

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())


def _bounded(receive: Receive) -> Receive:
    """The body, which ends where it becomes too long whatever its header said."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return message if seen <= MOST_BODY else {"type": "http.disconnect"}

    return bounded


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status_code=status)
