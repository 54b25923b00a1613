"""Callers whom no agent can take: what they hear, and what becomes of their calls."""

from collections.abc import AsyncIterator

import pytest

from testbed.realtime import OnResponse, Say, tone

HELLO = Say("Hello.", 800)
WELCOME = Say("Thank you for waiting.", 900)
PLACE_FOR_S = 6


@pytest.fixture(scope="module")
async def small_system(new_system) -> AsyncIterator:
    """Its one agent holds one call; its ingress looks for room for 6 s."""
    settings = {"PLACE_FOR_S": str(PLACE_FOR_S), "HOLD_AFTER_MS": "300"}
    async with new_system(ai_agent={"AGENT_SLOTS": "1"}, stream_ingress=settings) as system:
        yield system


@pytest.fixture
async def small(small_system) -> AsyncIterator:
    small_system.begin()
    yield small_system
    await small_system.settle()


def sentence(world, name: str) -> bytes:
    """What ingress says by itself, as the file that it ships."""
    folder = "services/stream-ingress/src/stream_ingress/sentences/en"
    return (world.repository / folder / f"{name}.ulaw").read_bytes()


async def greeted(world):
    """A call that the agent holds."""
    world.script(OnResponse(HELLO))
    call = await world.dial()
    await world.heard(call, tone(HELLO.text, 800))
    return call


async def test_a_caller_is_told_to_hold_and_taken_when_the_call_before_ends(small) -> None:
    first = await greeted(small)
    script = small.script(OnResponse(WELCOME))
    second = await small.dial()
    hold = sentence(small, "hold")
    await small.heard(second, hold)
    assert small.events(second, "assigned") == []
    assert len(small.model.connections) == 1
    await small.hung_up(first)
    await small.heard(second, hold, tone(WELCOME.text, 900))
    await script.finished()
    assert first.ear.audio() == tone(HELLO.text, 800)

    events = await small.hung_up(second)
    assert [e["event"] for e in events].count("assigned") == 1
    heard = {e["item_id"]: (e["heard_ms"], e["cut"]) for e in events if e["event"] == "heard"}
    assert heard["local:hold"] == (len(hold) // 8, False)
    assert [e["reason"] for e in events if e["event"] == "call_ended"] == ["caller_hung_up"]


async def test_a_caller_whom_nobody_has_room_for_hears_why(small) -> None:
    first = await greeted(small)
    second = await small.dial()
    events = await small.ended(second)
    await small.heard(second, sentence(small, "hold"))
    (spoken,) = second.ear.spoken
    assert "busy" in spoken.content
    assert spoken.at_ms > second.ear.last_heard_ms - 1
    assert second.end_reason == "hangup_verb"
    assert [e["intent"] for e in events if e["event"] == "stream_closing"] == ["busy"]
    assert [e["reason"] for e in events if e["event"] == "stream_stopped"] == ["closed"]
    assert [e["reason"] for e in events if e["event"] == "call_ended"] == ["busy"]
    assert "assigned" not in {e["event"] for e in events}
    assert len(small.model.connections) == 1, "the model never heard of it"
    assert not first.over
    assert first.ear.audio() == tone(HELLO.text, 800)


async def test_a_model_that_refuses_our_key_is_no_silence(small) -> None:
    small.model.faults.refuse_upgrades = 401
    try:
        call = await small.dial()
        await small.until(
            lambda: any(
                "Press 1 for today" in e["text"] for e in small.events(call, "said") if e["done"]
            ),
            "the keypad's choices",
        )
        await small.until(lambda: call.ear.heard_ms() > 2_000, "it is heard")
        events = await small.hung_up(call)
    finally:
        small.model.faults.refuse_upgrades = None
    assert small.model.refused[0] == 401
    modes = [e["mode"] for e in events if e["event"] == "mode_changed"]
    assert modes == ["keypad"]
    assert [e["reason"] for e in events if e["event"] == "call_ended"] == ["caller_hung_up"]
    # The slot is free again.
    await small.hung_up(await greeted(small))
