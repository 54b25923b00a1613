"""A second leg of a call: its holder goes on there under the same epoch, or another takes over."""

import secrets

import pytest

from protocol import events as e
from stream_ingress.reach import Reach


async def second_leg(world, phone, leg: int):
    return await world.call(phone.call, previous_leg=leg, line_ms=phone.now_ms)


async def test_the_holder_goes_on_on_the_new_leg_under_its_epoch(world) -> None:
    first, agent = await world.placed()
    agent.attaches = "accept"
    await agent.out("item", item_id="item_1")
    await agent.speak(b"\x11" * 160)
    old_leg, epoch = agent.leg, agent.epoch
    second = await second_leg(world, first, old_leg)
    await second.talk_until(lambda: agent.attached, "asked to attach")
    (request,) = agent.attached
    assert request == {
        "call": first.call,
        "epoch": epoch,
        "leg": agent.leg,
        "ingress": world.settings.ingress_name,
        "previous_leg": old_leg,
        "ring_from_ms": first.now_ms,
    }
    assert agent.leg > old_leg
    clocks = len(agent.of("clock"))
    agent.audio.clear()
    await second.talk_until(
        lambda: agent.audio and len(agent.of("clock")) > clocks, "live on the new leg"
    )
    assert agent.of("clock")[-1]["line_ms"] >= first.now_ms
    words = secrets.token_bytes(160 * 10)
    await agent.speak(b"\x11" * 160)  # the rest of an item that began on the old leg
    await agent.out("item", item_id="item_2")
    await agent.speak(words)
    await agent.out("done", item_id="item_2")
    await second.talk_until(
        lambda: any(h["done"] and h["item_id"] == "item_2" for h in agent.of("heard")), "heard"
    )
    assert second.ear.audio() == words
    assert len(agent.asked) == 1
    assert len(await world.logged(first.call, e.Assigned)) == 1
    # And it is watched there: when it dies, another follows it.
    other = await world.agent()
    await agent.die()
    await second.talk_until(lambda: other.epoch > epoch, "moved")
    assert other.asked[-1]["leg"] == agent.leg


@pytest.mark.parametrize("answer", ["not_held", "silent", "dead"])
async def test_without_the_holder_another_takes_the_call_over(world, answer) -> None:
    first, old = await world.placed()
    new = await world.agent(free=1)
    old.attaches = old.ping = answer
    if answer == "dead":
        await old.die()
    second = await second_leg(world, first, old.leg)
    await second.talk_until(lambda: new.epoch > old.epoch, "taken over")
    assert new.asked[-1]["previous_epoch"] == old.epoch
    assert len(old.attached) == {"not_held": 1, "silent": 2, "dead": 0}[answer]
    await old.out("item", item_id="old")
    await old.speak(b"\x11" * 160)
    await new.out("item", item_id="new")
    await new.speak(b"\x22" * 160)
    await second.talk_until(lambda: second.ear.heard_ms() == 20, "heard")
    assert second.ear.audio() == b"\x22" * 160


async def test_silence_is_no_reason_to_move_while_it_proves_nothing(world, monkeypatch) -> None:
    """As within a second after NATS came back: the holder may be coming back, too."""

    async def sure(self, asked_ms: int) -> bool:
        return False

    monkeypatch.setattr(Reach, "sure", sure)
    first, agent = await world.placed()
    other = await world.agent(free=1)
    agent.attaches = agent.ping = "silent"
    second = await second_leg(world, first, agent.leg)
    await second.talk_until(lambda: len(agent.attached) >= 4, "asked again and again")
    agent.attaches, agent.ping = "accept", "honest"
    agent.audio.clear()
    await second.talk_until(lambda: agent.audio, "live on the new leg")
    assert other.asked == []
    assert len(agent.asked) == 1


async def test_a_newer_holder_is_asked_instead_of_the_one_that_declined(world) -> None:
    """A handover that met the change of legs: the successor took the call with the old leg."""
    first, old = await world.placed()
    successor = await world.agent("full", free=0)
    successor.attaches, old.attaches = "accept", "taken"
    successor.epoch = await successor.take(first.call, old.leg, old.epoch)
    second = await second_leg(world, first, old.leg)
    await second.talk_until(lambda: successor.audio, "the successor hears the new leg")
    assert [request["epoch"] for request in successor.attached] == [successor.epoch]
    assert len(old.asked) == 1


async def test_a_holder_that_took_the_call_with_the_old_leg_is_attached(world) -> None:
    """The same, the other way round: `assigned` comes when the new leg has a holder already."""
    first, old = await world.placed()
    old.attaches = "accept"
    leg = old.leg
    second = await second_leg(world, first, leg)
    await second.talk_until(lambda: old.attached and old.audio, "attached")
    successor = await world.agent("full", free=0)
    successor.attaches = "accept"
    epoch = await successor.take(first.call, leg, old.epoch)
    await second.talk_until(lambda: successor.audio, "the successor hears the new leg")
    assert successor.epoch == epoch
    assert len(await world.logged(first.call, e.Assigned)) == 2
