"""The ear of a call: what was really said and heard, for who listens and for the recording."""

import asyncio
import itertools
import json
import secrets
from dataclasses import dataclass, field

import pytest

from protocol import events as e
from protocol.line import EAR_MS, LINE_MS_HEADER
from protocol.streams import RECORDINGS
from runtime.provision import provision_recordings
from runtime.scan import scan
from stream_ingress import ear_tracks, metrics
from testbed.nats_server import NatsServer

SILENCE = b"\xff"
FRAME_MS = 20


def speech(ms: int) -> bytes:
    """Audio without a byte of silence in it."""
    return bytes(byte % 251 for byte in secrets.token_bytes(ms * 8))


@dataclass
class Track:
    """One track, laid out by its headers."""

    blocks: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def begins_ms(self) -> int:
        return self.blocks[0][0]

    @property
    def ends_ms(self) -> int:
        line_ms, audio = self.blocks[-1]
        return line_ms + len(audio) // 8

    def audio(self) -> bytes:
        """All of it; there may be no hole."""
        for (line_ms, audio), (next_ms, _) in itertools.pairwise(self.blocks):
            assert line_ms + len(audio) // 8 == next_ms
            assert len(audio) == EAR_MS * 8
        return b"".join(audio for _, audio in self.blocks)

    def place_of(self, words: bytes) -> float:
        """line_ms of these bytes."""
        return self.begins_ms + self.audio().index(words) / 8


class Heard:
    """Somebody who follows ``call.<id>.ear.*``, which a recording's stream republishes."""

    def __init__(self) -> None:
        self.tracks = {"caller": Track(), "assistant": Track()}

    async def follow(self, world, call: str) -> None:
        async def came(message) -> None:
            track = self.tracks[message.subject.rsplit(".", 1)[-1]]
            track.blocks.append((int(message.headers[LINE_MS_HEADER]), message.data))

        await world.client.subscribe(f"call.{call}.ear.*", cb=came)
        await world.client.flush()
        await world.client.flush()

    @property
    def caller(self) -> Track:
        return self.tracks["caller"]

    @property
    def assistant(self) -> Track:
        return self.tracks["assistant"]


async def kept(world, call: str, *, legs: int = 0) -> Heard:
    """What the stream holds of a call, once so many of its legs are over."""
    if legs:
        await world.logged(call, e.StreamStopped, legs)
    found = Heard()
    async for message in scan(world.bus, RECORDINGS.name, f"call.{call}.recording.*"):
        track = found.tracks[message.subject.rsplit(".", 1)[-1]]
        track.blocks.append((int(message.headers[LINE_MS_HEADER]), message.data))
    return found


async def listen(world, call: str) -> dict:
    reply = await world.client.request(f"call.{call}.listen", b'{"by":"mira"}', timeout=5)
    return json.loads(reply.data)


async def listening(world, phone) -> dict:
    """Asked until the ear is open."""
    async with asyncio.timeout(10):
        while (reply := await listen(world, phone.call))["type"] == "not_now":
            await phone.frame()
    return reply


@pytest.fixture
async def recording(world):
    """A placed call that is being recorded from 100 ms on, and its listener."""
    assert await provision_recordings(world.bus, days=1, max_bytes=64 * 1024**2)
    phone, agent = await world.placed()
    heard = Heard()
    await heard.follow(world, phone.call)
    await phone.talk(200)
    await agent.out("ear", from_ms=100, record=True)
    await phone.talk_until(lambda: heard.caller.blocks, "the recording runs")
    return phone, agent, heard


async def test_both_tracks_are_what_was_said_and_heard(world, recording) -> None:
    phone, agent, heard = recording
    words, more, last = speech(1000), speech(3000), speech(600)
    await agent.out("item", item_id="item_1")
    for start in range(0, len(words), 800):
        await agent.speak(words[start : start + 800])
    await agent.out("done", item_id="item_1")
    await phone.talk_until(lambda: any(h["done"] for h in agent.of("heard")), "all was heard")
    await phone.talk(300)
    # The caller interrupts: most of this is never heard.
    await agent.out("item", item_id="item_2")
    for start in range(0, len(more), 800):
        await agent.speak(more[start : start + 800])
    await phone.talk_until(lambda: phone.ear.heard_ms() >= 2000, "a second of it was heard")
    await agent.out("clear", n=1)
    await phone.talk_until(lambda: agent.of("cleared"), "cleared")
    cut_ms = agent.of("cleared")[0]["items"][0]["heard_ms"]
    await phone.talk(300)
    await agent.out("item", item_id="item_3")
    await agent.speak(last)
    await agent.out("done", item_id="item_3")
    await phone.talk_until(lambda: agent.of("heard")[-1]["item_id"] == "item_3", "heard, too")
    await phone.talk_until(lambda: agent.of("heard")[-1]["done"], "to its end")
    await phone.hang_up()
    await phone.closed()

    found = await kept(world, phone.call, legs=1)
    assert found.caller.begins_ms == found.assistant.begins_ms == 100
    assert found.caller.ends_ms == found.assistant.ends_ms == phone.now_ms
    assert found.caller.audio() == bytes(phone.sent[100 * 8 :])
    assistant = found.assistant.audio()
    assert assistant.replace(SILENCE, b"") == words + more[: cut_ms * 8] + last
    for spoken in (words, more[:1600], last):
        (start_ms,) = [
            sound.start_ms + sound.audio.index(spoken) / 8
            for sound in phone.ear.sounds
            if spoken in sound.audio
        ]
        assert abs(found.assistant.place_of(spoken) - start_ms) <= FRAME_MS
    # Whoever listened heard the same.
    assert heard.caller.blocks == found.caller.blocks
    assert heard.assistant.blocks == found.assistant.blocks


async def test_nobody_listens_at_the_gate_and_nothing_of_it_is_kept(world) -> None:
    assert await provision_recordings(world.bus, days=1, max_bytes=64 * 1024**2)
    phone, agent = await world.placed()
    heard = Heard()
    await heard.follow(world, phone.call)
    gate = speech(800)
    await agent.out("item", item_id="voice_1")
    await agent.speak(gate)
    await agent.out("done", item_id="voice_1")
    await phone.talk(500)
    assert await listen(world, phone.call) == {"type": "not_now"}
    await phone.talk_until(lambda: any(h["done"] for h in agent.of("heard")), "heard")
    passed_ms = phone.now_ms
    assert heard.caller.blocks == []
    await agent.out("ear", from_ms=passed_ms, record=True)
    words = speech(400)
    await agent.out("item", item_id="item_1")
    await agent.speak(words)
    await agent.out("done", item_id="item_1")
    await phone.talk_until(lambda: words in heard.assistant.audio(), "the greeting is kept")
    await phone.hang_up()
    await phone.closed()
    found = await kept(world, phone.call, legs=1)
    assert found.caller.begins_ms == passed_ms
    assert found.caller.audio() == bytes(phone.sent[passed_ms * 8 :])
    assert found.assistant.audio().replace(SILENCE, b"") == words
    assert heard.caller.blocks == found.caller.blocks


async def test_tracks_flow_while_somebody_asks_and_nothing_is_kept(world, monkeypatch) -> None:
    monkeypatch.setattr(ear_tracks, "LISTEN_S", 1.0)
    assert await provision_recordings(world.bus, days=1, max_bytes=64 * 1024**2)
    phone, agent = await world.placed()
    heard = Heard()
    await heard.follow(world, phone.call)
    await agent.out("ear", from_ms=0)
    reply = await listening(world, phone)
    assert reply["type"] == "listening"
    await phone.talk_until(lambda: len(heard.caller.blocks) >= 2, "the tracks flow")
    assert heard.caller.begins_ms == reply["line_ms"]
    said = heard.caller.audio()
    assert said == bytes(phone.sent[reply["line_ms"] * 8 :][: len(said)])
    # Asked again they go on; no more asked for, they end and may begin anew.
    assert (await listen(world, phone.call))["line_ms"] >= heard.caller.ends_ms
    await phone.talk_until(
        lambda: phone.now_ms > heard.caller.ends_ms + 2000, "they end when nobody asks"
    )
    ended_ms = heard.caller.ends_ms
    reply = await listen(world, phone.call)
    await phone.talk_until(lambda: heard.caller.ends_ms > reply["line_ms"], "they flow again")
    assert reply["line_ms"] > ended_ms
    assert (await kept(world, phone.call)).caller.blocks == []


async def test_a_worker_of_the_past_opens_no_ear(world) -> None:
    phone, old = await world.placed()
    new = await world.agent()
    await new.listen(phone.call, old.leg)
    new.epoch = await new.take(phone.call, old.leg, old.epoch)
    await new.out("item", item_id="new")
    await new.speak(speech(100))
    await phone.talk_until(lambda: phone.ear.heard_ms() > 0, "the new one is heard")
    await old.out("ear", from_ms=0, record=True)
    await phone.talk(300)
    assert (await listen(world, phone.call))["type"] == "not_now"


async def test_only_the_ingress_that_carries_the_call_answers(world, start_world) -> None:
    other = await start_world()
    phone, agent = await world.placed()
    await agent.out("ear", from_ms=0)
    assert (await listening(other, phone))["type"] == "listening"
    with pytest.raises(asyncio.TimeoutError):
        await world.client.request(f"call.{world.new_call()}.listen", b'{"by":"m"}', timeout=0.3)


async def test_a_second_leg_goes_on_in_the_same_recording(world, recording) -> None:
    first, agent, _ = recording
    agent.attaches = "accept"
    await first.talk(400)
    old_leg = agent.leg
    second = await world.call(first.call, previous_leg=old_leg, line_ms=first.now_ms)
    # What is said before the agent came along is in the ring.
    await second.talk_until(lambda: agent.attached and agent.leg > old_leg, "attached")
    await agent.out("ear", from_ms=100, record=True)
    words = speech(400)
    await agent.out("item", item_id="item_9")
    await agent.speak(words)
    await agent.out("done", item_id="item_9")
    await second.talk_until(lambda: any(h["done"] for h in agent.of("heard")), "heard")
    await second.hang_up()
    await second.closed()
    found = await kept(world, first.call, legs=2)
    said = bytes(first.sent + second.sent)
    laid = bytearray(SILENCE * len(said))
    for line_ms, audio in found.caller.blocks:
        laid[line_ms * 8 : line_ms * 8 + len(audio)] = audio
    assert bytes(laid[800:]) == said[800:]
    assert b"".join(a for _, a in found.assistant.blocks).replace(SILENCE, b"") == words


@pytest.fixture
async def own_server(tmp_path):
    server = await NatsServer.start(tmp_path / "nats", 0)
    yield server
    await server.stop()


async def test_a_stream_that_keeps_nothing_harms_no_call(
    own_server, start_world, monkeypatch
) -> None:
    """And what was said when it came back late is there, as far as the queue reaches."""
    monkeypatch.setattr(ear_tracks, "RETRY_S", 0.05)
    world = await start_world(NATS_URL=own_server.url)
    phone, agent = await world.placed()
    lost = metrics.blocks_lost._value.get()
    await agent.out("ear", from_ms=0, record=True)
    await phone.talk_until(
        lambda: metrics.blocks_lost._value.get() >= lost + 2, "blocks are lost and counted"
    )
    words = speech(600)
    await agent.out("item", item_id="item_1")
    await agent.speak(words)
    await agent.out("done", item_id="item_1")
    await phone.talk_until(lambda: any(h["done"] for h in agent.of("heard")), "heard")
    assert phone.ear.audio() == words
    assert await provision_recordings(world.bus, days=1, max_bytes=64 * 1024**2)
    await phone.talk(1000)
    await phone.hang_up()
    await phone.closed()
    async with asyncio.timeout(20):
        while True:
            found = await kept(world, phone.call)
            if found.caller.blocks and found.caller.ends_ms == phone.now_ms:
                break
            await asyncio.sleep(0.05)
    for line_ms, audio in found.caller.blocks:
        assert audio == bytes(phone.sent[line_ms * 8 :][: len(audio)])
    # A block that was on its way when the stream came may stand alone before what was lost.
    whole = -(-phone.now_ms // EAR_MS)
    assert whole - len(found.caller.blocks) == metrics.blocks_lost._value.get() - lost >= 2
    found.assistant.blocks = found.assistant.blocks[-ear_tracks.QUEUE :]
    assert words in found.assistant.audio()
