"""Finding an agent: declines, silent workers, nobody at all, and a call that somebody holds."""

import asyncio
import json
import secrets

from protocol import events as e
from stream_ingress import local_sentences


async def test_a_decline_goes_to_the_next_worker(world) -> None:
    full = await world.agent("full", free=9)
    draining = await world.agent("draining", free=8)
    taker = await world.agent(free=1)
    await asyncio.sleep(0.15)  # every load was told once
    phone = await world.call()
    await phone.talk_until(lambda: taker.audio, "placed")
    assert len(taker.asked) == 1
    assert full.asked
    assert draining.asked
    request = taker.asked[0]
    assert (request["call"], request["previous_epoch"], request["items"]) == (phone.call, 0, [])
    (started,) = await world.logged(phone.call, e.StreamStarted)
    assert request["ingress"] == started.ingress == world.settings.ingress_name


async def test_a_silent_worker_is_passed_over_and_suspected(world) -> None:
    silent = await world.agent("silent", free=9)
    taker = await world.agent(free=2)
    await asyncio.sleep(0.15)
    first, second = await world.call(), None
    await first.talk_until(lambda: taker.epoch, "placed")
    assert len(silent.asked) == 1
    second = await world.call()
    await second.talk_until(lambda: len(taker.asked) == 2, "placed at once")
    assert len(silent.asked) == 1


async def test_hold_then_agent(start_world) -> None:
    world = await start_world(HOLD_AFTER_MS="50")
    hold = local_sentences.load()["hold"]
    phone = await world.call()
    await phone.talk_until(lambda: phone.ear.heard_ms() >= 500, "the hold sentence plays")
    agent = await world.agent()
    await phone.talk_until(lambda: agent.audio, "placed")
    (head,) = agent.asked[0]["items"]
    assert head["item_id"] == "local:hold"
    assert head["heard_ms"] >= 480
    assert not head["done"]

    words = secrets.token_bytes(160 * 20)
    await agent.out("item", item_id="item_1")
    await agent.speak(words)
    await agent.out("done", item_id="item_1")
    await phone.talk_until(lambda: any(h["done"] for h in agent.of("heard")), "the agent is heard")
    assert phone.playout.clears == 1
    heard = phone.ear.audio()
    assert heard.endswith(words)
    assert hold.startswith(heard[: -len(words)])
    assert {h["item_id"] for h in agent.of("heard")} == {"item_1"}
    local, spoken = await world.logged(phone.call, e.Heard, 2)
    assert (local.item_id, local.cut) == ("local:hold", True)
    assert abs(local.heard_ms - (len(heard) - len(words)) // 8) <= 100
    assert (spoken.item_id, spoken.cut) == ("item_1", False)


async def test_nobody_has_room(start_world) -> None:
    world = await start_world(HOLD_AFTER_MS="20", PLACE_FOR_S="0.4")
    full = await world.agent("full", free=1)
    phone = await world.call()
    hold = local_sentences.load()["hold"]
    said = len(hold) // 8
    await phone.talk_until(lambda: phone.ear.heard_ms() >= said - 40, "the sentence is heard")
    await phone.talk(200)
    assert await phone.closed() == (1000, "busy")
    assert phone.ear.audio() == hold
    assert len(full.asked) > 1  # asked again while it tells of room
    (closing,) = await world.logged(phone.call, e.StreamClosing)
    assert closing.intent == "busy"
    (heard,) = await world.logged(phone.call, e.Heard)
    assert (heard.item_id, heard.cut) == ("local:hold", False)


async def test_a_call_that_somebody_took_is_adopted(world) -> None:
    """The worker took the call, but its answer says taken: the log knows who holds it."""
    taker = await world.agent("taken")
    holder = await world.agent("silent", free=0)
    phone = await world.dial()
    token = world.token(phone.call)

    async def hold(message) -> None:
        request = json.loads(message.data)
        await holder.listen(request["call"], request["leg"])
        holder.epoch = holder.epoch or await holder.take(request["call"], request["leg"], 0)

    await world.client.subscribe(f"agent.{taker.name}.assign", cb=hold)
    await phone.start(token)
    await phone.talk_until(lambda: holder.audio, "the holder hears the line")
    await holder.out("item", item_id="item_1")
    await holder.speak(b"\x55" * 160)
    await phone.talk_until(lambda: phone.ear.heard_ms() == 20, "and is heard")


async def test_a_new_leg_follows_the_old_one(world) -> None:
    first, agent = await world.placed()
    (started,) = await world.logged(first.call, e.StreamStarted)
    del started
    leg, epoch = agent.leg, agent.epoch
    at = first.now_ms
    second = await world.call(first.call, previous_leg=leg, line_ms=at)
    assert (await first.closed())[0] == 1000  # overtaken
    await second.talk_until(lambda: len(agent.asked) == 2, "placed anew")
    assert agent.asked[1]["previous_epoch"] == epoch
    assert agent.asked[1]["leg"] > leg
    await second.talk_until(lambda: agent.epoch > epoch, "held by a newer epoch")
    agent.audio.clear()
    await second.talk_until(lambda: agent.audio, "live on the new leg")
    assert min(c["line_ms"] for c in agent.of("clock")[-1:]) >= at
    # What the old epoch says is not for this leg.
    await agent.out("item", epoch=epoch, item_id="old")
    await agent.speak(b"\x11" * 160, epoch=epoch)
    await agent.out("item", item_id="new")
    await agent.speak(b"\x22" * 160)
    await second.talk_until(lambda: second.ear.heard_ms() == 20, "the new epoch is heard")
    assert second.ear.audio() == b"\x22" * 160
    starts = await world.logged(first.call, e.StreamStarted, 2)
    assert [s.previous_leg for s in starts] == [0, leg]
    (stopped,) = await world.logged(first.call, e.StreamStopped)
    assert (stopped.leg, stopped.reason) == (leg, "closed")


async def test_the_ingress_says_which_legs_it_carries(world) -> None:
    said: list[list[int]] = []

    async def heard(message) -> None:
        said.append(json.loads(message.data)["legs"])

    await world.client.subscribe(f"ingress.{world.settings.ingress_name}.alive", cb=heard)
    phone, agent = await world.placed()
    await phone.talk_until(lambda: [agent.leg] in said, "the leg is named")
    await phone.hang_up()
    await phone.closed()
    async with asyncio.timeout(10):
        while said[-1]:
            await asyncio.sleep(0.01)
