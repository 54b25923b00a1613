"""The ear: both tracks on the line, from what came in and what the ledger proves was heard."""

from collections import deque
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.audio import FRAME_BYTES, FRAME_MS, SILENCE
from protocol.ids import ItemId
from protocol.line import EAR_MS
from stream_ingress.ear import Block, Ear
from stream_ingress.playback import Playback, SendMark

FRAME = FRAME_BYTES


class Line:
    """A leg and its Twilio, frame by frame. What is sent reaches Twilio ``way`` frames later; what
    Twilio sends comes at once, for the line's clock is made of it. Bytes are numbered, so that each
    is known again; none is silence.
    """

    def __init__(self, ear: Ear, *, way: int = 0, echoes: bool = True, begins_ms: int = 0) -> None:
        self.ear, self.playback = ear, Playback()
        self.now_ms = begins_ms
        self.blocks: list[Block] = []
        self.said = bytearray()
        self.heard: list[tuple[int, int]] = []
        """Each byte that Twilio played: its number, and where on the line (bytes)."""
        self.kept: list[int] = []
        """Numbers of the bytes that the ledger counts as heard."""
        self._way, self._echoes = way, echoes
        self._numbers = count()
        self._sent: list[int] = []
        self._cleared = 0
        self._under_way: deque[tuple[int, list[int] | str | None]] = deque()
        self._queue: deque[int | str] = deque()
        self._items = count()
        self._item = ItemId("")
        self._begun = self._frames = 0

    def send(self, size: int) -> None:
        """The agent's audio, of the item that is open."""
        if not self._item:
            self._item = ItemId(f"item_{next(self._items)}")
            self.playback.item(self._item)
        numbers = [next(self._numbers) for _ in range(size)]
        mark = self.playback.audio(size, self.now_ms)
        audio = bytes(n % 251 for n in numbers)
        self.ear.sent.append((self.playback.sent, self.now_ms, audio))
        self._sent += numbers
        self._post(numbers)
        if mark:
            self._post(mark)

    def done(self) -> None:
        if self._item:
            for effect in self.playback.done(self._item):
                if isinstance(effect, SendMark):
                    self.ear.marked(self.now_ms)
                    self._post(effect.name)
            self._item = ItemId("")

    def clear(self) -> None:
        at = self.playback.position(self.now_ms)
        self.ear.cut(at, self.now_ms)
        self.kept += self._sent[self._cleared : at]
        self._cleared = len(self._sent)
        self.playback.clear(self.now_ms)
        self._post(None)
        self._item = ItemId("")

    def frame(self) -> None:
        """20 ms: a frame of the caller comes, and Twilio plays as long."""
        self._frames += 1
        while self._under_way and self._under_way[0][0] < self._frames:
            _, what = self._under_way.popleft()
            if what is None:
                for name in [entry for entry in self._queue if isinstance(entry, str)]:
                    self._echo(name)
                self._queue.clear()
            elif isinstance(what, str):
                self._queue.append(what)
            else:
                self._queue += what
        audio = bytes((len(self.said) + n) % 251 for n in range(FRAME))
        self.said += audio
        place, played = self.now_ms * 8, 0
        if self.ear._laying:
            self.blocks += self.ear.caller(self.now_ms, audio)
        self.now_ms += FRAME_MS
        while self._queue and (played < FRAME or isinstance(self._queue[0], str)):
            entry = self._queue.popleft()
            if isinstance(entry, str):
                self._echo(entry)
            else:
                self.heard.append((entry, place + played))
                played += 1

    def frames(self, number: int) -> None:
        for _ in range(number):
            self.frame()

    def over(self) -> None:
        self.clear()
        self.blocks += self.ear.end()

    def track(self) -> bytes:
        return b"".join(block.assistant for block in self.blocks)

    def _post(self, what: list[int] | str | None) -> None:
        self._under_way.append((self._frames + self._way, what))

    def _echo(self, name: str) -> None:
        if not self._echoes:
            return
        before = self.playback.proven
        self.playback.echo(name, self.now_ms)
        if self.playback.proven > before:
            self.ear.heard(self.playback.proven, self.now_ms)


def listened(**line: int | bool) -> Line:
    ear = Ear()
    made = Line(ear, **line)  # type: ignore[arg-type]
    ear.start(made.now_ms)
    return made


def places(line: Line) -> dict[int, int]:
    """Where on the line the ear laid each byte that the ledger counts as heard."""
    start = line.blocks[0].line_ms * 8
    laid = [start + place for place, byte in enumerate(line.track()) if byte != SILENCE[0]]
    return dict(zip(line.kept, laid, strict=True))


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("frames"), st.integers(1, 40)),
        st.tuples(st.just("send"), st.integers(1, 4000)),
        st.tuples(st.just("done"), st.just(0)),
        st.tuples(st.just("clear"), st.just(0)),
    ),
    max_size=30,
)


def act(line: Line, acts: list[tuple[str, int]]) -> None:
    for what, number in acts:
        if what == "frames":
            line.frames(number)
        elif what == "send":
            line.send(number)
        else:
            getattr(line, what)()
    line.frames(1)
    line.over()


@settings(max_examples=200, deadline=None)
@given(ACTS, st.integers(0, 5), st.booleans())
def test_both_tracks_are_whole_whatever_happens(
    acts: list[tuple[str, int]], way: int, echoes: bool
) -> None:
    line = listened(way=way, echoes=echoes, begins_ms=700)
    act(line, acts)
    next_ms = 700
    for n, block in enumerate(line.blocks):
        assert block.line_ms == next_ms
        assert len(block.caller) == len(block.assistant)
        assert len(block.caller) == EAR_MS * 8 or n == len(line.blocks) - 1
        next_ms += len(block.caller) // 8
    said = b"".join(block.caller for block in line.blocks)
    assert said.rstrip(SILENCE) == bytes(line.said)
    # Every byte that the ledger counts as heard once and in order; nothing of what it does not.
    heard = bytes(byte for byte in line.track() if byte != SILENCE[0])
    assert heard == bytes(n % 251 for n in line.kept)


@settings(max_examples=200, deadline=None)
@given(ACTS)
def test_everything_lies_where_it_was_heard(acts: list[tuple[str, int]]) -> None:
    line = listened()
    act(line, acts)
    laid = places(line)
    for number, place in line.heard:
        if number in laid:
            assert abs(laid[number] - place) <= FRAME, (number, laid[number], place)


@settings(max_examples=100, deadline=None)
@given(ACTS, st.integers(1, 8))
def test_marks_tell_how_long_the_way_to_twilio_is(acts: list[tuple[str, int]], way: int) -> None:
    line = listened(way=way)
    for what, number in acts:
        if what == "frames":
            line.done()  # audio without any mark behind it is laid by estimate after a while
            line.frames(number)
        elif what == "send":
            line.send(number)
    line.done()
    line.frame()
    while not line.playback.played_out:
        line.frame()
    line.over()
    laid = places(line)
    assert set(laid) == {number for number, _ in line.heard}
    for number, place in line.heard:
        assert abs(laid[number] - place) <= FRAME, (number, laid[number], place)


def test_what_is_heard_comes_a_moment_after_its_mark() -> None:
    line = listened()
    for _ in range(15):
        line.send(8 * 200)
    line.done()
    for _ in range(150):
        line.frame()
        behind_ms = line.now_ms - (line.blocks[-1].line_ms + EAR_MS if line.blocks else 0)
        assert behind_ms <= 2 * EAR_MS + FRAME_MS


def test_without_marks_the_estimate_counts_after_a_while() -> None:
    line = listened(echoes=False)
    line.send(8 * 4000)
    line.frames(100)
    assert line.track() == bytes(n % 251 for n in range(8 * 400))
    line.frames(300)
    assert line.track().rstrip(SILENCE) == bytes(n % 251 for n in range(8 * 4000))
    assert line.now_ms - line.blocks[-1].line_ms <= 2 * EAR_MS


def test_a_listener_who_comes_late_hears_the_rest_of_what_was_sent_before() -> None:
    ear = Ear()
    line = Line(ear)
    for _ in range(50):
        line.send(8 * 100)
    line.done()
    for _ in range(50):  # a second is heard by nobody else; the frames are not even looked at
        line.frame()
    assert line.blocks == []
    ear.start(line.now_ms)
    line.frames(100)
    assert line.blocks[0].line_ms == 1000
    assert line.track()[:8000] == bytes(n % 251 for n in range(8000, 16000))


def test_who_listens_again_hears_nothing_of_the_time_between() -> None:
    line = listened()
    for _ in range(10):
        line.send(8 * 200)
    line.frames(20)
    line.ear.stop()
    heard = len(line.blocks)
    line.frames(20)
    assert len(line.blocks) == heard
    line.ear.start(line.now_ms)
    line.frames(40)
    later = line.blocks[heard:]
    assert later[0].line_ms == 800
    assert later[0].assistant == bytes(n % 251 for n in range(6400, 8000))
    assert later[0].caller == bytes(line.said[6400:8000])


def test_tracks_that_are_to_begin_later_do() -> None:
    ear = Ear()
    ear.start(330)
    line = Line(ear)
    line.send(8 * 1000)
    line.frames(60)
    assert line.blocks[0].line_ms == 330
    said = b"".join(block.caller for block in line.blocks)
    assert said == bytes(line.said[330 * 8 :][: len(said)])
    assert line.track()[: 670 * 8] == bytes(n % 251 for n in range(330 * 8, 8000))


def test_a_gap_is_silence_and_a_long_one_is_left_out() -> None:
    line = listened()
    line.frames(5)
    line.now_ms += 500
    line.frames(10)
    line.now_ms += 10_000
    line.frames(11)
    line.blocks += line.ear.end()
    first = [block for block in line.blocks if block.line_ms < 5000]
    assert [len(block.caller) for block in first] == [1600] * 4
    assert b"".join(block.caller for block in first) == (
        bytes(line.said[:800]) + SILENCE * 4000 + bytes(line.said[800:2400])[:1600]
    )
    behind = line.blocks[4:]
    assert behind[0].line_ms == 10_800
    assert [len(block.caller) for block in behind] == [1600, 160]


@pytest.mark.parametrize("laying", [False, True])
def test_memory_is_bounded(laying: bool) -> None:
    ear = Ear()
    if laying:
        ear.start(0)
    for n in range(2000):
        ear.sent.append(((n + 1) * 8000, 0, bytes(8000)))
    ear.heard(0, 0)
    assert ear._waiting_bytes <= 12 * 60 * 8000
    assert sum(len(audio) for _, _, audio in ear._waiting) == ear._waiting_bytes
    for n in range(500):
        ear.caller(n * 20, bytes(160))
    assert len(ear._caller) <= 8 * 4000
