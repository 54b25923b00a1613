"""stream-ingress while NATS is away, and how it leaves its calls: the drain, the last words."""

import asyncio
import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol import events as e
from stream_ingress import app, holder, leg, local_sentences
from testbed.nats_server import NatsServer

SILENCE = b"\xff" * 160


@pytest.fixture
async def fragile(start_world, tmp_path: Path):
    """Starts an ingress on a NATS of its own, which the test may kill."""
    server = await NatsServer.start(tmp_path / "nats")
    worlds = []

    async def start(**changes: str):
        worlds.append(await start_world(NATS_URL=server.url, **changes))
        return worlds[-1], server

    yield start
    for world in worlds:
        for phone in world.phones:
            await phone.leave()
        # nats-py cannot close a connection that it is still making.
        await until(lambda w=world: w.client.is_connected and w.bus.connected, "all are back")
        world.shutdown.ask()
        await world.serving
        # Before its server is gone: nats-py cannot close a connection that it is still writing to.
        await world.client.close()
    await server.stop()


async def until(holds: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"never happened: {what}")


async def gone(*names: str) -> None:
    """Wait until no task of such a name runs."""
    async with asyncio.timeout(20):
        while any(task.get_name().startswith(names) for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)


async def test_the_caller_hears_a_sentence_and_the_call_goes_on_afterwards(fragile) -> None:
    moment = local_sentences.load()["moment"]
    world, server = await fragile()
    phone, agent = await world.placed()
    words = secrets.token_bytes(160 * 20)
    await agent.out("item", item_id="item_1")
    await agent.speak(words)
    await agent.out("done", item_id="item_1")
    await phone.talk_until(lambda: phone.ear.heard_ms() >= 40, "the assistant speaks")
    await server.kill()
    await phone.talk_until(lambda: phone.ear.audio() == words + moment, "the sentence is heard")
    assert not [h for h in agent.of("heard") if h["done"]]
    agent.ping = "silent"  # as if it came back later than we did
    clocks, pinged = len(agent.of("clock")), len(agent.pinged)
    await server.restart()
    await phone.talk_until(lambda: len(agent.pinged) > pinged, "asked again")
    agent.ping = "honest"
    await phone.talk_until(
        lambda: (
            {"item_id": "item_1", "heard_ms": 400, "done": True}.items()
            <= (agent.of("heard") or [{}])[-1].items()
        ),
        "the last word on the item is told again",
    )
    await phone.talk_until(lambda: len(agent.of("clock")) > clocks, "the time is told")
    await agent.out("item", item_id="item_2")
    await agent.speak(b"\x22" * 160)
    await phone.talk_until(lambda: phone.ear.audio().endswith(b"\x22" * 160), "it goes on")
    assert len(agent.asked) == 1
    await phone.talk_until(lambda: agent.attached, "asked to find out what was lost")
    request = agent.attached[0]
    assert (request["leg"], request["previous_leg"]) == (agent.leg, agent.leg)
    assert request["epoch"] == agent.epoch
    (heard, *_) = await world.logged(phone.call, e.Heard)
    assert (heard.item_id, heard.cut) == ("item_1", False)
    assert len(await world.logged(phone.call, e.Assigned)) == 1


async def test_what_was_lost_is_asked_for_while_its_own_sentence_plays(fragile) -> None:
    world, server = await fragile()
    phone, agent = await world.placed()
    await server.kill()
    await phone.talk_until(lambda: phone.ear.heard_ms() > 0, "the sentence is heard")
    await server.restart()
    # No frame comes: on the line no time passes, and the sentence is not over.
    await until(lambda: bool(agent.attached), "asked to find out what was lost")


async def test_a_nats_that_only_hangs_counts_as_away_and_suspects_nobody(fragile) -> None:
    moment = local_sentences.load()["moment"]
    world, server = await fragile()
    phone, agent = await world.placed()
    server.suspend()
    await phone.talk_until(lambda: phone.ear.audio() == moment, "the sentence is heard")
    assert world.bus.connected
    server.resume()
    pinged = len(agent.pinged)
    await phone.talk_until(lambda: len(agent.pinged) >= pinged + 4, "asked again")
    await agent.out("item", item_id="item_1")
    await agent.speak(b"\x22" * 160)
    await phone.talk_until(lambda: phone.ear.audio().endswith(b"\x22" * 160), "it goes on")
    assert len(agent.asked) == 1


async def test_a_call_is_not_kept_for_ever_without_nats(fragile) -> None:
    world, server = await fragile(INGRESS_AWAY_S="0.5")
    phone, _ = await world.placed()
    await server.kill()
    assert await phone.talk_until_closed() == (1000, "handoff")
    await gone("leg.", "socket.")
    await server.restart()


async def test_an_end_while_nats_is_away_leaves_nothing_and_is_written_later(fragile) -> None:
    world, server = await fragile()
    phone, agent = await world.placed()
    await agent.out("item", item_id="item_1")
    await agent.speak(secrets.token_bytes(160 * 20))
    await phone.talk_until(lambda: phone.ear.heard_ms() >= 200, "the assistant speaks")
    await server.kill()
    await phone.talk_until(lambda: not world.bus.connected, "NATS is away")
    await phone.hang_up()
    assert (await phone.closed())[0] == 1000
    await gone("leg.", "socket.")
    await server.restart()
    (ended,) = await world.logged(phone.call, e.CallEnded)
    assert ended.reason == "caller_hung_up"
    (heard,) = await world.logged(phone.call, e.Heard)
    assert heard.cut
    (stopped,) = await world.logged(phone.call, e.StreamStopped)
    assert stopped.reason == "stop"


async def test_a_worker_may_die_while_nats_is_away(fragile) -> None:
    world, server = await fragile()
    phone, old = await world.placed()
    new = await world.agent(free=1)
    await server.kill()
    await phone.talk_until(lambda: not world.bus.connected, "NATS is away")
    old.freeze()
    await server.restart()
    await phone.talk_until(lambda: new.epoch > old.epoch, "moved")


async def test_a_takeover_that_was_missed_is_read_again(fragile, monkeypatch) -> None:
    async def missed(self, message) -> None:
        """The event does not come."""

    monkeypatch.setattr(holder.Holder, "_assigned", missed)
    world, server = await fragile()
    phone, old = await world.placed()
    new = await world.agent("full", free=0)
    await new.listen(phone.call, old.leg)
    new.epoch = await new.take(phone.call, old.leg, old.epoch)
    await server.kill()
    await phone.talk_until(lambda: not world.bus.connected, "NATS is away")
    await server.restart()
    await phone.talk_until(lambda: new.pinged, "the newer holder is known")
    assert new.pinged[-1] == {phone.call: new.epoch}


@pytest.mark.parametrize("name", ["resuming", "stream_started"])
async def test_an_ingress_of_the_past_does_not_end_a_call_that_goes_on(
    world, monkeypatch, name
) -> None:
    """It slept, its call went on elsewhere, and now it finds Twilio's stop."""

    async def missed(self, message) -> None:
        """The event does not come."""

    monkeypatch.setattr(leg.CallLeg, "_stream_started", missed)
    phone, agent = await world.placed()
    event = {
        "event": name,
        "id": secrets.token_hex(16),
        "call_id": phone.call,
        "at": "2026-01-01T00:00:00Z",
        "service": "another",
        "worker": "w",
        "previous_leg": agent.leg,
        **({"reason": "lost"} if name == "resuming" else {}),
        **({"stream_id": "MZ" + "1" * 32, "ingress": "i"} if name == "stream_started" else {}),
    }
    await world.client.jetstream().publish(
        f"call.{phone.call}.log.{name}", json.dumps(event).encode()
    )
    await phone.hang_up()
    await phone.closed()
    (stopped,) = await world.logged(phone.call, e.StreamStopped)
    assert stopped.reason == "stop"
    world.shutdown.ask()
    await world.serving
    assert not [x for x in await world.log(phone.call) if isinstance(x.event, e.CallEnded)]


async def test_a_leg_that_opens_during_the_hand_off_is_handed_off_too(
    start_world, monkeypatch
) -> None:
    monkeypatch.setattr(app, "LAST_WORDS_S", 60)
    world = await start_world()
    phone = await world.dial()
    world.shutdown.ask()
    await asyncio.sleep(0.1)  # the hand-off was asked for
    await phone.start(world.token(phone.call))
    assert await phone.talk_until_closed(SILENCE) == (1000, "handoff")
    (closing,) = await world.logged(phone.call, e.StreamClosing)
    assert closing.intent == "handoff"


async def test_a_drain_waits_for_a_quiet_moment(start_world, monkeypatch) -> None:
    monkeypatch.setattr(app, "LAST_WORDS_S", 60)
    world = await start_world()
    phone, agent = await world.placed()
    await agent.out("item", item_id="item_1")
    await agent.speak(secrets.token_bytes(160 * 50))
    await agent.out("done", item_id="item_1")
    world.shutdown.ask()
    for _ in range(20):  # the caller listens; the assistant speaks
        await phone.frame(SILENCE)
        await asyncio.sleep(0.02)
    for _ in range(60):  # the assistant has spoken; the caller speaks
        await phone.frame()
        await asyncio.sleep(0.02)
    assert phone.ear.heard_ms() == 1000
    assert phone.socket.close_code is None
    assert await phone.talk_until_closed(SILENCE) == (1000, "handoff")
    (closing,) = await world.logged(phone.call, e.StreamClosing)
    assert closing.intent == "handoff"
    (heard,) = await world.logged(phone.call, e.Heard)
    assert (heard.heard_ms, heard.cut) == (1000, False)


async def test_a_drain_does_not_wait_for_ever(start_world, monkeypatch) -> None:
    monkeypatch.setattr(app, "LAST_WORDS_S", 0.5)
    world = await start_world()
    phone, agent = await world.placed()
    await agent.out("item", item_id="item_1")
    await agent.speak(secrets.token_bytes(160 * 500))
    world.shutdown.ask()
    assert await phone.talk_until_closed() == (1000, "handoff")
    async with asyncio.timeout(10):
        await world.serving


async def test_the_heartbeat_names_legs_and_their_calls(world) -> None:
    said: list[dict] = []

    async def heard(message) -> None:
        said.append(json.loads(message.data))

    await world.client.subscribe(f"ingress.{world.settings.ingress_name}.alive", cb=heard)
    one, agent = await world.placed()
    leg = agent.leg
    agent.free = 0
    two, other = await world.placed()
    expected = {leg: one.call, other.leg: two.call}
    await two.talk_until(
        lambda: said and dict(zip(said[-1]["legs"], said[-1]["calls"], strict=True)) == expected,
        "both are named",
    )
