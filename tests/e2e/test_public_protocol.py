"""What anybody with a NATS client can see of a call, and what the server refuses.

Spoken with nats-py and JSON alone, as an outsider in any language would.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError

from testbed.realtime import OnResponse, Say, tone

HELLO = Say("Hello.", 900)
WRONG_LAST_SEQUENCE = 10071


@pytest.fixture
async def outsider(world) -> AsyncIterator[Client]:
    client = await nats.connect(world.stack.nats_url)
    yield client
    await client.close()


@contextlib.asynccontextmanager
async def listening(client: Client, subject: str) -> AsyncIterator[list[Msg]]:
    """The messages of a core subscription, as they come."""
    got: list[Msg] = []

    async def arrived(message: Msg) -> None:
        got.append(message)

    subscription = await client.subscribe(subject, cb=arrived)
    for _ in range(2):  # nats-py: one flush may overtake the subscription
        await client.flush()
    yield got
    await subscription.unsubscribe()


def event_of(call, name: str, **fields: Any) -> dict[str, Any]:
    return {
        "event": name,
        "id": secrets.token_hex(12),
        "call_id": call.sid,
        "at": datetime.now(UTC).isoformat(),
        "service": "outsider",
        "worker": "outsider",
    } | fields


async def publish(client: Client, event: dict[str, Any], **headers: str) -> int:
    """Publish an event into the stream; its sequence. Raises APIError when it is refused."""
    ack = await client.jetstream().publish(
        f"call.{event['call_id']}.log.{event['event']}",
        json.dumps(event).encode(),
        headers={"Nats-Msg-Id": event["id"]} | {k.replace("_", "-"): v for k, v in headers.items()},
    )
    return ack.seq


def acted(call, act: str) -> dict[str, Any]:
    return event_of(call, "operator_acted", operator="outsider", act=act)


async def talking(world):
    """A call whose caller has heard HELLO."""
    world.script(OnResponse(HELLO))
    call = await world.dial()
    await world.heard(call, tone(HELLO.text, 900))
    await world.logged(call, "heard")
    return call


def seen(messages: list[Msg]) -> list[tuple[str, dict[str, Any]]]:
    return [(message.subject, json.loads(message.data)) for message in messages]


async def test_a_subscription_shows_every_event_and_the_stream_replays_them(
    world, outsider
) -> None:
    async with listening(outsider, "call.*.event.>") as messages:
        call = await talking(world)
        events = await world.hung_up(call)
        await world.until(lambda: len(messages) >= len(events), "the subscriber saw them all")
    assert {m.subject for m in messages} == {f"call.{call.sid}.event.{e['event']}" for e in events}
    assert [event for _, event in seen(messages)] == events
    assert {"ringing", "stream_started", "assigned", "said", "heard", "call_ended"} <= {
        event["event"] for event in events
    }
    # Afterwards, from the stream: the same, under the same numbers.
    replayed = await world.replay(f"call.{call.sid}.log.*")
    assert [event for _, event in replayed] == events
    assert [int(m.headers["Nats-Sequence"]) for m in messages] == [n for n, _ in replayed]
    # A consumer may ask for one kind of event of all calls.
    ends = await world.replay("call.*.log.call_ended")
    assert {event["event"] for _, event in ends} == {"call_ended"}
    assert ends[-1][1]["call_id"] == call.sid


async def test_the_audio_of_a_line_can_be_recorded_by_anybody(world, outsider) -> None:
    words = tone("hear me", 400)
    world.script(OnResponse(HELLO))
    async with (
        listening(outsider, "call.*.in.*.audio") as said,
        listening(outsider, "call.*.out.*.audio") as answered,
    ):
        call = await world.dial()
        await world.heard(call, tone(HELLO.text, 900))
        future = call.say(words[: 8 * 40])  # too short to be a turn
        assert await future
        await world.until(
            lambda: words[: 8 * 40] in b"".join(m.data for m in said), "the voice passes by"
        )
    assert b"".join(m.data for m in answered) == tone(HELLO.text, 900)
    assert all(m.headers is None for m in said)


async def test_a_refused_take_is_seen_by_nobody(world, outsider) -> None:
    call = await talking(world)
    (assigned,) = world.events(call, "assigned")
    async with (
        listening(outsider, f"call.{call.sid}.event.>") as events,
        listening(outsider, f"call.{call.sid}.log.assigned") as attempts,
    ):
        mine = event_of(call, "assigned", leg=assigned["leg"], previous_epoch=0)
        for wrong in ("0", "999999999"):
            with pytest.raises(APIError) as refused:
                await publish(outsider, mine, Nats_Expected_Last_Subject_Sequence=wrong)
            assert refused.value.err_code == WRONG_LAST_SEQUENCE
        barrier = acted(call, "look")
        await publish(outsider, barrier)
        await world.until(lambda: barrier in [e for _, e in seen(events)], "the barrier came")
        assert "assigned" not in {event["event"] for _, event in seen(events)}
        assert len(attempts) == 2, "which is why nobody follows the stream's own subjects"
    assert await world.replay(f"call.{call.sid}.log.assigned") != []
    assert len(await world.replay(f"call.{call.sid}.log.assigned")) == 1
    events = await world.hung_up(call)
    assert events[-1]["event"] in ("call_ended", "status_changed"), "the call went on unharmed"


async def test_an_event_sent_twice_is_seen_once(world, outsider) -> None:
    call = await talking(world)
    once, barrier = acted(call, "whisper"), acted(call, "look")
    async with listening(outsider, f"call.{call.sid}.event.>") as events:
        first = await publish(outsider, once)
        assert await publish(outsider, once) == first
        await publish(outsider, barrier)
        await world.until(lambda: barrier in [e for _, e in seen(events)], "the barrier came")
        assert [e for _, e in seen(events) if e["event"] == "operator_acted"] == [once, barrier]
    replayed = await world.replay(f"call.{call.sid}.log.operator_acted")
    assert [event for _, event in replayed] == [once, barrier]


async def test_a_stale_worker_cannot_write_and_leaves_the_call(world, outsider) -> None:
    call = await talking(world)
    socket = world.connection(call)
    ((epoch, assigned),) = await world.replay(f"call.{call.sid}.log.assigned")
    fence = {
        "Nats_Expected_Last_Subject_Sequence": str(epoch),
        "Nats_Expected_Last_Subject_Sequence_Subject": f"call.{call.sid}.log.assigned",
    }
    words = {"item_id": "item_x", "response_id": "resp_x", "generated_ms": 0, "done": False}
    said = event_of(call, "said", epoch=epoch, text="as the holder", **words)
    await publish(outsider, said, **fence)

    newer = event_of(call, "assigned", leg=assigned["leg"], previous_epoch=epoch, reason="takeover")
    taken = await publish(outsider, newer, Nats_Expected_Last_Subject_Sequence=str(epoch))
    assert taken > epoch
    stale = event_of(call, "said", epoch=epoch, text="too late", **words)
    with pytest.raises(APIError) as refused:
        await publish(outsider, stale, **fence)
    assert refused.value.err_code == WRONG_LAST_SEQUENCE
    async with asyncio.timeout(world.patience_s):
        while socket.close_code is None:
            await asyncio.sleep(0.01)
    replayed = [event for _, event in await world.replay(f"call.{call.sid}.log.said")]
    assert said in replayed
    assert stale not in replayed
