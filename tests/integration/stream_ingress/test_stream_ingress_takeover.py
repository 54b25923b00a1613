"""A call whose worker dies, freezes, forgets it or is stuck goes to another; a living one keeps
it.
"""

import asyncio
import json
import secrets
import time

import pytest

from protocol import events as e
from stream_ingress import local_sentences


async def pings(phone, agent, count: int) -> None:
    """Let the line run until the worker was asked so many times more."""
    enough = len(agent.pinged) + count
    await phone.talk_until(lambda: len(agent.pinged) >= enough, "pinged")


async def assigned(world, call: str) -> list[e.Assigned]:
    return await world.logged(call, e.Assigned)


async def test_a_crash_moves_the_call_and_what_twilio_holds_is_heard(world) -> None:
    phone, old = await world.placed()
    first, second, third = (secrets.token_bytes(160 * n) for n in (20, 40, 10))
    await old.out("item", item_id="item_1")
    await old.speak(first)
    await old.out("done", item_id="item_1")
    await old.out("item", item_id="item_2")
    await old.speak(second)
    await phone.talk_until(lambda: phone.ear.heard_ms() >= 500, "some is heard")
    new = await world.agent(free=1)
    await old.die()
    async with asyncio.timeout(10):
        while not new.epoch:  # the line stands still meanwhile, so the ledger is known
            await asyncio.sleep(0.01)
    (request,) = new.asked
    assert request["previous_epoch"] == old.epoch
    assert request["leg"] == old.leg
    (head,) = request["items"]
    heard_ms = head.pop("heard_ms")
    assert abs(heard_ms - (phone.ear.heard_ms() - 400)) <= 100
    assert head == {"item_id": "item_2", "done": False, "sent_ms": 800, "complete": False}

    new.audio.clear()
    clocks = len(new.of("clock"))
    await phone.talk_until(lambda: new.audio and len(new.of("clock")) > clocks, "it is heard")
    await new.out("item", item_id="item_3")
    await new.speak(third)
    await new.out("done", item_id="item_3")
    await old.out("item", item_id="late")
    await old.speak(b"\x11" * 1600)
    await old.out("clear", n=9)
    await phone.talk_until(
        lambda: any(h["done"] and h["item_id"] == "item_3" for h in new.of("heard")), "heard"
    )
    assert phone.ear.audio() == first + second + third
    assert phone.playout.clears == 0
    heard = await world.logged(phone.call, e.Heard, 3)
    assert [(h.item_id, h.heard_ms, h.cut) for h in heard] == [
        ("item_1", 400, False),
        ("item_2", 800, True),  # nobody said that it was complete
        ("item_3", 200, False),
    ]
    one, two = await assigned(world, phone.call)
    assert (one.worker, two.worker) == (old.name, new.name)


async def test_a_frozen_worker_loses_the_call_and_is_not_heard_when_it_wakes(world) -> None:
    phone, old = await world.placed()
    new = await world.agent(free=1)
    old.freeze()
    await phone.talk_until(lambda: new.epoch > old.epoch, "moved")
    assert len(old.pinged) >= 2
    await old.out("item", item_id="late")
    await old.speak(b"\x11" * 1600)
    await new.out("item", item_id="item_1")
    await new.speak(b"\x22" * 1600)
    await new.out("done", item_id="item_1")
    await phone.talk_until(lambda: any(h["done"] for h in new.of("heard")), "heard")
    assert phone.ear.audio() == b"\x22" * 1600


async def test_a_worker_that_forgot_the_call_is_asked_last(world) -> None:
    phone, old = await world.placed()
    new = await world.agent(free=1)
    await asyncio.sleep(0.15)  # its load was told
    old.holds.clear()
    assert old.free > new.free
    await phone.talk_until(lambda: new.epoch > old.epoch, "moved")
    assert len(old.asked) == 1


async def test_a_worker_that_forgot_the_call_takes_it_anew_when_it_is_the_only_one(world) -> None:
    phone, agent = await world.placed()
    epoch = agent.epoch
    agent.holds.clear()
    await phone.talk_until(lambda: agent.epoch > epoch, "taken anew")
    assert agent.asked[1]["previous_epoch"] == epoch


async def test_a_stuck_call_is_moved_only_if_it_was_given_audio_for_two_seconds(world) -> None:
    phone, old = await world.placed()
    new = await world.agent(free=1)
    await pings(phone, old, 1)
    old.ping = "stuck"
    count = len(old.pinged)
    async with asyncio.timeout(20):
        while len(old.pinged) < count + 12:  # three seconds without a frame of the caller
            await asyncio.sleep(0.01)
    assert new.asked == []
    await phone.talk_until(lambda: new.epoch > old.epoch, "moved")


async def test_a_false_alarm_changes_nothing(world) -> None:
    phone, agent = await world.placed()
    agent.answer, agent.ping = "false alarm", "silent"
    await phone.talk_until(lambda: len(agent.asked) == 2, "suspected, and asked again")
    agent.ping = "honest"
    await pings(phone, agent, 3)
    await agent.out("item", item_id="item_1")
    await agent.speak(b"\x22" * 1600)
    await phone.talk_until(lambda: phone.ear.audio().endswith(b"\x22" * 1600), "still heard")
    assert len(agent.asked) == 2
    assert len(await assigned(world, phone.call)) == 1


async def test_a_late_loop_of_our_own_suspects_nobody(world) -> None:
    phone, agent = await world.placed()
    stalls = [0.8, 0.8, 0.8]

    async def stall(message) -> None:
        """Stall the ingress's own loop, which is this one, and swallow the question."""
        if stalls:
            time.sleep(stalls.pop())  # noqa: ASYNC251 -- the point
        else:
            calls = json.loads(message.data)["calls"]
            agent.pinged.append(calls)
            await message.respond(b"{}")

    for subscription in agent._subscriptions:
        if subscription.subject.endswith(".ping"):
            await subscription.unsubscribe()
    await world.client.subscribe(f"agent.{agent.name}.ping", cb=stall)
    await phone.talk_until(lambda: not stalls, "stalled")
    await pings(phone, agent, 4)
    assert len(agent.asked) == 1


async def test_the_caller_hears_a_sentence_once_nothing_else_plays(world) -> None:
    moment = local_sentences.load()["moment"]
    phone, old = await world.placed()
    words = secrets.token_bytes(160 * 100)
    await old.out("item", item_id="item_1")
    await old.speak(words)
    await phone.talk_until(lambda: phone.ear.heard_ms() >= 400, "the assistant speaks")
    await old.die()
    whole = words + moment
    await phone.talk_until(lambda: phone.ear.audio() == whole, "the sentence is heard whole")
    new = await world.agent()
    await phone.talk_until(lambda: new.epoch > old.epoch, "moved")
    head = new.asked[0]["items"][0]
    assert (head["item_id"], head["heard_ms"], head["sent_ms"]) == ("item_1", 2000, 2000)
    assert not head["complete"]
    await new.out("item", item_id="item_2")
    await new.speak(b"\x22" * 1600)
    await phone.talk_until(lambda: phone.ear.heard_ms() > len(whole) // 8, "the new one is heard")
    assert phone.ear.audio()[len(whole) :].strip(b"\x22") == b""


async def test_a_call_that_nobody_takes_over_ends_busy(start_world) -> None:
    world = await start_world(PLACE_FOR_S="0.5")
    phone, agent = await world.placed()
    await agent.die()
    assert await phone.talk_until_closed() == (1000, "busy")
    (closing,) = await world.logged(phone.call, e.StreamClosing)
    assert closing.intent == "busy"


async def test_all_calls_of_a_dead_worker_move(world) -> None:
    agent = await world.agent(free=9)
    phones = []
    for count in range(1, 5):
        phone = await world.call()
        await phone.talk_until(lambda n=count: len(agent.holds) == n, "placed")
        phones.append(phone)
    new = await world.agent(free=9)
    await asyncio.sleep(0.15)  # its load was told
    await agent.die()
    async with asyncio.timeout(10):
        while set(new.holds) != {phone.call for phone in phones}:
            await asyncio.sleep(0.01)
    for phone in phones:
        await new.client.publish(
            f"call.{phone.call}.out.{new.holds[phone.call]}.item", b'{"item_id":"i"}'
        )
        await new.client.publish(
            f"call.{phone.call}.out.{new.holds[phone.call]}.audio", b"\x22" * 160
        )
        await phone.talk_until(lambda p=phone: p.ear.heard_ms() == 20, "heard")


@pytest.mark.parametrize("reason", ["taken", "draining", "full"])
async def test_declines_of_a_takeover_are_survived(world, reason) -> None:
    phone, old = await world.placed()
    declining = await world.agent(reason, free=9)
    new = await world.agent(free=1)
    await asyncio.sleep(0.15)
    await old.die()
    await phone.talk_until(lambda: new.epoch > old.epoch, "moved")
    assert declining.asked
