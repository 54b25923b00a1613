"""Which legs count as lost, and what their calls' logs say is to be done."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import CallId, IngressId, Leg
from protocol.placement import IngressAlive
from protocol.stream_token import LIFETIME_S
from webhooks.decision import OPERATOR, REDIRECT_S, WATCHDOG
from webhooks.lost_legs import (
    CLOSING_MS,
    LATE_MS,
    LONGEST_MS,
    LOST_MS,
    OFFERED_S,
    RANG_MS,
    SETTLE_MS,
    UNOPENED_MS,
    Lost,
    Roll,
    next_step,
    still_open,
)

A, B = CallId("CA" + "a" * 32), CallId("CA" + "b" * 32)
LOOK_MS = 500


def alive(**legs: int) -> IngressAlive:
    calls = {"a": A, "b": B}
    return IngressAlive(
        IngressId("i"), tuple(Leg(n) for n in legs.values()), tuple(calls[c] for c in legs)
    )


class World:
    """A roll that is looked at twice a second, with the heartbeats that come meanwhile."""

    def __init__(self) -> None:
        self.roll = Roll()
        self.now = 0

    def pass_(self, ms: int, *, beats: IngressAlive | None = None, near: bool = True) -> list[Lost]:
        """The legs that were named as lost during this time."""
        found: list[Lost] = []
        for _ in range(ms // LOOK_MS):
            self.now += LOOK_MS
            if beats is not None and self.now % 1_000 == 0:
                self.roll.heartbeat(beats, self.now)
            found += self.roll.look(self.now, near=near)
        return found


def settled(beats: IngressAlive) -> World:
    world = World()
    assert world.pass_(10_000, beats=beats) == []
    return world


def test_a_leg_that_no_heartbeat_names_is_lost_after_a_while() -> None:
    world = settled(alive(a=5, b=6))
    assert world.pass_(LOST_MS - LOOK_MS, beats=alive(b=6)) == []
    (lost,) = world.pass_(LOOK_MS, beats=alive(b=6))
    assert lost == Lost(A, Leg(5), LOST_MS)


def test_an_ingress_that_says_nothing_has_lost_all_its_legs() -> None:
    world = settled(alive(a=5, b=6))
    assert {lost.call for lost in world.pass_(LOST_MS)} == {A, B}


def test_a_leg_that_opened_after_the_last_heartbeat_is_known_from_its_event() -> None:
    world = settled(alive())
    world.roll.seen(A, Leg(9), world.now)
    assert world.pass_(LOST_MS - LOOK_MS) == []
    assert world.pass_(LOOK_MS) == [Lost(A, Leg(9), LOST_MS)]


def test_only_the_newest_leg_of_a_call_counts() -> None:
    world = settled(alive(a=5))
    world.roll.seen(A, Leg(9), world.now)
    lost = world.pass_(LOST_MS, beats=alive(a=5))
    assert [each.leg for each in lost] == [9], "the old ingress still names the old leg"


def test_nothing_is_concluded_while_the_log_is_away_or_was_just_back() -> None:
    world = settled(alive(a=5))
    assert world.pass_(20_000, near=False) == []
    assert world.pass_(10_000, beats=alive(a=5)) == []
    world.pass_(20_000, near=False)
    assert world.pass_(SETTLE_MS + LOST_MS) == []
    assert [lost.leg for lost in world.pass_(LOOK_MS)] == [5]


def test_nothing_is_concluded_from_a_time_in_which_the_connection_was_away() -> None:
    world = settled(alive(a=5))
    assert world.pass_(LOST_MS - LOOK_MS) == []
    world.roll.doubt()
    assert world.pass_(SETTLE_MS + LOST_MS) == [], "though the log answered at every look"
    assert [lost.leg for lost in world.pass_(LOOK_MS)] == [5]


def test_a_process_that_slept_concludes_nothing_from_its_sleep() -> None:
    world = settled(alive(a=5))
    world.now += LATE_MS
    assert world.pass_(SETTLE_MS + LOST_MS) == []
    assert [lost.leg for lost in world.pass_(LOOK_MS)] == [5]


def test_a_call_that_ended_is_not_looked_at() -> None:
    world = settled(alive(a=5))
    world.roll.forget(A)
    assert world.pass_(20_000) == []
    assert len(world.roll) == 0


def test_a_leg_that_was_looked_after_is_named_again_only_later_and_when_it_is_back_never() -> None:
    world = settled(alive(a=5))
    (lost,) = world.pass_(LOST_MS)
    world.roll.postpone(lost, world.now + 3_000)
    assert world.pass_(2_500) == []
    assert world.pass_(500) != []
    world.roll.postpone(lost, world.now + 30_000)
    assert world.pass_(2_000, beats=alive(a=5)) == []
    assert {again.leg for again in world.pass_(LOST_MS)} == {5}, "a new silence is a new loss"


def test_what_is_decided_of_an_old_leg_does_not_touch_a_newer_one() -> None:
    world = settled(alive(a=5))
    (lost,) = world.pass_(LOST_MS)
    world.roll.seen(A, Leg(9), world.now)
    world.roll.postpone(lost, world.now + 60_000)
    world.roll.forget(lost.call, lost.leg)
    assert [each.leg for each in world.pass_(LOST_MS)] == [9]


def test_a_call_that_rang_and_got_no_leg_is_looked_at_after_a_while() -> None:
    world = settled(alive())
    world.roll.rang(A, world.now)
    assert world.pass_(RANG_MS - LOOK_MS) == []
    assert [lost.leg for lost in world.pass_(LOOK_MS)] == [0]


def test_a_heartbeat_of_an_older_ingress_names_no_calls() -> None:
    world = settled(alive())
    world.roll.heartbeat(IngressAlive(IngressId("old"), (Leg(5),)), world.now)
    assert world.pass_(20_000) == []


def test_calls_that_the_log_shows_as_open() -> None:
    started = [(A, Leg(3)), (B, Leg(4)), (A, Leg(7)), (A, Leg(5))]
    assert still_open(started, [B]) == {A: 7}


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["beat", "away", "asleep", "quiet"]), st.integers(1, 8)),
        max_size=20,
    )
)
def test_a_leg_is_never_lost_before_its_silence_was_heard(steps: list[tuple[str, int]]) -> None:
    """However NATS and this process come and go: LOST_MS of silence, heard while all was well."""
    roll, now, silent_well = Roll(), 0, 0
    roll.seen(A, Leg(5), 0)
    for what, times in steps:
        for _ in range(times):
            if what == "asleep":
                now += LATE_MS + 1
                silent_well = 0
            else:
                now += LOOK_MS
            if what == "beat":
                roll.seen(A, Leg(5), now)
            silent_well = 0 if what in ("beat", "away") else silent_well + LOOK_MS
            lost = roll.look(now, near=what != "away")
            if lost:
                assert silent_well >= LOST_MS
                assert what not in ("beat", "away", "asleep")


# -- what is to be done


def step(log: Any, *, silent_ms: int = 3_000, after_s: float = 10, leg: int | None = None) -> str:
    story = log.story
    now = log.t0 + timedelta(seconds=after_s)
    return next_step(story, Lost(A, Leg(leg or story.leg), silent_ms), now)


def test_a_lost_leg_is_acted_on_at_once(log: Any) -> None:
    log.rang()
    leg = log.started()
    assert step(log) == "act"
    log.heard(leg)
    log.stopped(leg)
    assert step(log) == "act"


def test_what_is_over_or_has_a_newer_leg_is_forgotten(log: Any) -> None:
    assert step(log, leg=11) == "forget", "the log knows nothing of it"
    old = log.started()
    log.started(previous=old)
    assert step(log, leg=old) == "forget"
    assert step(log, silent_ms=LONGEST_MS + 1) == "forget"
    log.ended()
    assert step(log) == "forget"


def test_twilio_is_asked_about_a_call_that_never_had_a_stream(log: Any) -> None:
    log.rang()
    assert step(log) == "ask"


@pytest.mark.parametrize("reason", ["leg lost", WATCHDOG, OPERATOR])
def test_an_offered_stream_gets_its_time(log: Any, reason: str) -> None:
    leg = log.started()
    log.resuming(8, leg, reason=reason)
    assert step(log, after_s=8 + OFFERED_S - 0.1) == "ask"
    assert step(log, after_s=8 + OFFERED_S) == "act"


def test_an_offer_for_an_older_leg_says_nothing(log: Any) -> None:
    old = log.started()
    log.resuming(8, old)
    log.started(after_s=9, previous=old)
    assert step(log) == "act"


def test_a_redirect_gets_its_time_and_a_transfer_all_of_it(log: Any) -> None:
    log.started()
    log.redirecting("transfer")  # 5 s into the call
    assert step(log, after_s=5 + REDIRECT_S - 0.1) == "ask"
    assert step(log, after_s=5 + REDIRECT_S) == "act", "twilio refused it, maybe"
    log.transferred()
    assert step(log, after_s=1_000) == "ask"


def test_twilio_may_ask_what_follows_a_closing_before_we_do_it(log: Any) -> None:
    log.closing(log.started(), "hangup")
    assert step(log, silent_ms=CLOSING_MS - 1) == "ask"
    assert step(log, silent_ms=CLOSING_MS) == "act"


def test_a_stream_that_twilio_stopped_is_not_offered_again(log: Any) -> None:
    log.stopped(log.started(), reason="stop")
    assert step(log, silent_ms=100_000) == "ask"


def test_a_stream_that_a_redirect_stopped_is_offered_again_when_no_other_came(log: Any) -> None:
    leg = log.started()
    log.resuming(4, leg, reason=OPERATOR)
    log.redirecting("operator", after_s=4)
    log.stopped(leg, reason="stop")
    assert step(log, after_s=4 + OFFERED_S - 0.1) == "ask"
    assert step(log, after_s=4 + OFFERED_S) == "act"


def test_a_browser_has_a_moment_to_come_back(log: Any) -> None:
    log.rang(channel="browser")
    log.started(channel="browser")
    assert step(log) == "ask"
    assert step(log, silent_ms=CLOSING_MS) == "act"


def test_a_browser_that_was_offered_another_stream_has_time_to_open_it(log: Any) -> None:
    log.rang(channel="browser")
    log.resuming(4, log.started(channel="browser"))
    assert step(log, silent_ms=CLOSING_MS, after_s=4 + OFFERED_S - 0.1) == "ask"
    assert step(log, silent_ms=CLOSING_MS, after_s=4 + OFFERED_S) == "act"


def test_a_browser_call_that_never_got_a_line_ends_once_its_token_is_worthless(log: Any) -> None:
    log.rang(channel="browser")
    assert step(log, silent_ms=LIFETIME_S * 1000) == "ask"
    assert step(log, silent_ms=UNOPENED_MS) == "act"
    assert UNOPENED_MS > LIFETIME_S * 1000
