"""A Twilio that signs, sends and reads the answers, on the running app and a real log.

The signer, the TwiML reader and the forms are the testbed's, which knows nothing of our code.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

import httpx
import pytest

from protocol import events as e
from protocol import ids, stream_token
from protocol.ids import CallId, IngressId, Leg, StreamId
from protocol.line import Intent
from runtime import bus, outbox
from runtime.admin import serving
from runtime.bus import Bus
from runtime.calllog import CallLog, Entry
from runtime.clock import unix_now, utc_now
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import load
from testbed.twilio.forms import CallFacts, call_form, new_sid, status_form
from testbed.twilio.signature import sign_post
from testbed.twilio.twiml import Connect, Hangup, Say, Verb, parse
from webhooks.app import opened
from webhooks.settings import Settings

PUBLIC = "https://voice.example.com"
ACCOUNT = "AC" + "a" * 32
OLD_TOKEN, NEW_TOKEN = "old" + "0" * 29, "new" + "0" * 29
SECRET = "a-secret-of-stream-tokens"


class HasUrl(Protocol):
    url: str


@dataclass
class Twilio:
    """Sends signed requests to the app and reads the log behind it."""

    http: httpx.AsyncClient
    nats: Bus
    call: CallId = field(default_factory=lambda: CallId(new_sid("CA")))
    auth_token: str = NEW_TOKEN
    caller: str = "+15550100001"
    public: str = PUBLIC
    old_token: str = OLD_TOKEN
    new_token: str = NEW_TOKEN

    def facts(self) -> CallFacts:
        return CallFacts(self.call, ACCOUNT, self.caller, "+15550100002", "inbound")

    async def post(
        self,
        path: str,
        form: dict[str, str],
        *,
        signature: str | None = None,
        idempotency: str | None = None,
    ) -> httpx.Response:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "X-Twilio-Signature": sign_post(PUBLIC + path, form.items(), self.auth_token)
            if signature is None
            else signature,
            "I-Twilio-Idempotency-Token": idempotency or secrets.token_hex(8),
        }
        return await self.http.post(path, content=urlencode(form), headers=headers)

    async def verbs(
        self, path: str, *, status: str = "in-progress", idempotency: str | None = None
    ) -> list[Verb]:
        answer = await self.post(path, call_form(self.facts(), status), idempotency=idempotency)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/xml")
        return parse(answer.text, PUBLIC + path)

    async def status(self, status: str, sequence: int) -> int:
        form = status_form(self.facts(), status, sequence, 61.0)
        return (await self.post("/twilio/status", form)).status_code

    async def log(self) -> list[Entry]:
        return await CallLog(self.nats).read(self.call)

    async def written(self, kind: type[Any]) -> list[Any]:
        return [entry.event for entry in await self.log() if isinstance(entry.event, kind)]

    @staticmethod
    def offered(verbs: list[Verb]) -> stream_token.StreamToken:
        """The token of the stream that the document offers."""
        connect, say, hang_up = verbs
        assert isinstance(connect, Connect)
        assert connect.action == f"{PUBLIC}/twilio/stream-ended"
        assert connect.stream.url == "wss://voice.example.com/twilio/media"
        assert connect.stream.status_callback == f"{PUBLIC}/twilio/stream-status"
        assert isinstance(say, Say)
        assert isinstance(hang_up, Hangup)
        return stream_token.verify(connect.stream.parameters["token"], [SECRET], unix_now())

    # What stream-ingress would write.
    def _common(self) -> dict[str, Any]:
        return {
            "id": ids.new_event_id(),
            "call_id": self.call,
            "at": utc_now(),
            "service": "stream-ingress",
            "worker": "i1",
        }

    async def started(self, previous: int = 0, line_ms: int = 0) -> Leg:
        event = e.StreamStarted(
            **self._common(),
            stream_id=StreamId(new_sid("MZ")),
            ingress=IngressId("i1"),
            previous_leg=Leg(previous),
            line_ms=line_ms,
        )
        return Leg(await outbox.publish(self.nats, event))

    async def resuming(self, leg: Leg, reason: str) -> int:
        """What another webhooks process would write."""
        event = e.Resuming(**self._common(), previous_leg=leg, reason=reason)
        return await outbox.publish(self.nats, event)

    async def closing(self, leg: Leg, intent: Intent, line_ms: int = 4_000) -> None:
        event = e.StreamClosing(**self._common(), leg=leg, intent=intent, line_ms=line_ms)
        await outbox.publish(self.nats, event)

    async def stopped(self, leg: Leg, line_ms: int) -> None:
        event = e.StreamStopped(**self._common(), leg=leg, reason="lost", line_ms=line_ms)
        await outbox.publish(self.nats, event)


def settings(nats_url: str) -> Settings:
    return load(
        Settings,
        {
            "NATS_URL": nats_url,
            "PUBLIC_URL": PUBLIC,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": f"{NEW_TOKEN},{OLD_TOKEN}",
            "STREAM_TOKEN_SECRET": SECRET,
        },
    )


async def served(stack: AsyncExitStack, nats_url: str) -> Twilio:
    configured, shutdown = settings(nats_url), Shutdown()
    nats = await stack.enter_async_context(bus.connect(configured, "test", shutdown))
    await provision(nats, wait_s=10, shutdown=shutdown)
    application = await stack.enter_async_context(opened(configured, nats, "test"))
    port = await stack.enter_async_context(
        serving(application, host="127.0.0.1", port=0, what="webhooks", setting="-")
    )
    http = await stack.enter_async_context(
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20)
    )
    return Twilio(http, nats)


@pytest.fixture(scope="module")
async def service(nats_server: HasUrl) -> AsyncIterator[Twilio]:
    async with AsyncExitStack() as stack:
        yield await served(stack, nats_server.url)


@pytest.fixture
def twilio(service: Twilio) -> Twilio:
    """A call of its own for every test, on one running app."""
    return Twilio(service.http, service.nats)


@pytest.fixture(scope="session")
def serve_app() -> Callable[[AsyncExitStack, str], Awaitable[Twilio]]:
    """Serves another app on a NATS of the test's own, until the stack is closed."""
    return served
