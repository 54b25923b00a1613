"""The caller's audio in batches: every frame once and in order, nothing before its clock, those of
many calls in one go.
"""

import asyncio

from protocol import codec, line, subjects
from protocol.ids import CallId, Leg
from stream_ingress.line_in import LineIn
from stream_ingress.metrics import Tally
from stream_ingress.pulse import Pulse
from stream_ingress.twilio_messages import DtmfBody, MediaBody
from stream_ingress.uplink import Uplink

LEG = Leg(7)
FRAME = 160


class Bus:
    """Takes everything while `connected`."""

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[tuple[str, object]] = []

    async def publish_audio(self, subject: str, audio: bytes) -> bool:
        if self.connected:
            self.sent.append((subject, audio))
        return self.connected

    async def publish(self, subject: str, message: object) -> None:
        self.sent.append((subject, codec.decode(type(message), codec.encode(message))))

    def kinds(self) -> list[str]:
        return [subject.rpartition(".")[2] for subject, _ in self.sent]

    def audio(self) -> bytes:
        return b"".join(m for s, m in self.sent if s.endswith("audio") and isinstance(m, bytes))


def call(number: int) -> CallId:
    return CallId(f"CA{number:032x}")


def frame(number: int) -> MediaBody:
    return MediaBody(timestamp=20 * number, payload=bytes([number % 256]) * FRAME)


class World:
    """Lines whose batches leave by one pulse."""

    def __init__(self, frames: int, calls: int = 1) -> None:
        self.bus, self.tally, self.pulse = Bus(), Tally(), Pulse()
        self.lines = [
            LineIn(Uplink(self.bus, self.pulse), call(n), 0, self.tally, batch_bytes=frames * FRAME)
            for n in range(calls)
        ]
        self.line = self.lines[0]

    async def beat(self) -> None:
        """Let the pulse do what is due now."""
        running = asyncio.ensure_future(self.pulse.run())
        for _ in range(5):
            await asyncio.sleep(0)
        running.cancel()


async def test_two_frames_leave_as_one_message_behind_the_clock():
    world = World(2)
    world.line.go_live(LEG)
    for number in range(2):
        world.line.audio(frame(number))
    assert world.bus.sent == []
    await world.beat()
    assert world.bus.sent == [
        (subjects.in_clock(call(0), LEG), line.Clock(0)),
        (subjects.in_audio(call(0), LEG), frame(0).payload + frame(1).payload),
    ]


async def test_nothing_is_told_before_an_agent_holds_the_call():
    world = World(2)
    for number in range(4):
        world.line.audio(frame(number))
    world.line.key(DtmfBody(digit="5"))
    await world.beat()
    assert world.bus.sent == []
    world.line.go_live(LEG)
    for number in range(4, 6):
        world.line.audio(frame(number))
    await world.beat()
    assert world.bus.sent[0] == (subjects.in_clock(call(0), LEG), line.Clock(80))
    assert world.bus.audio() == frame(4).payload + frame(5).payload


async def test_a_key_comes_behind_the_audio_before_it():
    world = World(10)
    world.line.go_live(LEG)
    world.line.audio(frame(0))
    world.line.key(DtmfBody(digit="5"))
    world.line.audio(frame(1))
    world.line.end_batch()
    await world.beat()
    assert world.bus.kinds() == ["clock", "audio", "dtmf", "audio"]
    assert world.bus.sent[2][1] == line.Dtmf("5", 20)


async def test_a_gap_is_told_between_what_was_before_and_after_it():
    world = World(10)
    world.line.go_live(LEG)
    world.line.audio(frame(0))
    world.line.audio(frame(5))
    world.line.end_batch()
    await world.beat()
    assert world.bus.kinds() == ["clock", "audio", "clock", "audio"]
    assert world.bus.sent[2][1] == line.Clock(100)
    assert world.tally.gaps == 1


async def test_what_nats_does_not_take_is_counted_by_frames_and_the_clock_is_told_again():
    world = World(3)
    one = world.line
    one.go_live(LEG)
    one.audio(frame(0))
    await world.beat()
    assert world.bus.kinds() == ["clock"]
    world.bus.connected = False
    for number in range(1, 3):
        one.audio(frame(number))
    await world.beat()
    assert (one.dropped, world.tally.dropped_in) == (3, 3)
    world.bus.connected = True
    for number in range(3, 6):
        one.audio(frame(number))
    await world.beat()
    assert world.bus.kinds() == ["clock", "clock", "audio"]
    assert world.bus.sent[1][1] == line.Clock(60)
    assert world.bus.audio() == b"".join(frame(number).payload for number in range(3, 6))


async def test_a_clock_that_nats_did_not_take_is_told_before_the_next_frame():
    world = World(10)
    world.line.go_live(LEG)
    world.bus.connected = False
    world.line.audio(frame(0))
    await world.beat()
    world.bus.connected = True
    world.line.audio(frame(1))
    await world.beat()
    assert (subjects.in_clock(call(0), LEG), line.Clock(20)) in world.bus.sent


async def test_the_time_is_told_each_second_and_cuts_no_batch():
    world = World(3)
    world.line.go_live(LEG)
    for number in range(150):
        world.line.audio(frame(number))
    await world.beat()
    sizes = {len(message) for _, message in world.bus.sent if isinstance(message, bytes)}
    assert sizes == {3 * FRAME}
    clocks = [message.line_ms for _, message in world.bus.sent if isinstance(message, line.Clock)]
    assert clocks == [0, 1020, 2040]


async def test_full_batches_of_many_calls_leave_in_one_go():
    world = World(2, calls=20)
    for each in world.lines:
        each.go_live(LEG)
        each.audio(frame(0))
    await world.beat()
    world.bus.sent.clear()
    for each in world.lines:
        each.audio(frame(1))
    assert world.bus.sent == []
    await world.beat()
    assert world.bus.kinds() == ["audio"] * 20
    assert len({subject for subject, _ in world.bus.sent}) == 20
