"""Calls from a browser: opened, carried on, steered through their ingress; Twilio never hears."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from office import HUMAN, OURS, PERSON, running

from protocol import events as e
from protocol import stream_token
from protocol.calls import (
    AskAgain,
    BrowserLine,
    BrowserLines,
    BrowserPhone,
    BrowserPhoneReply,
    BrowserStream,
    BrowserStreamEnded,
    CallDone,
    CallOver,
    CallRefused,
    OpenBrowserCall,
    OpenReply,
    StreamEndedReply,
)
from protocol.ids import CallId, Leg
from protocol.stream_token import StreamToken
from runtime.clock import unix_now
from runtime.subscribed import Message
from webhooks import twiml
from webhooks.browser_legs import BrowserLegs
from webhooks.numbers import masked
from webhooks.record import Record

SECRET = "a-secret-of-stream-tokens"
URL = "wss://voice.example.com/browser/media"
# twilio 9.13 still signs in with aiohttp's deprecated BasicAuth and `auth` argument
pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]


class Desk:
    """An operator's browser, and the ingress that it would talk to."""

    def __init__(self, office: Any) -> None:
        self.office = office
        self.closed: list[dict[str, Any]] = []
        self.answer: dict[str, Any] | None = {"type": "closing", "leg": 1}

    async def open(self, operator: str = "mira", **more: str) -> Any:
        return await self.office.ask(
            "open_browser_call", OpenBrowserCall(operator, **more), OpenReply
        )

    async def ended(self, call: str, operator: str = "mira") -> Any:
        ask = BrowserStreamEnded(CallId(call), operator)
        return await self.office.ask("stream_ended", ask, StreamEndedReply)

    async def talking(self, **more: str) -> tuple[CallId, Leg]:
        """A call whose line is open, and its leg."""
        offer = await self.open(**more)
        leg = await self.office.write_started(offer.call, channel="browser")
        return offer.call, leg

    async def ingress(self, message: Message) -> None:
        self.closed.append(json.loads(message.data))
        if self.answer is not None:
            await self.office.nats.publish(message.reply, self.answer)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Any]:
    async with running(tmp_path, BROWSER_PHONE="1") as office:
        yield office


@pytest.fixture
async def desk(office: Any) -> AsyncIterator[Desk]:
    desk = Desk(office)
    async with AsyncExitStack() as stack:
        subscribed = await office.nats.subscribe("ingress.i1.close", desk.ingress)
        stack.push_async_callback(subscribed.stop)
        yield desk


def token_of(offer: Any) -> StreamToken:
    assert isinstance(offer, BrowserStream), offer
    assert offer.url == URL
    return stream_token.verify(offer.token, [SECRET], unix_now())


async def test_a_call_rings_and_its_token_names_who_calls(office: Any, desk: Desk) -> None:
    offer = await desk.open(called=OURS, caller=PERSON)
    token = token_of(offer)
    assert (token.call, token.previous_leg, token.line_ms) == (offer.call, 0, 0)
    assert (token.caller, token.called) == (PERSON, OURS)
    assert (token.channel, token.operator) == ("browser", "mira")
    assert 50 < token.expires - unix_now() <= 60
    (ringing,) = await office.written(offer.call, e.Ringing)
    assert (ringing.caller, ringing.called) == (PERSON, OURS)
    assert (ringing.channel, ringing.operator, ringing.direction) == ("browser", "mira", "inbound")
    assert (await desk.open(called=OURS)).call != offer.call, "each is a call of its own"
    assert office.twilio.calls == {}


async def test_what_can_be_called_and_the_number_that_an_operator_calls_as(
    office: Any, desk: Desk
) -> None:
    found = await office.ask("browser_phone", BrowserPhone("mira"), BrowserPhoneReply)
    assert found == BrowserLines((BrowserLine("office", OURS),), found.caller, URL)
    assert found.caller.startswith("+15550100")
    assert len(found.caller) == len(OURS)
    other = await office.ask("browser_phone", BrowserPhone("olga"), BrowserPhoneReply)
    assert other.caller != found.caller
    token = token_of(await desk.open())
    assert (token.caller, token.called) == (found.caller, OURS), "also when nothing is said"


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        ({"caller": "mira"}, "not international"),
        ({"called": "somebody"}, "No assistant answers"),
        ({"operator": ""}, "operator's name"),
        ({"operator": "m" * 64}, "operator's name"),
    ],
)
async def test_what_cannot_be_opened(desk: Desk, ask: dict[str, str], says: str) -> None:
    refused = await desk.open(**ask)
    assert isinstance(refused, CallRefused)
    assert says in refused.message


async def test_no_browser_calls_unless_switched_on(tmp_path: Path) -> None:
    async with running(tmp_path) as office:
        desk = Desk(office)
        for reply in (
            await desk.open(),
            await office.ask("browser_phone", BrowserPhone("mira"), BrowserPhoneReply),
            await desk.ended("CA" + "0" * 32),
        ):
            assert isinstance(reply, CallRefused)
            assert reply.reason == "not_allowed"
            assert "BROWSER_PHONE=1" in reply.message


async def test_only_who_opened_a_call_is_told_what_follows(office: Any, desk: Desk) -> None:
    call, _ = await desk.talking()
    phone = CallId("CA" + "9" * 32)
    await office.write_ringing(phone)
    await office.write_started(phone)
    for other, operator in (
        (call, "olga"),
        (phone, "mira"),
        (phone, ""),
        (CallId("CA" + "8" * 32), "mira"),
    ):
        reply = await desk.ended(other, operator)
        assert isinstance(reply, CallRefused), reply
        assert reply.reason == "unknown_call"
    assert await office.written(call, e.Resuming) == []
    assert await office.written(phone, e.Resuming) == []


async def test_a_line_that_was_lost_goes_on_over_another_one(office: Any, desk: Desk) -> None:
    call, leg = await desk.talking()
    token = token_of(await desk.ended(call))
    assert (token.call, token.previous_leg) == (call, leg)
    assert (token.channel, token.operator, token.caller) == ("browser", "mira", token.caller)
    (resuming,) = await office.written(call, e.Resuming)
    assert (resuming.previous_leg, resuming.reason) == (leg, "leg lost")
    assert isinstance(await desk.ended(call), AskAgain), "what was offered may be on its way"
    assert await office.written(call, e.CallEnded) == []


@pytest.mark.parametrize(
    ("intent", "reason", "sentence"),
    [
        ("hangup", "assistant_hung_up", ""),
        ("busy", "busy", twiml.SENTENCES["busy"]),
        ("failed", "failed", twiml.SENTENCES["unavailable"]),
        ("refused", "refused", twiml.SENTENCES["refused"]),
    ],
)
async def test_a_line_that_was_closed_on_purpose_ends_the_call(
    office: Any, desk: Desk, intent: Any, reason: str, sentence: str
) -> None:
    call, leg = await desk.talking()
    await office.close(call, leg, intent)
    assert await desk.ended(call) == CallOver(call, reason, sentence)
    (ended,) = await office.written(call, e.CallEnded)
    assert ended.reason == reason
    assert await desk.ended(call) == CallOver(call, reason), "asked again: the same end"


async def test_nobody_is_dialled_from_a_browser(office: Any, desk: Desk) -> None:
    call, leg = await desk.talking()
    await office.close(call, leg, "transfer")
    over = await desk.ended(call)
    assert isinstance(over, CallOver)
    assert masked(HUMAN) in over.sentence
    assert HUMAN not in over.sentence
    assert office.twilio.calls == {}
    assert await office.written(call, e.Transferred) == []


async def test_whom_the_telephone_would_not_dial_is_not_named(tmp_path: Path) -> None:
    async with running(tmp_path, BROWSER_PHONE="1", OUTBOUND_PREFIXES="+49") as office:
        desk = Desk(office)
        call, leg = await desk.talking()
        await office.close(call, leg, "transfer")
        over = await desk.ended(call)
        assert over.sentence == "Nobody is in the office."


async def test_a_call_without_its_line_gets_an_apology(office: Any, desk: Desk) -> None:
    offer = await desk.open()
    assert await desk.ended(offer.call) == CallOver(
        offer.call, "failed", twiml.SENTENCES["unavailable"]
    )


async def test_hanging_up_goes_through_the_ingress(office: Any, desk: Desk) -> None:
    call, leg = await desk.talking()
    assert await office.hang_up(call) == CallDone(call)
    assert desk.closed == [{"call": call, "leg": leg, "intent": "hangup"}]
    (ended,) = await office.written(call, e.CallEnded)
    assert ended.reason == "assistant_hung_up"
    assert await desk.ended(call) == CallOver(call, "assistant_hung_up")
    assert (await office.hang_up(call)).reason == "not_in_progress"
    assert await office.written(call, e.Redirecting) == []


@pytest.mark.parametrize("gone", ["leg", "ingress"])
async def test_a_call_whose_line_is_gone_is_hung_up_too(office: Any, desk: Desk, gone: str) -> None:
    call, leg = await desk.talking()
    desk.answer = {"type": "no_such_leg", "leg": leg}
    if gone == "ingress":
        call = (await desk.open()).call
        await office.write_started(call, channel="browser", ingress="i2")
    assert await office.hang_up(call) == CallDone(call)
    assert len(await office.written(call, e.CallEnded)) == 1


async def test_an_ingress_that_does_not_answer_leaves_the_outcome_open(
    office: Any, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.browser_legs.CLOSE_S", 0.2)
    call, _ = await desk.talking()
    desk.answer = None
    assert (await office.hang_up(call)).reason == "unknown_outcome"
    assert await office.written(call, e.CallEnded) == []


async def test_a_call_that_has_no_line_yet_is_not_hung_up(office: Any, desk: Desk) -> None:
    offer = await desk.open()
    for steer in (office.hang_up, office.transfer, office.redirect):
        assert (await steer(offer.call)).reason == "not_in_progress"
    assert await office.written(offer.call, e.CallEnded) == []


async def test_a_transfer_ends_with_the_number_it_would_have_gone_to(
    office: Any, desk: Desk
) -> None:
    call, leg = await desk.talking()
    assert (await office.transfer(call, "+499999999999")).reason == "not_allowed"
    assert desk.closed == []
    assert await office.transfer(call, "+15550100555") == CallDone(call)
    assert desk.closed == [{"call": call, "leg": leg, "intent": "transfer"}]
    (transferred,) = await office.written(call, e.Transferred)
    (dialled,) = await office.written(call, e.DialEnded)
    assert (transferred.to, dialled.status) == ("+15550100555", "browser")
    await office.close(call, leg, "transfer")
    over = await desk.ended(call)
    assert masked("+15550100555") in over.sentence
    assert over.reason == "failed"
    assert office.twilio.calls == {}


async def test_a_redirect_closes_the_line_and_the_page_opens_another(
    office: Any, desk: Desk
) -> None:
    call, leg = await desk.talking()
    assert await office.redirect(call) == CallDone(call)
    assert desk.closed == [{"call": call, "leg": leg, "intent": "handoff"}]
    await office.close(call, leg, "handoff")
    assert token_of(await desk.ended(call)).previous_leg == leg


@pytest.mark.parametrize(("intent", "reason"), [("hangup", "assistant_hung_up"), (None, "lost")])
async def test_a_call_whose_page_is_gone_ends_as_its_log_says(
    office: Any, desk: Desk, intent: Any, reason: str
) -> None:
    call, leg = await desk.talking()
    if intent is not None:
        await office.close(call, leg, intent)
    record = Record(office.nats, "test")
    await BrowserLegs(office.nats, record).left(call, await record.story(call, timeout=5))
    (ended,) = await office.written(call, e.CallEnded)
    assert ended.reason == reason
    assert await office.written(call, e.Resuming) == [], "nobody is there to open another line"


async def test_a_call_that_was_never_opened_ends_too(office: Any, desk: Desk) -> None:
    offer = await desk.open()
    record = Record(office.nats, "test")
    story = await record.story(offer.call, timeout=5)
    await BrowserLegs(office.nats, record).left(offer.call, story)
    (ended,) = await office.written(offer.call, e.CallEnded)
    assert ended.reason == "failed"
