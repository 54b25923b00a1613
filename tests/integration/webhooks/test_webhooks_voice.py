"""POST /twilio/voice: one stream a call, whoever calls and however often Twilio asks."""

import asyncio
from typing import Any

import pytest

from protocol import events as e
from protocol import stream_token
from runtime.clock import unix_now
from testbed.twilio.forms import call_form
from testbed.twilio.twiml import Hangup


async def test_a_call_is_offered_a_stream_and_rings_in_the_log(twilio: Any) -> None:
    token = twilio.offered(await twilio.verbs("/twilio/voice", status="ringing"))
    assert (token.call, token.previous_leg, token.line_ms) == (twilio.call, 0, 0)
    assert (token.caller, token.called, token.channel) == ("+15550100001", "+15550100002", "phone")
    assert 0 < token.expires - unix_now() <= stream_token.LIFETIME_S
    (ringing,) = await twilio.written(e.Ringing)
    assert (ringing.caller, ringing.called, ringing.direction) == (
        "+15550100001",
        "+15550100002",
        "inbound",
    )
    assert (ringing.service, ringing.worker) == ("webhooks", "test")


async def test_a_call_asked_for_again_gets_the_same_answer(twilio: Any) -> None:
    form = call_form(twilio.facts(), "ringing")
    answers = {(await twilio.post("/twilio/voice", form)).text for _ in range(2)}
    async with asyncio.TaskGroup() as group:
        more = [group.create_task(twilio.post("/twilio/voice", form)) for _ in range(5)]
    answers |= {task.result().text for task in more}
    assert len(answers) == 1
    assert len(await twilio.log()) == 1


async def test_a_call_that_is_over_is_hung_up(twilio: Any) -> None:
    assert await twilio.status("canceled", 0) == 204
    assert await twilio.verbs("/twilio/voice", status="ringing") == [Hangup()]


@pytest.mark.parametrize("caller", ["anonymous", "+1" + "5" * 20_000, "sip:ü@x\n\0", ""])
async def test_any_caller_can_call(twilio: Any, caller: str) -> None:
    twilio.caller = caller
    token = twilio.offered(await twilio.verbs("/twilio/voice", status="ringing"))
    assert len(token.caller) < 100
    (ringing,) = await twilio.written(e.Ringing)
    assert ringing.caller == token.caller
