"""POST /twilio/stream-ended: what follows a stream, decided from the log."""

import asyncio
from typing import Any

import pytest

from protocol import events as e
from protocol.ids import CallId
from protocol.line import Intent
from testbed.twilio.twiml import Hangup, Pause, Redirect, Say
from webhooks import decision
from webhooks.decision import RESUMINGS, WATCHDOG
from webhooks.record import Record
from webhooks.twiml import SENTENCES


async def test_the_closing_is_done_and_the_end_written_once(twilio: Any) -> None:
    await twilio.closing(await twilio.started(), "hangup")
    for _ in range(2):
        assert await twilio.verbs("/twilio/stream-ended") == [Hangup()]
    assert await twilio.status("completed", 1) == 204
    (ended,) = await twilio.written(e.CallEnded)
    assert ended.reason == "assistant_hung_up"


@pytest.mark.parametrize(
    ("intent", "apology", "reason"),
    [("busy", "busy", "busy"), ("transfer", "no_transfer", "failed")],
)
async def test_apologies(twilio: Any, intent: Intent, apology: Any, reason: str) -> None:
    await twilio.closing(await twilio.started(), intent)
    assert await twilio.verbs("/twilio/stream-ended") == [Say(SENTENCES[apology]), Hangup()]
    (ended,) = await twilio.written(e.CallEnded)
    assert ended.reason == reason


async def test_a_stream_that_never_opened(twilio: Any) -> None:
    await twilio.verbs("/twilio/voice", status="ringing")
    verbs = await twilio.verbs("/twilio/stream-ended")
    assert verbs == [Say(SENTENCES["unavailable"]), Hangup()]


async def test_a_handoff_and_a_lost_leg_get_a_new_stream(twilio: Any) -> None:
    first = await twilio.started()
    await twilio.closing(first, "handoff", line_ms=4_000)
    token = twilio.offered(await twilio.verbs("/twilio/stream-ended"))
    assert (token.previous_leg, token.line_ms) == (first, 4_000)
    second = await twilio.started(previous=first, line_ms=4_000)
    await twilio.stopped(second, line_ms=9_000)
    token = twilio.offered(await twilio.verbs("/twilio/stream-ended"))
    assert (token.previous_leg, token.line_ms) == (second, 9_000)
    resumed = await twilio.written(e.Resuming)
    assert [(r.previous_leg, r.reason) for r in resumed] == [
        (first, "handoff"),
        (second, "leg lost"),
    ]
    assert await twilio.written(e.CallEnded) == []


async def test_racing_requests_for_a_lost_leg_offer_the_same_stream(twilio: Any) -> None:
    leg = await twilio.started()
    await twilio.stopped(leg, line_ms=3_000)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(twilio.verbs("/twilio/stream-ended")) for _ in range(2)]
    # Whoever reads the log only after the other's offer stands in it is told to wait.
    offers = [task.result() for task in asked if not isinstance(task.result()[0], Pause)]
    assert offers
    tokens = [twilio.offered(verbs) for verbs in offers]
    assert {(t.previous_leg, t.line_ms) for t in tokens} == {(leg, 3_000)}


async def test_a_retry_of_one_request_counts_as_one_resuming(twilio: Any) -> None:
    leg = await twilio.started()
    await twilio.stopped(leg, line_ms=3_000)
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(twilio.verbs("/twilio/stream-ended", idempotency="one"))
    for _ in range(RESUMINGS):
        token = twilio.offered(await twilio.verbs("/twilio/stream-ended", idempotency="one"))
        assert token.previous_leg == leg
    assert len(await twilio.written(e.Resuming)) == 1


async def test_a_leg_that_is_lost_again_and_again_ends_in_an_apology(
    twilio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision, "ON_ITS_WAY_S", 0)
    monkeypatch.setattr(decision, "FAILED_S", 0)
    await twilio.stopped(await twilio.started(), line_ms=3_000)
    for _ in range(RESUMINGS):
        twilio.offered(await twilio.verbs("/twilio/stream-ended"))
    assert await twilio.verbs("/twilio/stream-ended") == [Say(SENTENCES["lost"]), Hangup()]
    assert len(await twilio.written(e.Resuming)) == RESUMINGS
    (ended,) = await twilio.written(e.CallEnded)
    assert ended.reason == "lost"
    assert await twilio.verbs("/twilio/stream-ended") == [Hangup()]


async def test_a_call_that_twilio_says_is_over_is_not_resumed(twilio: Any) -> None:
    await twilio.started()
    assert await twilio.verbs("/twilio/stream-ended", status="completed") == [Hangup()]
    (ended,) = await twilio.written(e.CallEnded)
    assert (ended.reason, ended.status) == ("caller_hung_up", "completed")


WAIT = [Pause(1), Redirect("https://voice.example.com/twilio/stream-ended", "POST")]


@pytest.mark.parametrize("reason", [WATCHDOG, "leg lost"])
async def test_no_second_stream_is_offered_while_one_is_on_its_way(
    twilio: Any, reason: str
) -> None:
    leg = await twilio.started()
    await twilio.resuming(leg, reason)
    assert await twilio.verbs("/twilio/stream-ended") == WAIT
    assert len(await twilio.written(e.Resuming)) == 1
    second = await twilio.started(previous=leg)
    await twilio.stopped(second, line_ms=3_000)
    token = twilio.offered(await twilio.verbs("/twilio/stream-ended"))
    assert token.previous_leg == second, "it has come; this is another loss"


async def test_who_loses_the_call_to_a_redirect_stands_back(
    twilio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    leg = await twilio.started()
    take = Record.resuming

    async def late(self: Record, call: CallId, *args: Any, **more: Any) -> bool:
        await twilio.resuming(leg, WATCHDOG)
        return await take(self, call, *args, **more)

    monkeypatch.setattr(Record, "resuming", late)
    assert await twilio.verbs("/twilio/stream-ended") == WAIT
    (resuming,) = await twilio.written(e.Resuming)
    assert resuming.reason == WATCHDOG


async def test_who_loses_the_call_to_its_end_hangs_up(
    twilio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    leg = await twilio.started()
    take = Record.resuming

    async def late(self: Record, call: CallId, *args: Any, **more: Any) -> bool:
        await twilio.resuming(leg, "leg lost")
        await twilio.status("completed", 1)
        return await take(self, call, *args, **more)

    monkeypatch.setattr(Record, "resuming", late)
    assert await twilio.verbs("/twilio/stream-ended") == [Hangup()]
    assert len(await twilio.written(e.CallEnded)) == 1
