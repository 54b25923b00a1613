"""calls.redirect: a live call goes on over a new stream."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from office import PERSON, TIMEOUT, running
from stand_in_ingress import StandIn

from protocol import events as e
from protocol.calls import CallDone, CallRefused
from protocol.ids import new_call_id
from testbed.twilio import RestFaults
from webhooks import reconnect
from webhooks.decision import RESUMINGS

# twilio 9.13 still signs in with aiohttp's deprecated BasicAuth and `auth` argument
pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]


@contextlib.asynccontextmanager
async def office_of(folder: Path, ingress: StandIn, **more: Any) -> AsyncIterator[Any]:
    async with running(folder, media=ingress.carry, **more) as office:
        ingress.nats = office.nats
        yield office


@pytest.fixture
def ingress() -> StandIn:
    return StandIn()


@pytest.fixture
async def office(tmp_path: Path, ingress: StandIn) -> AsyncIterator[Any]:
    async with office_of(tmp_path, ingress) as office:
        yield office


async def carried(call: Any, ingress: StandIn, legs: int) -> None:
    await call.wait_until(
        lambda _: sum(token.call == call.sid for token in ingress.tokens) == legs, TIMEOUT
    )


async def test_a_live_call_is_moved_and_goes_on(office: Any, ingress: StandIn) -> None:
    call = await office.twilio.dial(PERSON)
    await carried(call, ingress, 1)
    (first,) = ingress.legs
    assert await office.redirect(call.sid) == CallDone(call.sid)
    await carried(call, ingress, 2)
    token = ingress.tokens[-1]
    assert token.previous_leg == first
    assert token.line_ms >= reconnect.AHEAD_MS, "behind what the old leg may still carry"
    assert (token.caller, token.called) == (call.facts.from_, call.facts.to)
    assert len(await office.written(call.sid, e.Redirecting)) == 1
    (resuming,) = await office.written(call.sid, e.Resuming)
    assert (resuming.previous_leg, resuming.reason) == (first, "operator")
    await office.until_written(call.sid, e.StreamStopped)
    assert await office.written(call.sid, e.CallEnded) == [], "the stop was not its end"
    assert not call.over
    await call.hang_up()
    ended = await office.until_written(call.sid, e.CallEnded)
    assert ended.reason == "caller_hung_up"
    assert (await office.redirect(call.sid)).reason == "not_in_progress"


async def test_what_cannot_be_redirected_is_refused_without_a_word_to_twilio(office: Any) -> None:
    assert (await office.redirect(new_call_id())).reason == "unknown_call"
    browser = new_call_id()  # whose ingress is gone: Twilio knows nothing of it
    await office.write_started(browser, channel="browser")
    assert (await office.redirect(browser)).reason == "not_in_progress"
    ringing = new_call_id()
    await office.write_ringing(ringing)
    assert (await office.redirect(ringing)).reason == "not_in_progress"
    closing = new_call_id()
    await office.close(closing, await office.write_started(closing), "hangup")
    assert (await office.redirect(closing)).reason == "not_in_progress"
    for call in (browser, ringing, closing):
        assert await office.written(call, e.Redirecting) == []
        assert await office.written(call, e.Resuming) == []


async def test_a_call_is_not_redirected_for_ever(office: Any, ingress: StandIn) -> None:
    call = await office.twilio.dial(PERSON)
    for legs in range(1, RESUMINGS + 1):
        await carried(call, ingress, legs)
        assert await office.redirect(call.sid) == CallDone(call.sid)
    await carried(call, ingress, RESUMINGS + 1)
    refused = await office.redirect(call.sid)
    assert isinstance(refused, CallRefused)
    assert refused.reason == "too_many"
    assert not call.over


async def test_two_requests_at_once_move_a_call_once(tmp_path: Path, ingress: StandIn) -> None:
    async with office_of(tmp_path, ingress, replicas=2) as office:
        call = await office.twilio.dial(PERSON)
        await carried(call, ingress, 1)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(office.redirect(call.sid)) for _ in range(4)]
        answers = [task.result() for task in asked]
        await carried(call, ingress, 2)
        assert answers.count(CallDone(call.sid)) == 1
        assert {a.reason for a in answers if isinstance(a, CallRefused)} == {"too_many"}
        assert len(await office.written(call.sid, e.Redirecting)) == 1


@pytest.mark.parametrize(("status", "reason"), [(429, "twilio"), (500, "unknown_outcome")])
async def test_twilio_that_does_not_do_it_is_told(
    office: Any, ingress: StandIn, status: int, reason: str
) -> None:
    call = await office.twilio.dial(PERSON)
    await carried(call, ingress, 1)
    office.twilio.rest_faults.refuse_status = status
    assert (await office.redirect(call.sid)).reason == reason
    office.twilio.rest_faults = RestFaults()
    assert len(ingress.tokens) == 1
    assert not call.over
