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


async def test_two_frames_leave_as_one_message_behind_the_clock():
    bus, tally = Bus(), Tally()
    pulse = Pulse(2 * FRAME, 0)
    one = LineIn(bus, pulse, call(1), 0, tally)
    one.go_live(LEG)
    for number in range(2):
        await one.audio(frame(number))
    assert bus.kinds() == ["clock"]
    await drained(pulse)
    assert bus.sent[0][1] == line.Clock(0)
    assert bus.sent[1:] == [
        (subjects.in_audio(call(1), LEG), frame(0).payload + frame(1).payload),
    ]


async def test_nothing_is_published_before_an_agent_holds_the_call():
    bus = Bus()
    pulse = Pulse(2 * FRAME, 0)
    one = LineIn(bus, pulse, call(1), 0, Tally())
    for number in range(4):
        await one.audio(frame(number))
    await drained(pulse)
    assert bus.sent == []
    one.go_live(LEG)
    for number in range(4, 6):
        await one.audio(frame(number))
    await drained(pulse)
    assert bus.sent[0] == (subjects.in_clock(call(1), LEG), line.Clock(80))
    assert bus.audio() == frame(4).payload + frame(5).payload


async def test_a_key_comes_behind_the_audio_before_it():
    bus = Bus()
    pulse = Pulse(10 * FRAME, 0)
    one = LineIn(bus, pulse, call(1), 0, Tally())
    one.go_live(LEG)
    await one.audio(frame(0))
    await one.key(DtmfBody(digit="5"))
    assert bus.kinds() == ["clock", "audio", "dtmf"]
    await one.flush()
    assert bus.kinds() == ["clock", "audio", "dtmf"]


async def test_a_gap_is_told_between_what_was_before_and_after_it():
    bus, tally = Bus(), Tally()
    one = LineIn(bus, Pulse(10 * FRAME, 0), call(1), 0, tally)
    one.go_live(LEG)
    await one.audio(frame(0))
    await one.audio(frame(5))
    await one.flush()
    assert bus.kinds() == ["clock", "audio", "clock", "audio"]
    assert bus.sent[2][1] == line.Clock(100)
    assert tally.gaps == 1


async def test_what_nats_does_not_take_is_counted_by_frames_and_the_clock_is_told_again():
    bus, tally = Bus(), Tally()
    pulse = Pulse(3 * FRAME, 0)
    one = LineIn(bus, pulse, call(1), 0, tally)
    one.go_live(LEG)
    await one.audio(frame(0))
    bus.connected = False
    for number in range(1, 3):
        await one.audio(frame(number))
    await drained(pulse)
    assert (one.dropped, tally.dropped_in) == (3, 3)
    bus.connected = True
    for number in range(3, 6):
        await one.audio(frame(number))
    await drained(pulse)
    assert bus.kinds() == ["clock", "clock", "audio"]
    assert bus.sent[1][1] == line.Clock(60)
    assert bus.audio() == b"".join(frame(number).payload for number in range(3, 6))


async def test_full_batches_of_many_calls_leave_in_one_go():
    bus, tally = Bus(), Tally()
    pulse = Pulse(2 * FRAME, 0)
    lines = [LineIn(bus, pulse, call(number), 0, tally) for number in range(20)]
    for each in lines:
        each.go_live(LEG)
        await each.audio(frame(0))
    bus.sent.clear()
    for each in lines:
        await each.audio(frame(1))
    assert bus.sent == []
    await drained(pulse)
    assert bus.kinds() == ["audio"] * 20
    assert len({subject for subject, _ in bus.sent}) == 20


async def drained(pulse: Pulse) -> None:
    """Let the pulse do what is due now."""
    running = asyncio.ensure_future(pulse.run())
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
