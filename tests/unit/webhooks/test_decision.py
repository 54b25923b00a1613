"""What follows a stream, branch by branch."""

from datetime import timedelta
from typing import Any

import pytest

from protocol import events as e
from protocol.ids import EventId
from protocol.line import Intent
from webhooks.decision import (
    FAILED_S,
    ON_ITS_WAY_S,
    OPERATOR,
    REDIRECT_S,
    RESUMINGS,
    TERMINAL,
    WATCHDOG,
    WINDOW_S,
    Apologise,
    Decision,
    HangUp,
    NewStream,
    Wait,
    end_reason,
    resume,
)


def test_a_call_that_has_ended_is_hung_up_and_nothing_is_written(log: Any) -> None:
    log.closing(log.started(), "handoff")
    log.ended()
    assert log.decided() == HangUp(None)
    assert log.decided(status="completed") == HangUp(None)


@pytest.mark.parametrize("status", list(TERMINAL))
def test_a_call_that_twilio_reports_as_over_is_hung_up(log: Any, status: str) -> None:
    log.started()
    reason = "caller_hung_up" if status == "completed" else TERMINAL[status]
    assert log.decided(status=status) == HangUp(reason)


def test_a_stream_that_never_started_is_apologised_for(log: Any) -> None:
    assert log.decided() == Apologise("unavailable", "failed")
    log.rang()
    assert log.decided() == Apologise("unavailable", "failed")


@pytest.mark.parametrize(
    ("intent", "expected"),
    [
        ("hangup", HangUp("assistant_hung_up")),
        ("busy", Apologise("busy", "busy")),
        ("failed", Apologise("unavailable", "failed")),
        ("refused", Apologise("refused", "refused")),
        ("transfer", Apologise("no_transfer", "failed")),
    ],
)
def test_the_intent_of_the_closing_is_done(log: Any, intent: Intent, expected: Decision) -> None:
    leg = log.started()
    log.closing(leg, intent)
    log.stopped(leg, reason="closed")
    assert log.decided() == expected


def test_a_handoff_gets_a_new_stream_where_the_old_one_ended(log: Any) -> None:
    leg = log.started()
    log.closing(leg, "handoff", line_ms=5_000)
    assert log.decided() == NewStream(leg, 5_000, "handoff", 0)
    log.stopped(leg, line_ms=5_040)
    assert log.decided() == NewStream(leg, 5_040, "handoff", 0)


def test_a_lost_leg_is_succeeded_from_where_it_stopped(log: Any) -> None:
    log.rang()
    leg = log.started(line_ms=1_000)
    log.heard(leg)
    log.stopped(leg, line_ms=7_000)
    assert log.decided() == NewStream(leg, 7_000, "leg lost", 0)


def test_a_leg_that_vanished_is_succeeded_at_an_estimate(log: Any) -> None:
    leg = log.started(after_s=1, line_ms=30_000)
    assert log.decided(after_s=10.5) == NewStream(leg, 39_500, "leg lost", 0)
    assert log.decided(after_s=-5) == NewStream(leg, 30_000, "leg lost", 0), "clocks may differ"


def test_a_resuming_is_taken_after_the_last_one(log: Any) -> None:
    leg = log.started()
    last = log.resuming(2, leg)
    second = log.started(after_s=3, previous=leg, line_ms=2_000)
    log.stopped(second, line_ms=9_000)
    assert log.decided() == NewStream(second, 9_000, "leg lost", last)


def test_an_older_leg_that_still_writes_is_not_listened_to(log: Any) -> None:
    old = log.started()
    log.resuming(2, old)
    leg = log.started(after_s=3, previous=old, line_ms=2_000)
    log.closing(old, "hangup")
    log.stopped(old, line_ms=99_000)
    assert log.decided(after_s=4) == NewStream(leg, 3_000, "leg lost", 14)


def test_an_event_resent_under_its_id_counts_once(log: Any) -> None:
    leg = log.started()
    log.closing(leg, "handoff")
    log.resuming(2, leg)
    second = log.started(after_s=3, previous=leg)
    log.again(0)
    log.again(1)
    assert log.story.leg == second
    assert log.story.closing is None
    log.again(2)
    assert len(log.story.resumings) == 1


@pytest.mark.parametrize("closing", [None, "handoff"])
def test_no_more_resumings_a_minute_than_allowed(log: Any, closing: Intent | None) -> None:
    leg = log.started()
    if closing is not None:
        log.closing(leg, closing)
    for n in range(RESUMINGS):
        assert isinstance(log.decided(after_s=n * ON_ITS_WAY_S), NewStream)
        last = log.resuming(n * ON_ITS_WAY_S, leg)
    assert log.decided(after_s=RESUMINGS * ON_ITS_WAY_S) == Apologise("lost", "lost")
    assert log.decided(after_s=WINDOW_S - 0.1) == Apologise("lost", "lost")
    later = log.decided(after_s=WINDOW_S)
    assert isinstance(later, NewStream), "the oldest is a minute old"
    assert later.expected == last


def test_a_request_repeated_by_twilio_takes_nothing_again(log: Any) -> None:
    leg = log.started()
    log.stopped(leg)
    for n in range(RESUMINGS - 1):
        log.resuming(n, leg)
    log.resuming(RESUMINGS, leg, id="this-request")
    assert log.decided(after_s=5) == NewStream(leg, 5_100, "leg lost", None)


@pytest.mark.parametrize("reason", [WATCHDOG, OPERATOR])
@pytest.mark.parametrize("closing", [None, "handoff"])
def test_no_second_stream_is_offered_while_one_is_on_its_way(
    log: Any, reason: str, closing: Intent | None
) -> None:
    leg = log.started()
    if closing is not None:
        log.closing(leg, closing)
    last = log.resuming(20, leg, reason=reason)
    assert log.decided(after_s=20 + ON_ITS_WAY_S - 0.1) == Wait()
    later = log.decided(after_s=20 + ON_ITS_WAY_S)
    assert isinstance(later, NewStream), "it did not come"
    assert (later.previous_leg, later.expected) == (leg, last)


@pytest.mark.parametrize("closing", [None, "handoff"])
def test_the_first_answer_that_failed_is_given_again_at_once(
    log: Any, closing: Intent | None
) -> None:
    leg = log.started()
    if closing is not None:
        log.closing(leg, closing)
    first = log.resuming(20, leg)
    assert log.decided(after_s=20 + FAILED_S - 0.1) == Wait(), "one request, come twice"
    again = log.decided(after_s=20 + FAILED_S)
    assert isinstance(again, NewStream)
    assert (again.previous_leg, again.expected) == (leg, first)
    second = log.resuming(21, leg)
    assert log.decided(after_s=21 + ON_ITS_WAY_S - 0.1) == Wait(), "nobody takes it now"
    third = log.decided(after_s=21 + ON_ITS_WAY_S)
    assert isinstance(third, NewStream)
    assert third.expected == second


def test_an_answer_that_failed_does_not_overtake_a_hang_up_by_rest(log: Any) -> None:
    log.resuming(20, log.started())
    log.redirecting("hang_up", after_s=20.2)
    assert log.decided(after_s=20.5) == Wait()


def test_what_was_offered_is_not_over_because_an_operator_asks(log: Any) -> None:
    leg = log.started()
    log.resuming(20, leg)
    request, now = EventId("an-operator"), log.t0 + timedelta(seconds=21)
    assert resume(log.story, log.story.started, "redirect", request, now) == Wait()


def test_a_redirect_that_reached_its_leg_is_not_waited_for(log: Any) -> None:
    leg = log.started()
    log.resuming(20, leg, reason=WATCHDOG)
    second = log.started(after_s=20.5, previous=leg, line_ms=19_500)
    log.stopped(second, line_ms=21_000)
    assert log.decided(after_s=21) == NewStream(second, 21_000, "leg lost", 14)


def test_a_hang_up_by_rest_is_not_overtaken_by_a_new_stream(log: Any) -> None:
    log.started()
    log.redirecting("hang_up", after_s=9)
    assert log.decided(after_s=9.5) == Wait()
    assert isinstance(log.decided(after_s=9 + ON_ITS_WAY_S), NewStream), "it was refused"


def test_a_new_leg_never_begins_before_what_was_heard_or_said(log: Any) -> None:
    leg = log.started(after_s=1)
    log.turn(60_000)
    assert log.decided(after_s=11) == NewStream(leg, 60_000, "leg lost", 0), "our clock is behind"
    log.stopped(leg, line_ms=61_000)
    assert log.decided(after_s=11) == NewStream(leg, 61_000, "leg lost", 0)


def test_a_call_whose_lost_leg_had_no_successor_was_lost(log: Any) -> None:
    leg = log.started()
    log.resuming(2, leg)
    assert end_reason("completed", log.story) == "lost"
    log.started(after_s=3, previous=leg)
    assert end_reason("completed", log.story) == "caller_hung_up"


def test_a_redirect_that_twilio_refused_says_nothing_of_a_later_end(log: Any) -> None:
    leg = log.started()
    log.resuming(-REDIRECT_S, leg, reason=OPERATOR)
    log.stopped(leg, reason="stop")  # 6 s into the call
    assert end_reason("completed", log.story) == "caller_hung_up"
    log.resuming(5, leg, reason=OPERATOR)
    assert end_reason("completed", log.story) == "lost", "the redirect stopped it"


@pytest.mark.parametrize(
    ("intent", "reason"),
    [
        ("hangup", "assistant_hung_up"),
        ("transfer", "transferred"),
        ("busy", "busy"),
        ("failed", "failed"),
        ("refused", "refused"),
        ("handoff", "caller_hung_up"),
        (None, "caller_hung_up"),
    ],
)
def test_why_a_completed_call_ended(log: Any, intent: Intent | None, reason: e.EndReason) -> None:
    leg = log.started()
    if intent is not None:
        log.closing(leg, intent)
    assert end_reason("completed", log.story) == reason


def test_a_completed_call_without_a_stream_is_just_completed(log: Any) -> None:
    assert end_reason("completed", log.story) == "completed"


@pytest.mark.parametrize(
    ("status", "reason"),
    [("busy", "busy"), ("no-answer", "no_answer"), ("failed", "failed"), ("canceled", "canceled")],
)
def test_other_final_statuses_speak_for_themselves(
    log: Any, status: str, reason: e.EndReason
) -> None:
    log.closing(log.started(), "hangup")
    assert end_reason(status, log.story) == reason
