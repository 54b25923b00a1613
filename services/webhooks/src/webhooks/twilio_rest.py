"""The room of Twilio's REST client: place, find, look at, hang up and redirect calls.

Used by outbound, calls and watchdog. One request a method, never repeated here: a create that is
sent twice dials twice. Never decides anything.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from datetime import datetime
from logging import WARNING, getLogger
from typing import Any, TypeVar

import aiohttp
from msgspec import Struct, structs
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from protocol import ids
from protocol.errors import InvalidToken
from protocol.ids import CallId
from webhooks import metrics
from webhooks.settings import Settings

T = TypeVar("T")

REST_S = 10.0
"""Seconds for one request. The SDK's own time-out is ignored and aiohttp's is off."""
FOUND_LIMIT = 100
NOT_IN_PROGRESS = 21220
_SDK_LOG = "twilio.async_http_client"


class TwilioRefused(Exception):
    """Twilio said no: nothing happened. ``code`` is its error code, ``status`` the HTTP one."""

    def __init__(self, status: int, code: int) -> None:
        super().__init__(f"Twilio refused with {status}, error {code}")
        self.status = status
        self.code = code

    @property
    def over(self) -> bool:
        """Whether it was refused because the call is over or was never there."""
        return self.code == NOT_IN_PROGRESS or self.status == 404


class TwilioSilent(Exception):
    """No answer, or an error on Twilio's side: what was asked for may have happened."""


class Pointing(Struct, frozen=True):
    """Where a number leads: the addresses that Twilio asks, and how."""

    voice_url: str = ""
    voice_method: str = ""
    voice_fallback_url: str = ""
    voice_fallback_method: str = ""
    status_callback: str = ""
    status_callback_method: str = ""


class PhoneNumber(Struct, frozen=True):
    """A number of our account."""

    sid: str
    pointing: Pointing


class TwilioRest:
    """The calls of our account."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def place(
        self,
        *,
        to: str,
        from_: str,
        voice_url: str,
        status_url: str,
        amd_url: str,
        ring_s: int,
        limit_s: int,
    ) -> CallId:
        """Dial ``to`` once. Raises TwilioRefused, TwilioSilent.

        Answering machines are detected beside the call (async AMD): the synchronous kind keeps
        the called person in silence for seconds.
        """
        created = await _asked(
            "place",
            self._client.calls.create_async(
                to=to,
                from_=from_,
                url=voice_url,
                method="POST",
                status_callback=status_url,
                status_callback_event=["initiated", "ringing", "answered", "completed"],
                status_callback_method="POST",
                timeout=ring_s,
                time_limit=limit_s,
                machine_detection="Enable",
                async_amd="true",
                async_amd_status_callback=amd_url,
                async_amd_status_callback_method="POST",
            ),
        )
        return _call_id(created.sid)

    async def find(self, *, to: str, from_: str, since: datetime) -> list[CallId]:
        """The calls that were created for these numbers from ``since`` on, newest first.

        The list's own start-time filter knows calls that have begun only. Raises TwilioRefused,
        TwilioSilent.
        """
        listed = await _asked(
            "find", self._client.calls.list_async(to=to, from_=from_, limit=FOUND_LIMIT)
        )
        return [
            _call_id(call.sid)
            for call in listed
            if str(call.direction).startswith("outbound")
            and call.date_created is not None
            and call.date_created >= since
        ]

    async def status(self, call: CallId) -> str:
        """The call's status in Twilio's word. Raises TwilioRefused (``over``: unknown there),
        TwilioSilent.
        """
        fetched = await _asked("fetch", self._client.calls(call).fetch_async())
        return str(fetched.status)

    async def number(self, number: str) -> PhoneNumber | None:
        """A number of the account as it stands; None when it has no such. Raises TwilioRefused,
        TwilioSilent.
        """
        listed = await _asked(
            "number", self._client.incoming_phone_numbers.list_async(phone_number=number, limit=2)
        )
        for found in listed:
            if found.phone_number == number:
                names = Pointing.__struct_fields__
                stands = {name: str(getattr(found, name) or "") for name in names}
                return PhoneNumber(str(found.sid), Pointing(**stands))
        return None

    async def point(self, sid: str, pointing: Pointing) -> None:
        """Set where a number leads; all of it, so again does no harm. Raises TwilioRefused,
        TwilioSilent.
        """
        fields = structs.asdict(pointing)
        await _asked("point", self._client.incoming_phone_numbers(sid).update_async(**fields))

    async def hang_up(self, call: CallId) -> None:
        """End a call, answered or not. Raises TwilioRefused, TwilioSilent."""
        await _asked("hang_up", self._client.calls(call).update_async(status="completed"))

    async def redirect(self, call: CallId, twiml: str) -> None:
        """Replace what an answered call does. Raises TwilioRefused, TwilioSilent."""
        await _asked("redirect", self._client.calls(call).update_async(twiml=twiml))


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[TwilioRest]:
    """The client for the block; its connections are closed at the end."""
    # The SDK's log lines hold numbers.
    getLogger(_SDK_LOG).setLevel(WARNING)
    # No max_retries: the SDK would repeat a create that was answered with a 5xx.
    http = AsyncTwilioHttpClient()
    try:
        token = settings.twilio_auth_token[0].reveal()
        client: Any = Client(settings.twilio_account_sid, token, http_client=http)
        if settings.twilio_api_url:
            client.api.base_url = settings.twilio_api_url.rstrip("/")
        yield TwilioRest(client)
    finally:
        await http.close()


async def _asked(what: str, request: Coroutine[Any, Any, T]) -> T:
    try:
        async with asyncio.timeout(REST_S):
            answer = await request
    except (TwilioRestException, TwilioServiceException) as error:
        metrics.rest.labels(what, str(error.status)).inc()
        if error.status >= 500 or error.status == 408:
            raise TwilioSilent from error
        raise TwilioRefused(error.status, error.code or 0) from error
    except TwilioException as error:  # a list that was refused: the SDK tells no more
        status = getattr(error.args[1], "status_code", 500) if len(error.args) > 1 else 500
        metrics.rest.labels(what, str(status)).inc()
        if 400 <= status < 500 and status != 408:
            raise TwilioRefused(status, 0) from error
        raise TwilioSilent from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        metrics.rest.labels(what, "silent").inc()
        raise TwilioSilent from error
    metrics.rest.labels(what, "ok").inc()
    return answer


def _call_id(sid: object) -> CallId:
    try:
        return ids.call_id(str(sid))
    except InvalidToken as error:
        raise TwilioSilent from error
