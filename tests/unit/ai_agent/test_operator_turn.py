"""Whose turn it is to speak: the lease, the items of a voice, and a voice in a rush."""

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ai_agent.operator_turn import (
    AHEAD_MS,
    BACKLOG_MS,
    FRAME_MS,
    GAP_MS,
    ITEM_MS,
    LEASE_MS,
    QUIET_MS,
    EndItem,
    Lapsed,
    OperatorTurn,
    PassOn,
)
from protocol.audio import BYTES_PER_MS
from protocol.ids import ItemId

LOUD = b"\x10" * 160
HUSH = b"\xfe" * 160


def turn():
    numbers = itertools.count(1)
    return OperatorTurn(lambda: ItemId(f"operator:{next(numbers)}"))


def begun(now_ms=0):
    made = turn()
    assert made.take("mira") == "new"
    made.begin(now_ms)
    return made


def test_nobody_is_let_through_before_the_log_has_it():
    made = turn()
    assert made.on_audio(LOUD, 0) == []
    assert made.take("mira") == "new"
    assert made.muted
    assert made.on_audio(LOUD, 10) == []
    made.begin(20)
    assert made.on_audio(LOUD, 30) == [PassOn(ItemId("operator:1"), LOUD)]
    assert made.dropped == 2


def test_one_speaks_at_a_time():
    made = begun()
    assert (made.take("tom"), made.take("mira"), made.operator) == ("taken", "again", "mira")
    made.give_back(0)
    assert made.take("tom") == "new"


def test_a_voice_that_pauses_ends_its_item():
    made = begun()
    made.on_audio(LOUD, 0)
    assert made.on_tick(GAP_MS - 1) == []
    assert made.on_tick(GAP_MS) == [EndItem(ItemId("operator:1"))]
    assert made.on_tick(GAP_MS + 1) == []
    assert made.on_audio(LOUD, GAP_MS + 2) == [PassOn(ItemId("operator:2"), LOUD)]


def test_a_long_speech_is_many_items():
    made = begun()
    effects = [e for now in range(0, 2 * ITEM_MS + 20, 20) for e in made.on_audio(LOUD, now)]
    assert [e.item_id for e in effects if isinstance(e, EndItem)] == ["operator:1", "operator:2"]


def test_silence_of_the_operator_gives_the_call_back_once():
    made = begun()
    made.on_audio(LOUD, 100)
    made.on_tick(100 + GAP_MS)
    assert made.on_tick(99 + LEASE_MS) == []
    assert made.on_tick(100 + LEASE_MS) == [Lapsed("mira")]
    assert not made.muted
    assert made.on_tick(200 + LEASE_MS) == []


def test_a_sign_of_life_keeps_the_lease():
    made = begun()
    assert made.on_audio(b"", LEASE_MS - 1) == []
    assert made.on_tick(LEASE_MS + 1) == []
    assert made.dropped == 0


def test_what_comes_in_a_rush_loses_its_oldest():
    made = begun()
    frames = [bytes([0x10 + n]) * 160 for n in range(100)]
    effects = [e for frame in frames for e in made.on_audio(frame, 0)]
    ahead = AHEAD_MS // 20
    assert [e.audio for e in effects] == frames[:ahead]
    later = [e for now in range(20, 2_000, 20) for e in made.on_tick(now)]
    kept = [e.audio for e in later if isinstance(e, PassOn)]
    assert kept == frames[-(BACKLOG_MS // 20) :]
    assert made.dropped == 100 - ahead - len(kept)


def test_what_came_before_the_end_is_heard():
    made = begun()
    for n in range(15):
        made.on_audio(bytes([n + 1]) * 160, 0)
    effects = made.give_back(0)
    assert [e.audio[0] for e in effects if isinstance(e, PassOn)] == [11, 12, 13, 14, 15]
    assert effects[-1] == EndItem(ItemId("operator:1"))


def test_too_much_at_once_is_no_voice():
    made = begun()
    assert made.on_audio(b"\x10" * ((FRAME_MS + 20) * BYTES_PER_MS), 0) == []
    assert made.dropped == 1


def test_a_pause_is_a_moment_to_hand_the_call_over():
    made = turn()
    made.take("mira")
    assert not made.quiet(10_000)
    made.begin(0)
    made.on_audio(LOUD, 1_000)
    made.on_audio(HUSH, 1_020)
    assert not made.quiet(1_000 + QUIET_MS - 1)
    assert made.quiet(1_000 + QUIET_MS)


def test_another_line_gets_another_item():
    made = begun()
    made.on_audio(LOUD, 0)
    assert made.on_line_moved() == "operator:1"
    assert made.on_line_moved() is None
    assert made.on_audio(LOUD, 20) == [PassOn(ItemId("operator:2"), LOUD)]


class Operators(RuleBasedStateMachine):
    """Operators come, speak, fall silent and go, in any order and at any pace."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = turn()
        self.now = 0
        self.frames = itertools.count(1)
        self.sent: list[bytes] = []
        self.heard: list[bytes] = []
        self.open: str | None = None
        self.ended: list[str] = []
        self.acked = False
        self.came = 0
        self.played_out = 0

    def perform(self, effects, *, tail=False) -> None:
        for effect in effects:
            match effect:
                case PassOn():
                    assert self.acked
                    assert effect.item_id not in self.ended
                    assert self.open in (None, effect.item_id)
                    self.open = effect.item_id
                    self.heard.append(effect.audio)
                    assert tail or self.played_out - self.now < AHEAD_MS
                    self.played_out = max(self.played_out, self.now) + 20
                case EndItem():
                    assert self.open == effect.item_id
                    self.ended.append(effect.item_id)
                    self.open = None
                case Lapsed():
                    assert self.now - self.came >= LEASE_MS
                    self.acked = False

    @rule(by=st.sampled_from(["mira", "tom"]))
    def take(self, by: str) -> None:
        before = self.turn.operator
        verdict = self.turn.take(by)
        assert verdict == ("new" if not before else "again" if before == by else "taken")

    @precondition(lambda self: self.turn.muted)
    @rule()
    def begin(self) -> None:
        self.turn.begin(self.now)
        self.acked, self.came = True, self.now

    @rule()
    def give_back(self) -> None:
        self.perform(self.turn.give_back(self.now), tail=True)
        self.acked = False
        assert not self.turn.muted

    @rule(count=st.integers(1, 60))
    def speak(self, count: int) -> None:
        for _ in range(count):
            frame = next(self.frames).to_bytes(4, "big") * 40
            self.sent.append(frame)
            if self.acked:
                self.came = self.now
            self.perform(self.turn.on_audio(frame, self.now))

    @rule(ms=st.integers(1, LEASE_MS))
    def wait(self, ms: int) -> None:
        for _ in range(0, ms, 50):
            self.now += 50
            self.perform(self.turn.on_tick(self.now), tail=self.now - self.came >= LEASE_MS)

    @rule()
    def move(self) -> None:
        item = self.turn.on_line_moved()
        assert item == self.open
        if item is not None:
            self.ended.append(item)
            self.open = None

    @invariant()
    def a_lease_never_outlasts_its_voice(self) -> None:
        if self.acked:
            assert self.turn.muted
            assert self.now - self.came < LEASE_MS + 50

    @invariant()
    def what_is_heard_was_said_in_that_order_and_once(self) -> None:
        left = iter(self.sent)
        assert all(frame in left for frame in self.heard)

    @invariant()
    def nothing_is_open_while_nobody_speaks(self) -> None:
        assert self.turn.muted or self.open is None
        assert len(set(self.ended)) == len(self.ended)


TestOperators = Operators.TestCase
TestOperators.settings = settings(max_examples=60, stateful_step_count=30)
