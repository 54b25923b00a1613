"""Who may ask: the host and origin checks, and the headers that tell a browser what a page may do.

Two ASGI middlewares around everything the desk serves, before anybody is asked who they are. The
host check keeps a foreign page from using the desk under a name of its own (DNS rebinding).
"""

from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard import metrics


def csp(*, connect: str = "") -> str:
    """The content policy of a page that may also connect with the origin ``connect``."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "media-src 'self'; "
        f"connect-src 'self'{connect and ' ' + connect}; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


CSP = csp()
_POLICY = "content-security-policy"
_HEADERS = {
    _POLICY: CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_READING = {"GET", "HEAD", "OPTIONS"}

Refusal = Literal["host", "origin"]


class SafeHeaders:
    """Adds the security headers to every response; one with a content policy keeps its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                own = headers.get(_POLICY)
                headers.update(_HEADERS)
                if own is not None:
                    headers[_POLICY] = own
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class SameOrigin:
    """Refuses requests under a foreign host name, and changes that another site asks for."""

    def __init__(self, app: ASGIApp, *, url: str) -> None:
        self._app = app
        self._url = url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        # What comes over a websocket may change things, and browsers open them to any site.
        method = scope["method"] if scope["type"] == "http" else "WEBSOCKET"
        refused = refusal(method, Headers(scope=scope), self._url)
        if refused is None:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            metrics.changes_refused.labels(refused).inc()
            await send({"type": "websocket.close", "code": 1008})
            return
        metrics.changes_refused.labels(refused).inc()
        if refused == "host":
            text = f"This desk is at {self._url}; set DASHBOARD_URL if it should have this name.\n"
            response = PlainTextResponse(text, status_code=421)
        else:
            text = f"Changes are only taken from pages of {self._url} (DASHBOARD_URL).\n"
            response = PlainTextResponse(text, status_code=403)
        await response(scope, receive, send)


def refusal(method: str, headers: Headers, url: str) -> Refusal | None:
    """Why a request is refused, or None. Pure.

    Host must be the one of ``url``, an IP address or localhost. A change must come from our own
    pages: Sec-Fetch-Site says so, or, from browsers and addresses without it (plain http on a
    network), Origin is ``url``'s. Other sites may link to our pages, not load them as parts of
    theirs.
    """
    ours = urlsplit(url)
    if not _host_is_known(headers.get("host", ""), ours.hostname or ""):
        return "host"
    site = headers.get("sec-fetch-site")
    if method in _READING:
        embedded = headers.get("sec-fetch-mode", "navigate") != "navigate"
        return "origin" if embedded and site in {"cross-site", "same-site"} else None
    if site is not None:
        return None if site in {"same-origin", "none"} else "origin"
    return None if headers.get("origin") == f"{ours.scheme}://{ours.netloc}" else "origin"


def _host_is_known(host: str, ours: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in {ours, "localhost"}:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
