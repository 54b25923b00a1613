"""Status callbacks: doubled, late and out of order they end a call once."""

import asyncio
from typing import Any

import pytest

from protocol import events as e
from protocol.line import Intent
from testbed.twilio.forms import new_sid, stream_form


async def test_callbacks_doubled_and_out_of_order_end_the_call_once(twilio: Any) -> None:
    await twilio.verbs("/twilio/voice", status="ringing")
    await twilio.started()
    steps = [("completed", 3), ("in-progress", 2), ("ringing", 1), ("completed", 3)]
    for status, sequence in [*steps, *steps]:
        assert await twilio.status(status, sequence) == 204
    changed = await twilio.written(e.StatusChanged)
    assert [(c.status, c.sequence, c.duration_s) for c in changed] == [
        ("completed", 3, 61),
        ("in-progress", 2, 61),
        ("ringing", 1, 61),
    ]
    (ended,) = await twilio.written(e.CallEnded)
    assert (ended.reason, ended.status) == ("caller_hung_up", "completed")


async def test_two_final_callbacks_at_once_end_the_call_once(twilio: Any) -> None:
    async with asyncio.TaskGroup() as group:
        for n, status in enumerate(["completed", "busy", "completed", "failed"]):
            group.create_task(twilio.status(status, n))
    assert len(await twilio.written(e.CallEnded)) == 1
    assert len(await twilio.written(e.StatusChanged)) == 4


@pytest.mark.parametrize(
    ("intent", "reason"),
    [("hangup", "assistant_hung_up"), ("busy", "busy"), ("transfer", "transferred")],
)
async def test_a_completed_call_ended_as_the_log_says(
    twilio: Any, intent: Intent, reason: str
) -> None:
    await twilio.closing(await twilio.started(), intent)
    assert await twilio.status("completed", 1) == 204
    (ended,) = await twilio.written(e.CallEnded)
    assert ended.reason == reason


async def test_a_callback_without_a_status_or_with_an_unknown_one(twilio: Any) -> None:
    assert await twilio.status("", 0) == 400
    assert await twilio.status("levitating", 1) == 204
    assert await twilio.written(e.CallEnded) == []


async def test_stream_callbacks_write_nothing(twilio: Any) -> None:
    for event in ("stream-started", "stream-stopped", "stream-error", "stream-invented"):
        form = stream_form(twilio.facts(), new_sid("MZ"), None, event, "31920: not 101")
        assert (await twilio.post("/twilio/stream-status", form)).status_code == 204
    assert await twilio.log() == []
