"""The play-out buffer, the ear, the mouth and the wire messages of the simulated Twilio."""

import base64
import json
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from testbed.twilio.ear import Ear
from testbed.twilio.mouth import SILENT_FRAME, Mouth
from testbed.twilio.playout import BUFFER_LIMIT_BYTES, Echo, Playout, Warn
from testbed.twilio.wire import StreamMessages

SID = "MZ" + "0" * 32


def media(audio: bytes) -> str:
    payload = base64.b64encode(audio).decode()
    return json.dumps({"event": "media", "streamSid": SID, "media": {"payload": payload}})


def mark(name: str) -> str:
    return json.dumps({"event": "mark", "streamSid": SID, "mark": {"name": name}})


CLEAR = json.dumps({"event": "clear", "streamSid": SID})


def new() -> tuple[Playout, Ear]:
    ear = Ear()
    return Playout(SID, ear, 0.0), ear


def test_audio_plays_at_eight_bytes_a_millisecond() -> None:
    playout, ear = new()
    assert playout.receive(media(bytes(1600)), 100.0) == []
    playout.advance(150.0)
    assert (ear.heard_ms(), playout.buffered_ms) == (50.0, 150.0)
    playout.advance(1000.0)
    assert [(s.start_ms, s.end_ms) for s in ear.sounds] == [(100.0, 300.0)]


def test_mark_is_echoed_when_everything_before_it_was_played() -> None:
    playout, _ = new()
    playout.receive(media(bytes(800)), 0.0)
    playout.receive(mark("a"), 0.0)
    playout.receive(media(bytes(8)), 0.0)
    playout.receive(mark("b"), 0.0)
    assert playout.advance(99.0) == []
    assert playout.advance(100.0) == [Echo("a")]
    assert playout.advance(101.0) == [Echo("b")]
    assert playout.receive(mark("c"), 102.0) == [Echo("c")]


def test_clear_empties_and_echoes_every_pending_mark() -> None:
    playout, ear = new()
    playout.receive(media(bytes(800)), 0.0)
    playout.receive(mark("a"), 0.0)
    playout.receive(media(bytes(800)), 0.0)
    playout.receive(mark("b"), 0.0)
    assert playout.receive(CLEAR, 30.0) == [Echo("a"), Echo("b")]
    assert playout.advance(500.0) == []
    assert ear.heard_ms() == 30.0
    playout.receive(media(bytes(80)), 500.0)
    playout.advance(600.0)
    assert ear.silences(400) == [(30.0, 500.0)]


def test_close_drops_without_echo() -> None:
    playout, ear = new()
    playout.receive(media(bytes(800)), 0.0)
    playout.receive(mark("a"), 0.0)
    playout.close(40.0)
    assert (ear.heard_ms(), playout.pending_marks, playout.advance(900.0)) == (40.0, [], [])


def test_more_than_ten_minutes_is_dropped_with_one_warning() -> None:
    playout, _ = new()
    assert playout.receive(media(bytes(BUFFER_LIMIT_BYTES)), 0.0) == []
    effects = playout.receive(media(bytes(8)), 0.0)
    assert [(e.code if isinstance(e, Warn) else e) for e in effects] == [31931]
    assert playout.receive(media(bytes(8)), 0.0) == []
    assert playout.buffered_ms == 600_000
    playout.receive(media(bytes(16)), 1.0)
    assert playout.buffered_ms == 600_000


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[]",
        '"x"',
        "{}",
        json.dumps({"event": "media", "streamSid": SID}),
        json.dumps({"event": "media", "streamSid": SID, "media": {}}),
        json.dumps({"event": "media", "streamSid": SID, "media": "x"}),
        json.dumps({"event": "media", "streamSid": SID, "media": {"payload": "*"}}),
        json.dumps({"event": "media", "streamSid": SID, "media": {"payload": 1}}),
        json.dumps({"event": "media", "streamSid": SID, "media": {"payload": "", "track": "o"}}),
        json.dumps({"event": "media", "streamSid": SID, "media": {"payload": ""}, "x": 1}),
        json.dumps({"event": "media", "media": {"payload": ""}}),
        json.dumps({"event": "clear", "streamSid": "MZ1"}),
        json.dumps({"event": "clear", "streamSid": SID, "clear": {}}),
        json.dumps({"event": "mark", "streamSid": SID, "mark": {"name": 5}}),
        json.dumps({"event": "stop", "streamSid": SID}),
        json.dumps({"event": ["media"], "streamSid": SID}),
        json.dumps({"event": "connected"}),
    ],
)
def test_invalid_message_is_ignored_and_warned_of_once(message: str) -> None:
    playout, _ = new()
    [effect] = playout.receive(message, 1.0)
    assert isinstance(effect, Warn)
    assert effect.code == 31951
    assert playout.receive(message, 2.0) == []
    assert [r.code for r in playout.refusals] == [31951, 31951]
    assert playout.receive(mark("alive"), 3.0) == [Echo("alive")]


def test_binary_frame_has_its_own_code() -> None:
    playout, _ = new()
    [effect] = playout.receive(media(b"x").encode(), 0.0)
    assert isinstance(effect, Warn)
    assert effect.code == 31950


class PlayoutMachine(RuleBasedStateMachine):
    """Against a byte-by-byte model in eighths of a millisecond."""

    def __init__(self) -> None:
        super().__init__()
        self.playout, self.ear = new()
        self.now = 0  # eighths of a ms = bytes of line time
        self.model: list[int | str] = []  # byte values and mark names, in order
        self.echoes: list[str] = []
        self.expected: list[str] = []
        self.line: dict[int, int] = {}
        self.value = 0
        self.names = 0

    def perform(self, effects: list[Echo | Warn]) -> None:
        for effect in effects:
            assert isinstance(effect, Echo), effect
            self.echoes.append(effect.name)

    def flush_marks(self) -> None:
        while self.model and isinstance(self.model[0], str):
            self.expected.append(str(self.model.pop(0)))

    @rule(size=st.integers(0, 40))
    def send_media(self, size: int) -> None:
        self.value = (self.value + 1) % 256
        self.perform(self.playout.receive(media(bytes([self.value]) * size), self.now / 8))
        self.model += [self.value] * size

    @rule()
    def send_mark(self) -> None:
        self.names += 1
        self.perform(self.playout.receive(mark(f"m{self.names}"), self.now / 8))
        self.model.append(f"m{self.names}")
        self.flush_marks()

    @rule()
    def send_clear(self) -> None:
        self.perform(self.playout.receive(CLEAR, self.now / 8))
        self.expected += [entry for entry in self.model if isinstance(entry, str)]
        self.model.clear()

    @rule(junk=st.one_of(st.text(max_size=20), st.binary(max_size=20)))
    def send_junk(self, junk: str | bytes) -> None:
        effects = self.playout.receive(junk, self.now / 8)
        assert all(isinstance(effect, Warn) for effect in effects)

    @rule(eighths=st.integers(0, 100))
    def time_passes(self, eighths: int) -> None:
        for _ in range(eighths):
            if self.model:
                self.line[self.now] = int(self.model.pop(0))
            self.now += 1
            self.flush_marks()
        self.perform(self.playout.advance(self.now / 8))

    @invariant()
    def heard_and_echoed_as_the_model_says(self) -> None:
        heard = {
            round(sound.start_ms * 8) + i: byte
            for sound in self.ear.sounds
            for i, byte in enumerate(sound.audio)
        }
        assert heard == self.line
        assert self.echoes == self.expected
        assert self.playout.buffered_ms * 8 == sum(isinstance(e, int) for e in self.model)
        starts = [(s.start_ms, s.end_ms) for s in self.ear.sounds]
        assert all(a[1] <= b[0] for a, b in pairwise(starts))


TestPlayoutMachine = PlayoutMachine.TestCase
TestPlayoutMachine.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)


def test_ear_answers_about_spans() -> None:
    ear = Ear()
    ear.hear(100.0, b"\x01" * 80, SID)
    ear.hear(110.0, b"\x02" * 80, SID)
    ear.hear(320.0, b"\x03" * 160, SID)
    assert (len(ear.sounds), ear.last_heard_ms, ear.heard_ms(115, 330)) == (2, 340.0, 15.0)
    assert ear.audio(115, 325) == b"\x02" * 40 + b"\x03" * 40
    assert ear.silences(150) == [(120.0, 320.0)]
    assert ear.silences(50) == [(0.0, 100.0), (120.0, 320.0)]
    assert ear.silences(50, 330, 500) == [(340.0, 500)]
    assert [(b.start_ms, b.end_ms) for b in ear.bursts(200)] == [(100.0, 340.0)]
    assert len(ear.bursts(199)) == 2
    rendered = ear.rendered(105)
    assert len(rendered) == 235 * 8
    assert rendered[:40] == b"\x01" * 40
    assert set(rendered[120:1720]) == {0xFF}
    assert rendered[-160:] == b"\x03" * 160
    assert ear.rendered(0, 105)[-48:] == b"\xff" * 8 + b"\x01" * 40


def test_mouth_gives_frames_and_tells_when_it_is_done() -> None:
    mouth, done = Mouth(), list[tuple[str, bool]]()
    assert mouth.take() is SILENT_FRAME
    mouth.say(b"a" * 200, lambda ok: done.append(("a", ok)))
    mouth.say(b"b" * 50, lambda ok: done.append(("b", ok)))
    assert (mouth.take(), done) == (b"a" * 160, [])
    assert mouth.take() == b"a" * 40 + b"b" * 50 + b"\xff" * 70
    assert done == [("a", True), ("b", True)]
    mouth.say(b"c" * 200, lambda ok: done.append(("c", ok)))
    mouth.take()
    mouth.fall_silent()
    assert (done[-1], mouth.idle) == (("c", False), True)
    mouth.say(b"d" * 160, lambda ok: done.append(("d", ok)))
    assert mouth.take() == b"d" * 160


def test_messages_have_twilios_types_and_one_counter() -> None:
    messages = StreamMessages("AC1", "CA1", SID, {"token": 'a"b'})
    start = json.loads(messages.start())
    frame = json.loads(messages.media("fn4=", 5))
    key, echo, stop = (
        json.loads(m) for m in (messages.dtmf("7"), messages.mark("x"), messages.stop())
    )
    second = json.loads(messages.media("", 25))
    assert start == {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": SID,
        "start": {
            "streamSid": SID,
            "accountSid": "AC1",
            "callSid": "CA1",
            "tracks": ["inbound"],
            "customParameters": {"token": 'a"b'},
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        },
    }
    assert frame == {
        "event": "media",
        "sequenceNumber": "2",
        "streamSid": SID,
        "media": {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": "fn4="},
    }
    assert key["dtmf"] == {"track": "inbound_track", "digit": "7"}
    assert echo["mark"] == {"name": "x"}
    assert stop["stop"] == {"accountSid": "AC1", "callSid": "CA1"}
    assert [m["sequenceNumber"] for m in (key, echo, stop, second)] == ["3", "4", "5", "6"]
    assert second["media"]["chunk"] == "2"
