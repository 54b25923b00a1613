"""Giving a call away: when a successor is asked, offered the call, and given up."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ai_agent.handover import (
    PASSED_OVER_MS,
    PREPARED_FOR_MS,
    TAKEN_WITHIN_MS,
    Ask,
    GoOn,
    Handover,
    Offer,
)
from protocol.ids import Leg, WorkerId

ONE, TWO = WorkerId("one"), WorkerId("two")
LEG, NEXT_LEG = Leg(7), Leg(9)


def ready(worker=ONE, at_ms=0):
    handover = Handover()
    assert handover.on_tick(at_ms, quiet=False, leg=LEG, freest=worker) == [Ask(worker, LEG)]
    handover.answered(worker, at_ms, ready=True)
    return handover


def tick(handover, now_ms, *, quiet=True, leg=LEG, freest=None):
    return handover.on_tick(now_ms, quiet=quiet, leg=leg, freest=freest)


def test_a_call_is_offered_at_the_first_quiet_moment_after_its_successor_is_ready():
    handover = Handover()
    assert tick(handover, 0) == [], "nobody has room"
    assert tick(handover, 50, freest=ONE) == [Ask(ONE, LEG)]
    assert tick(handover, 100, freest=TWO) == [], "one is asked already"
    handover.answered(ONE, 150, ready=True)
    assert tick(handover, 200, quiet=False) == []
    assert not handover.silent
    assert tick(handover, 250) == [Offer(ONE)]
    assert handover.silent
    handover.written(ONE, 300)
    assert tick(handover, 350) == [], "offered once"


def test_a_call_that_nobody_took_goes_on_and_another_worker_is_asked():
    handover = ready()
    assert tick(handover, 0) == [Offer(ONE)]
    handover.written(ONE, 100)
    assert tick(handover, 100 + TAKEN_WITHIN_MS - 1) == []
    now = 100 + TAKEN_WITHIN_MS
    assert tick(handover, now) == [GoOn()]
    assert not handover.silent
    assert handover.passed_over(now) == {ONE}
    assert tick(handover, now, freest=TWO) == [Ask(TWO, LEG)]
    assert handover.passed_over(now + PASSED_OVER_MS) == set()


def test_an_offer_that_the_log_does_not_take_is_given_up_as_well():
    handover = ready()
    tick(handover, 0)
    assert tick(handover, TAKEN_WITHIN_MS) == [GoOn()]
    handover.written(ONE, TAKEN_WITHIN_MS + 10)  # the log came back: too late for this holder
    assert not handover.silent


def test_a_worker_that_could_not_prepare_is_passed_over():
    handover = Handover()
    tick(handover, 0, freest=ONE)
    handover.answered(TWO, 5, ready=True)
    assert tick(handover, 5) == [], "not the one that was asked"
    handover.answered(ONE, 10, ready=False)
    assert handover.passed_over(10) == {ONE}
    assert tick(handover, 10) == []


def test_a_successor_that_hears_an_old_line_is_not_offered_the_call():
    handover = ready()
    assert tick(handover, 10, leg=NEXT_LEG) == []
    assert tick(handover, 20, leg=NEXT_LEG, freest=ONE) == [Ask(ONE, NEXT_LEG)]
    handover.answered(ONE, 30, ready=True)
    assert tick(handover, 40, leg=NEXT_LEG) == [Offer(ONE)]


@given(st.integers(0, 2 * PREPARED_FOR_MS))
def test_a_successor_is_never_offered_a_call_that_it_may_have_let_go(after_ms):
    handover = ready()
    offered = tick(handover, after_ms)
    assert offered == ([Offer(ONE)] if after_ms < PREPARED_FOR_MS else [])


class Draining(RuleBasedStateMachine):
    """The world around one call: workers answer or die, the log acks or not, the line moves, the
    caller speaks or is quiet, in any order.
    """

    def __init__(self):
        super().__init__()
        self.now = 0
        self.leg = LEG
        self.handover = Handover()
        self.asked: Ask | None = None
        self.ready: Ask | None = None
        self.silent_since: int | None = None
        self.written_at: int | None = None
        self.offer: WorkerId | None = None

    def offered_for(self):
        return self.now - (self.silent_since if self.written_at is None else self.written_at)

    @rule(ms=st.sampled_from([1, 50, 400, 1000, 20_000]), quiet=st.booleans(), free=st.booleans())
    def time_passes(self, ms, quiet, free):
        self.now += ms
        passed_over = self.handover.passed_over(self.now)
        freest = next((w for w in (ONE, TWO) if free and w not in passed_over), None)
        for effect in self.handover.on_tick(self.now, quiet=quiet, leg=self.leg, freest=freest):
            match effect:
                case Ask():
                    assert effect.worker == freest
                    assert effect.leg == self.leg
                    assert self.silent_since is None, "nobody is asked while the call is offered"
                    self.asked, self.ready = effect, None
                case Offer():
                    assert quiet
                    assert self.silent_since is None, "offered to one at a time"
                    assert self.ready is not None, "only a worker that is ready is offered the call"
                    assert (effect.worker, self.leg) == (self.ready.worker, self.ready.leg)
                    self.silent_since, self.offer = self.now, effect.worker
                    self.asked = self.ready = self.written_at = None
                case GoOn():
                    assert self.silent_since is not None, "it spoke all the time"
                    assert self.offered_for() >= TAKEN_WITHIN_MS, "the successor had its time"
                    self.silent_since = self.offer = None
        if self.silent_since is not None:
            assert self.offered_for() < TAKEN_WITHIN_MS, "silent for nobody"

    @precondition(lambda self: self.asked is not None)
    @rule(ready=st.booleans())
    def answers(self, ready):
        self.handover.answered(self.asked.worker, self.now, ready=ready)
        self.asked, self.ready = None, self.asked if ready else None

    @precondition(lambda self: self.offer is not None and self.written_at is None)
    @rule()
    def log_has_the_offer(self):
        self.handover.written(self.offer, self.now)
        self.written_at = self.now

    @rule(worker=st.sampled_from([ONE, TWO]), ready=st.booleans())
    def a_stranger_answers(self, worker, ready):
        if self.asked is None or worker != self.asked.worker:
            self.handover.answered(worker, self.now, ready=ready)

    @rule()
    def line_moves(self):
        self.leg = Leg(self.leg + 1)

    @invariant()
    def silence_is_what_was_offered(self):
        assert self.handover.silent == (self.silent_since is not None)


TestDraining = Draining.TestCase
