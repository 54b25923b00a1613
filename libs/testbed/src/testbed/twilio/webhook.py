"""Signed HTTP requests to the customer's webhooks: limits, retries, connection overrides.

Called by a call's program and its callbacks. Never reads TwiML and never decides what follows a
failure.
"""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx

from testbed.twilio.signature import sign_get, sign_post


class WebhookError(Exception):
    """No usable answer: 11200 (bad status, too slow, broken) or 11205 (could not connect)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer."""

    status: int
    content_type: str
    body: str


class Routes:
    """Where public addresses lead on this machine: `{"https://voice.example.com": "http://127.0.0.1:8081"}`.

    Requests are signed for the public address and sent to the local one; the longest prefix wins.
    """

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        self._prefixes = sorted(prefixes.items(), key=lambda item: -len(item[0]))

    def resolve(self, url: str) -> str:
        """The address to connect to; the same one if no prefix matches."""
        for public, local in self._prefixes:
            if url.startswith(public):
                return local + url[len(public) :]
        return url


@dataclass(frozen=True, slots=True)
class _Overrides:
    """The `#ct=..&rt=..&tt=..&rc=..&rp=..` fragment of a webhook address, in ms."""

    connect_ms: float = 5_000.0
    read_ms: float = 15_000.0
    total_ms: float = 15_000.0
    retries: int = 1
    policy: frozenset[str] = frozenset({"ct"})

    @classmethod
    def of(cls, fragment: str) -> "_Overrides":
        given = dict(parse_qsl(fragment))
        return cls(
            connect_ms=float(given.get("ct", 5_000)),
            read_ms=float(given.get("rt", 15_000)),
            total_ms=float(given.get("tt", 15_000)),
            retries=int(given.get("rc", 1)),
            policy=frozenset(given.get("rp", "ct").split(",")),
        )

    def retried(self, kind: str) -> bool:
        return "all" in self.policy or kind in self.policy


class Webhooks:
    """The one HTTP client of a simulated Twilio."""

    def __init__(self, routes: Routes, limit_ms: float) -> None:
        self._routes = routes
        self._limit_ms = limit_ms
        self._http = httpx.AsyncClient(trust_env=False, follow_redirects=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def request(
        self,
        url: str,
        form: Mapping[str, str],
        auth_token: str,
        *,
        method: str = "POST",
        idempotency_token: str | None = None,
    ) -> Answer:
        """Send one webhook and return its 2xx answer. Raises WebhookError.

        All attempts share one I-Twilio-Idempotency-Token and the hard limit of 15 s.
        """
        parts = urlsplit(url)
        overrides = _Overrides.of(parts.fragment)
        public = urlunsplit(parts._replace(fragment=""))
        headers = {
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
            "I-Twilio-Idempotency-Token": idempotency_token or str(uuid.uuid4()),
        }
        body = None
        if method == "GET":
            public += ("&" if parts.query else "?") + urlencode(form)
            headers["X-Twilio-Signature"] = sign_get(public, auth_token)
        else:
            body = urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
            headers["X-Twilio-Signature"] = sign_post(public, form.items(), auth_token)
        target = self._routes.resolve(public)
        if target != public:
            headers["Host"] = parts.netloc
        request = self._http.build_request(
            method,
            target,
            headers=headers,
            content=body,
            timeout=httpx.Timeout(
                overrides.read_ms / 1000, connect=min(overrides.connect_ms, self._limit_ms) / 1000
            ),
        )
        try:
            async with asyncio.timeout(min(overrides.total_ms, self._limit_ms) / 1000):
                return await self._attempts(request, overrides)
        except TimeoutError as error:
            raise WebhookError(11200, "no answer in time") from error

    async def _attempts(self, request: httpx.Request, overrides: _Overrides) -> Answer:
        left = overrides.retries
        while True:
            left -= 1
            try:
                response = await self._http.send(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if left >= 0 and overrides.retried("ct"):
                    continue
                raise WebhookError(11205, f"connection failed: {error}") from error
            except httpx.HTTPError as error:
                if left >= 0 and overrides.retried("rt"):
                    continue
                raise WebhookError(11200, f"{type(error).__name__}: {error}") from error
            if response.is_success:
                kind = response.headers.get("content-type", "")
                return Answer(response.status_code, kind, response.text)
            if left >= 0 and overrides.retried("5xx" if response.status_code >= 500 else "4xx"):
                continue
            raise WebhookError(11200, f"status {response.status_code}")
