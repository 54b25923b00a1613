"""The gate before every handler: Twilio's signature, the account and the form, checked once.

A handler takes a SignedForm, which nothing but the gate makes; there is no way around the check.
It never looks at what a form means.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import parse_qsl

from msgspec import Struct
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from twilio.request_validator import SIGNATURE_HEADER, RequestValidator

from protocol import ids
from protocol.errors import InvalidToken
from protocol.ids import CallId
from runtime import clock, logging
from runtime.settings import Secret
from webhooks import metrics

_log = logging.get("signature")

BODY_LIMIT = 64 * 1024
"""Bytes of a form; Twilio's have about 1,000."""
BODY_TIMEOUT_S = 5.0
FIELD_LIMIT = 500
IDEMPOTENCY_HEADER = "I-Twilio-Idempotency-Token"
_FORM = "application/x-www-form-urlencoded"


class SignedForm(Struct, frozen=True):
    """A request that Twilio signed for our account.

    ``idempotency_token`` is the same over the retries of one webhook (a header, so not signed),
    empty when Twilio sent none. ``query`` is the URL's query, signed with it; ``path`` the
    parameters in its path, by name.
    """

    call: CallId
    fields: ImmutableMultiDict[str, str]
    query: str = ""
    idempotency_token: str = ""
    path: Mapping[str, str] = {}

    def get(self, name: str) -> str:
        """The field's value; empty when it is blank or absent."""
        return self.fields.get(name, "")


Handler = Callable[[SignedForm], Awaitable[Response]]
Fallback = Callable[[], Response]


class Refused(Exception):
    """A request that no handler sees: the HTTP status and one fixed phrase."""

    def __init__(self, status: int, reason: str, call: CallId | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.call = call


class Gate:
    """Lets requests through that one of ``auth_tokens`` signed for ``account``.

    ``public_base`` is the configured public address without a slash at its end: behind a proxy
    the request itself does not know which URL Twilio signed (Twilio docs, Webhooks security).
    """

    def __init__(self, public_base: str, auth_tokens: Sequence[Secret], account: str) -> None:
        self._base = public_base
        self._validators = [RequestValidator(token.reveal()) for token in auth_tokens]
        self._account = account

    def endpoint(
        self, name: str, handler: Handler, failed: Fallback
    ) -> Callable[[Request], Awaitable[Response]]:
        """The HTTP endpoint around ``handler``; ``failed`` answers when it raises.

        Refusals: 413 a body above 64 KiB, 408 a body that does not come, 400 no form or no
        CallSid, 403 a wrong signature or account.
        """

        async def answer(request: Request) -> Response:
            began = clock.monotonic_ms()
            response = await self._answer(request, handler, failed)
            metrics.requests.labels(name, str(response.status_code)).inc()
            metrics.request_seconds.labels(name).observe((clock.monotonic_ms() - began) / 1000)
            return response

        return answer

    async def _answer(self, request: Request, handler: Handler, failed: Fallback) -> Response:
        try:
            form = await self._admit(request)
        except Refused as refusal:
            metrics.refused.labels(refusal.reason).inc()
            _log.warning("request refused", reason=refusal.reason, call_id=refusal.call)
            return PlainTextResponse(refusal.reason + "\n", status_code=refusal.status)
        logging.about(form.call)
        try:
            return await handler(form)
        except Exception:
            _log.exception("request failed", call_id=form.call)
            return failed()

    async def _admit(self, request: Request) -> SignedForm:
        fields = parsed(request.headers.get("content-type", ""), await _body(request))
        try:
            call = ids.call_id(fields.get("CallSid", ""))
        except InvalidToken:
            call = None  # said after the signature: who does not sign learns nothing more
        path, query = request.scope["raw_path"], request.scope["query_string"]
        signature = request.headers.get(SIGNATURE_HEADER, "")
        if not self.signed(path, query, fields, signature):
            raise Refused(403, "wrong signature", call)
        if fields.get("AccountSid") != self._account:
            raise Refused(403, "other account", call)
        if call is None:
            raise Refused(400, "no CallSid")
        return SignedForm(
            call,
            fields,
            query.decode("latin-1"),
            request.headers.get(IDEMPOTENCY_HEADER, ""),
            request.path_params,
        )

    def signed(
        self, path: bytes, query: bytes, fields: ImmutableMultiDict[str, str], signature: str
    ) -> bool:
        """Whether ``signature`` is one of ours for the raw path, raw query and form."""
        url = self._base + path.decode("latin-1")
        if query:
            url += "?" + query.decode("latin-1")
        # X-Twilio-Webhooks-Signature-Settings may announce another algorithm with a shared key;
        # no such key is configured, so its word counts for nothing.
        for validator in self._validators:
            if validator.validate(url, fields, signature) is True:
                return True
        return False


async def _body(request: Request) -> bytes:
    """The body, bounded in size and time. Raises Refused."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_LIMIT:
                    raise Refused(413, "body too large")
    except TimeoutError:
        raise Refused(408, "body did not come") from None
    except ClientDisconnect:
        raise Refused(400, "body broke off") from None
    return bytes(body)


def parsed(content_type: str, body: bytes) -> ImmutableMultiDict[str, str]:
    """The form with its blank fields, which Twilio signs too. Raises Refused."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != _FORM:
        raise Refused(400, "not a form")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELD_LIMIT,
        )
    except ValueError:  # not ASCII, not UTF-8 behind the percent signs, or too many fields
        raise Refused(400, "malformed form") from None
    return ImmutableMultiDict(pairs)
