"""The desk's side of the browser phone: its page and content policy, opening a call, what follows
when a line was closed, and who may do that. webhooks is played here.
"""

import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from desk_login import OURS, cookies, desk_database, desk_served

from dashboard.origin import CSP, csp
from protocol import events as e
from runtime import bus
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from runtime.subscribed import Message

CALL = "CA" + "7" * 32
LINES = {
    "type": "lines",
    "lines": [
        {"assistant": "on-your-plate", "number": "+15550100002"},
        {"assistant": "front-<desk>", "number": "+15550100020"},
    ],
    "caller": "+15550100417",
    "url": "wss://voice.example.com:8443/browser/media",
}
OFF = {"type": "refused", "reason": "not_allowed", "message": "Set BROWSER_PHONE=1."}
STREAM = {"type": "stream", "call": CALL, "url": LINES["url"], "token": "a-token"}


class Webhooks:
    """Answers ``calls.*`` with what a test says, in raw JSON."""

    def __init__(self, nats: Bus) -> None:
        self.nats = nats
        self.answers: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def answer(self, message: Message) -> None:
        verb = message.subject.removeprefix("calls.")
        self.asked.append((verb, json.loads(message.data)))
        await self.nats.publish(message.reply, self.answers[verb])


class Phone:
    """A browser at the desk."""

    def __init__(self, http: httpx2.AsyncClient, webhooks: Webhooks, dsn: str) -> None:
        self.http = http
        self.webhooks = webhooks
        self.dsn = dsn

    async def page(self, **answer: Any) -> httpx2.Response:
        self.webhooks.answers["browser_phone"] = answer or LINES
        return await self.http.get("/phone")

    async def open(self, **form: str) -> httpx2.Response:
        return await self.http.post("/phone/calls", data=form)

    async def ended(self, call: str = CALL) -> httpx2.Response:
        return await self.http.post("/browser/stream-ended", data={"call": call})


@pytest.fixture(scope="session")
async def dsn(postgres_server: Any) -> str:
    return await desk_database(
        await postgres_server.create_database(f"phone_{secrets.token_hex(6)}")
    )


@pytest.fixture
async def phone(nats_server: Any, dsn: str) -> AsyncIterator[Phone]:
    async with contextlib.AsyncExitStack() as stack:
        enter = stack.enter_async_context
        nats = await enter(
            bus.connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown())
        )
        webhooks = Webhooks(nats)
        url = await enter(desk_served(nats_server.url, dsn))
        subscribed = await nats.subscribe("calls.*", webhooks.answer)
        stack.push_async_callback(subscribed.stop)
        logged_in = await cookies(dsn, "olga", "operator")
        http = await enter(httpx2.AsyncClient(base_url=url, headers=OURS, cookies=logged_in))
        yield Phone(http, webhooks, dsn)


async def test_the_page_may_connect_with_the_line_and_nothing_else(phone: Phone) -> None:
    page = await phone.page()
    assert page.status_code == 200
    assert phone.webhooks.asked == [("browser_phone", {"operator": "olga"})]
    policy = page.headers["content-security-policy"]
    assert policy == csp(connect="wss://voice.example.com:8443")
    assert "connect-src 'self' wss://voice.example.com:8443;" in policy
    assert policy.replace(" wss://voice.example.com:8443", "") == CSP, "no other difference"
    assert 'value="+15550100417"' in page.text
    assert '<option value="+15550100020">front-&lt;desk&gt;' in page.text
    assert "style=" not in page.text
    assert (await phone.http.get("/")).headers["content-security-policy"] == CSP


@pytest.mark.parametrize(
    "url",
    [
        "https://voice.example.com/browser/media",
        "wss://voice.example.com; script-src *",
        "wss://*/browser/media",
        "wss://voice.example.com:none/",
        "",
    ],
)
async def test_no_strange_address_gets_into_the_policy(phone: Phone, url: str) -> None:
    page = await phone.page(**{**LINES, "url": url})
    assert page.headers["content-security-policy"] == CSP
    assert "PUBLIC_STREAM_URL" in page.text


async def test_a_phone_that_is_off_says_how_to_switch_it_on(phone: Phone) -> None:
    page = await phone.page(**OFF)
    assert page.status_code == 200
    assert "Set BROWSER_PHONE=1." in page.text
    assert "phone.js" not in page.text
    assert page.headers["content-security-policy"] == CSP


async def test_webhooks_that_is_away_is_named(nats_server: Any, phone: Phone) -> None:
    phone.webhooks.answers.clear()
    phone.webhooks.answers["browser_phone"] = {"type": "lines"}
    page = await phone.http.get("/phone")
    assert page.status_code == 503
    assert "cannot be read" in page.text


async def test_a_call_is_opened_for_who_is_logged_in_and_written_down(phone: Phone) -> None:
    phone.webhooks.answers["open_browser_call"] = STREAM
    answer = await phone.open(called="+15550100002", caller="+15550100777", operator="boss")
    assert answer.status_code == 200
    assert answer.json() == STREAM
    assert answer.headers["cache-control"] == "no-store"
    asked = {"operator": "olga", "called": "+15550100002", "caller": "+15550100777"}
    assert phone.webhooks.asked == [("open_browser_call", asked)]
    entries = await CallLog(phone.webhooks.nats).read(STREAM["call"])
    (acted,) = [x.event for x in entries if isinstance(x.event, e.OperatorActed)]
    assert (acted.operator, acted.act, acted.detail) == ("olga", "phone", "to +15****0002")


async def test_what_webhooks_refuses_is_said(phone: Phone) -> None:
    phone.webhooks.answers["open_browser_call"] = OFF
    answer = await phone.open()
    assert (answer.status_code, answer.json()) == (422, {"problem": "Set BROWSER_PHONE=1."})


async def test_what_follows_a_line_is_what_webhooks_says(phone: Phone) -> None:
    over = {"type": "over", "call": CALL, "reason": "busy", "sentence": "Sorry."}
    for said in (STREAM, {"type": "ask_again", "call": CALL, "after_ms": 1000}, over):
        phone.webhooks.answers["stream_ended"] = said
        answer = await phone.ended()
        assert (answer.status_code, answer.json()) == (200, said)
    assert phone.webhooks.asked[-1] == ("stream_ended", {"call": CALL, "operator": "olga"})
    phone.webhooks.answers["stream_ended"] = {**OFF, "reason": "unknown_call", "message": "No."}
    answer = await phone.ended()
    assert (answer.status_code, answer.json()) == (404, {"problem": "No."})
    assert (await phone.ended("somebody")).status_code == 404


async def test_only_operators_call_and_only_from_our_pages(phone: Phone) -> None:
    phone.webhooks.answers["open_browser_call"] = STREAM
    phone.http.cookies.clear()
    phone.http.cookies.update(await cookies(phone.dsn, "vera", "viewer"))
    assert (await phone.page()).status_code == 403
    assert (await phone.open()).status_code == 403
    assert (await phone.ended()).status_code == 403
    assert "/phone" not in (await phone.http.get("/")).text
    phone.http.cookies.clear()
    assert (await phone.open()).status_code == 401
    phone.http.cookies.update(await cookies(phone.dsn, "olga", "operator"))
    phone.http.headers["sec-fetch-site"] = "cross-site"
    assert (await phone.open()).status_code == 403
    assert (await phone.ended()).status_code == 403
    assert [verb for verb, _ in phone.webhooks.asked] == []


async def test_the_transcript_follows_its_call(phone: Phone) -> None:
    part = await phone.http.get(f"/phone/calls/{CALL}")
    assert part.status_code == 200
    assert f'sse-connect="/calls/{CALL}/live"' in part.text
    assert (await phone.http.get("/phone/calls/somebody")).status_code == 404


async def test_sound_modules_are_asked_for_each_time(phone: Phone) -> None:
    first = await phone.http.get("/static/sound/line.js")
    assert first.status_code == 200
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["content-type"].startswith("text/javascript")
    again = await phone.http.get(
        "/static/sound/line.js", headers={"if-none-match": first.headers["etag"]}
    )
    assert again.status_code == 304
