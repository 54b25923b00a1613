"""playback: examples, and a state machine against a simulated player that plays in real time."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from protocol.line import Playhead
from stream_ingress.playback import Finished, Playback, Reached, SendMark

MS = 8


def send(ledger: Playback, ms: int, now_ms: int) -> str | None:
    return ledger.audio(ms * MS, now_ms)


def test_marks_stand_every_200_ms_and_at_the_end() -> None:
    ledger = Playback()
    ledger.item("a")
    assert send(ledger, 100, 0) == ""
    assert send(ledger, 100, 0) == "1"
    assert send(ledger, 150, 0) == ""
    assert ledger.done("a") == [SendMark("2")]
    assert ledger.done("a") == []
    assert ledger.echo("1", 200) == [Reached("a", 200, False)]
    assert ledger.echo("1", 200) == []
    assert not ledger.played_out
    assert ledger.echo("2", 350) == [Reached("a", 350, True), Finished("a", 350, 350, False)]
    assert ledger.played_out


def test_done_after_everything_came_back() -> None:
    ledger = Playback()
    ledger.item("a")
    assert send(ledger, 200, 0) == "1"
    assert ledger.echo("1", 200) == [Reached("a", 200, False)]
    assert ledger.done("a") == [Reached("a", 200, True), Finished("a", 200, 200, False)]


def test_an_item_without_audio_is_heard_at_once() -> None:
    ledger = Playback()
    ledger.item("a")
    assert ledger.done("a") == [Reached("a", 0, True), Finished("a", 0, 0, False)]


def test_items_queue_behind_each_other() -> None:
    ledger = Playback()
    ledger.item("a")
    send(ledger, 500, 0)
    ledger.done("a")
    ledger.item("b")
    send(ledger, 500, 0)
    assert ledger.ledger(400) == (
        Playhead("a", 400, False, 500, True),
        Playhead("b", 0, False, 500, False),
    )
    assert ledger.ledger(700) == (
        Playhead("a", 500, True, 500, True),
        Playhead("b", 200, False, 500, False),
    )
    assert ledger.remaining_ms(700) == 300
    assert ledger.ledger(5000)[1] == Playhead("b", 500, False, 500)  # heard, but more may come


def test_the_playhead_starts_again_after_a_pause() -> None:
    ledger = Playback()
    ledger.item("a")
    send(ledger, 100, 1000)
    send(ledger, 100, 5000)
    assert ledger.ledger(5050) == (Playhead("a", 150, False, 200),)


def test_an_echo_corrects_the_playhead() -> None:
    ledger = Playback()
    ledger.item("a")
    send(ledger, 200, 0)
    send(ledger, 1000, 0)
    assert ledger.echo("1", 320) == [Reached("a", 200, False)]  # it began 120 ms late
    assert ledger.ledger(420) == (Playhead("a", 300, False, 1200),)


def test_echoes_of_a_clear_never_count() -> None:
    ledger = Playback()
    ledger.item("a")
    send(ledger, 400, 0)
    ledger.item("b")
    send(ledger, 400, 0)
    heads, effects = ledger.clear(500)
    assert heads == (Playhead("a", 400, False, 400), Playhead("b", 100, False, 400))
    assert effects == [Finished("a", 400, 400, True), Finished("b", 100, 400, True)]
    assert ledger.echo("1", 500) == []
    assert ledger.echo("2", 500) == []
    assert ledger.played_out
    assert ledger.ledger(600) == ()
    assert ledger.clear(700) == ((), [])


def test_late_audio_of_a_finished_item_is_dropped() -> None:
    ledger = Playback()
    assert send(ledger, 20, 0) is None  # of no item
    ledger.item("a")
    send(ledger, 20, 0)
    ledger.clear(10)
    assert send(ledger, 20, 10) is None
    ledger.item("a")
    assert send(ledger, 20, 10) is None
    assert ledger.remaining_ms(10) == 0
    assert ledger.done("a") == []


def test_done_items_take_no_more_audio() -> None:
    ledger = Playback()
    ledger.item("a")
    send(ledger, 100, 0)
    ledger.done("a")
    assert send(ledger, 20, 0) is None


def test_abandoned_items_end_cut() -> None:
    ledger = Playback()
    ledger.item("a")
    send(ledger, 100, 0)
    assert ledger.abandon() == [SendMark("1")]
    assert ledger.abandon() == []
    assert send(ledger, 20, 0) is None
    assert ledger.echo("1", 100) == [Reached("a", 100, True), Finished("a", 100, 100, True)]


def test_the_end_of_the_leg_reports_every_item_once() -> None:
    ledger = Playback()
    ledger.item("a")
    send(ledger, 300, 0)
    ledger.done("a")
    ledger.item("b")
    send(ledger, 300, 0)
    assert ledger.end(400) == [Finished("a", 300, 300, False), Finished("b", 100, 300, True)]
    assert ledger.end(400) == []


class Player:
    """What a caller hears: one queue, played in real time, marks echoed when reached."""

    def __init__(self) -> None:
        self.queue: list[tuple[str, str, int]] = []  # (audio, item, bytes) or (mark, name, 0)
        self.heard: dict[str, int] = {}

    def play(self, ms: int) -> list[str]:
        left, echoes = ms * MS, []
        while self.queue:
            kind, name, size = self.queue[0]
            if kind == "mark":
                echoes.append(name)
            elif size > left:
                self.heard[name] = self.heard.get(name, 0) + left
                self.queue[0] = (kind, name, size - left)
                return echoes
            else:
                self.heard[name] = self.heard.get(name, 0) + size
                left -= size
            self.queue.pop(0)
        return echoes

    def clear(self) -> list[str]:
        echoes = [name for kind, name, _ in self.queue if kind == "mark"]
        self.queue.clear()
        return echoes


class Ledger(RuleBasedStateMachine):
    """The ledger beside a player; the line's clock has steps of 20 ms."""

    @initialize(late=st.sampled_from([0, 20]))
    def begin(self, late: int) -> None:
        self.late = late  # echoes come this much later than the mark was reached
        self.bound = (40 + late) * MS  # how far a playhead may be from the truth
        self.ledger, self.player = Playback(), Player()
        self.now = 0
        self.count = 0
        self.current = ""
        self.sent: dict[str, int] = {}
        self.done: set[str] = set()
        self.finished: dict[str, Finished] = {}
        self.reached: dict[str, int] = {}
        self.on_the_way: list[tuple[int, str]] = []

    def take(self, effects: list) -> None:
        for effect in effects:
            match effect:
                case SendMark(name):
                    self.player.queue.append(("mark", name, 0))
                case Reached(item, heard_ms, done):
                    assert heard_ms >= self.reached.get(item, 0)
                    assert heard_ms * MS <= self.player.heard.get(item, 0)
                    assert not done or heard_ms == self.sent[item] // MS
                    self.reached[item] = heard_ms
                case Finished():
                    assert effect.item_id not in self.finished, "the last word is said once"
                    assert effect.sent_ms == self.sent[effect.item_id] // MS
                    whole = effect.heard_ms == effect.sent_ms and effect.item_id in self.done
                    assert effect.cut is not whole
                    self.finished[effect.item_id] = effect

    def arrive(self) -> None:
        due = [name for at, name in self.on_the_way if at <= self.now]
        self.on_the_way = [(at, name) for at, name in self.on_the_way if at > self.now]
        for name in due:
            self.take(self.ledger.echo(name, self.now))

    def echo_later(self, names: list[str]) -> None:
        self.on_the_way += [(self.now + self.late, name) for name in names]
        self.arrive()

    @rule()
    def new_item(self) -> None:
        self.count += 1
        self.current = f"item_{self.count}"
        self.sent[self.current] = 0
        self.ledger.item(self.current)

    @property
    def open(self) -> bool:
        return bool(self.current) and self.current not in self.done | self.finished.keys()

    @rule()
    def late_audio(self) -> None:
        if not self.open:
            assert self.ledger.audio(160, self.now) is None

    @rule(sizes=st.lists(st.tuples(st.integers(1, 40), st.sampled_from([0, 0, 1, 79])), min_size=1))
    def audio(self, sizes: list[tuple[int, int]]) -> None:
        if not self.open:
            self.new_item()
        for frames, odd in sizes:
            size = frames * 20 * MS + odd
            mark = self.ledger.audio(size, self.now)
            assert mark is not None
            self.sent[self.current] += size
            self.player.queue.append(("audio", self.current, size))
            if mark:
                self.player.queue.append(("mark", mark, 0))
            self.echo_later(self.player.play(0))

    @rule()
    def item_done(self) -> None:
        if self.open:
            self.done.add(self.current)
            self.take(self.ledger.done(self.current))
            self.echo_later(self.player.play(0))

    @rule(frames=st.integers(1, 30))
    def time_passes(self, frames: int) -> None:
        for _ in range(frames):
            self.now += 20
            self.arrive()
            self.echo_later(self.player.play(20))

    @rule()
    def clear(self) -> None:
        heads, effects = self.ledger.clear(self.now)
        for head in heads:
            truth = self.player.heard.get(head.item_id, 0)
            assert abs(head.heard_ms * MS - truth) < self.bound
        self.take(effects)
        before = dict(self.reached)
        self.on_the_way += [(self.now + self.late, name) for name in self.player.clear()]
        self.arrive()
        assert self.reached == before, "an echo that a clear caused counted"

    @invariant()
    def playheads_are_near_the_truth(self) -> None:
        if not hasattr(self, "ledger"):
            return
        heads = {head.item_id: head for head in self.ledger.ledger(self.now)}
        assert set(heads) == set(self.sent) - set(self.finished)
        for item, head in heads.items():
            assert head.heard_ms * MS <= self.sent[item]
            assert head.sent_ms == self.sent[item] // MS
            assert head.complete is (item in self.done)
            assert abs(head.heard_ms * MS - self.player.heard.get(item, 0)) < self.bound
        left = sum(size for _, _, size in self.player.queue)
        assert abs(self.ledger.remaining_ms(self.now) * MS - left) < self.bound
        heard = sum(self.player.heard.get(item, 0) for item in heads)
        told = sum(head.heard_ms for head in heads.values()) * MS
        assert abs(told - heard) < self.bound + len(heads) * MS


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
