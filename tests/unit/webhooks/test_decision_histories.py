"""What follows a stream, over random histories of a call."""

from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import Leg
from protocol.line import Intent
from webhooks.decision import (
    FAILED_S,
    ON_ITS_WAY_S,
    OPERATOR,
    RESUMINGS,
    TERMINAL,
    WATCHDOG,
    WINDOW_S,
    Apologise,
    HangUp,
    NewStream,
    Wait,
)

STEPS = st.sampled_from(
    ["rang", "started", "stopped", "old stopped", "resuming", "heard", "ended", "again"]
    + ["resuming watchdog", "resuming operator", "redirecting watchdog", "redirecting hang_up"]
    + [f"closing {intent}" for intent in get_args(Intent)]
)


@given(
    steps=st.lists(STEPS, max_size=14),
    status=st.sampled_from(["in-progress", "", *TERMINAL]),
    data=st.data(),
)
def test_any_history_has_one_sensible_answer(
    new_log: Any, steps: list[str], status: str, data: st.DataObject
) -> None:
    log = new_log()
    legs: list[Leg] = []
    for after_s, step in enumerate(steps):
        leg = legs[-1] if legs else Leg(5)
        match step.split():
            case ["rang"]:
                log.rang()
            case ["started"]:
                legs.append(log.started(after_s, line_ms=after_s * 1_000, previous=leg))
            case ["stopped"]:
                log.stopped(leg, line_ms=data.draw(st.integers(0, 20_000)))
            case ["old", "stopped"]:
                log.stopped(legs[0] if legs else 5, line_ms=99_000)
            case ["resuming", *by]:
                log.resuming(after_s, leg, reason=by[0] if by else "leg lost")
            case ["redirecting", reason]:
                log.redirecting(reason, after_s)
            case ["heard"]:
                log.heard(leg)
            case ["ended"]:
                log.ended()
            case ["again"] if log.entries:
                log.again(data.draw(st.integers(0, len(log.entries) - 1)))
            case ["closing", intent]:
                log.closing(leg, intent)
    decision = log.decided(status=status, after_s=len(steps))
    ended = "ended" in steps
    match decision:
        case HangUp(reason=None):
            assert ended
        case NewStream():
            assert not ended
            assert status not in TERMINAL
            assert decision.previous_leg == legs[-1]
            assert decision.line_ms >= [s for s, x in enumerate(steps) if x == "started"][-1] * 1000
            assert sum(s.startswith("resuming") for s in steps) < RESUMINGS
        case Wait():
            assert not ended
            assert status not in TERMINAL
            moved = [s.split()[0] in ("resuming", "redirecting") for s in steps]
            assert any(moved[-ON_ITS_WAY_S:]), "nothing is on its way"
        case _:
            assert not ended
    if ended:
        assert decision == HangUp(None)


@given(
    losses=st.lists(
        st.tuples(st.sampled_from(["lost", "handoff", "never opened"]), st.integers(0, 30)),
        max_size=40,
    )
)
def test_a_broken_ingress_never_loops(new_log: Any, losses: list[tuple[str, int]]) -> None:
    """However legs end, a call never gets more than RESUMINGS new streams in a window."""
    log = new_log()
    leg, now, offered = log.started(0), 0, []
    for how, lasted in losses:
        now += lasted
        if how == "handoff":
            log.closing(leg, "handoff")
        decision = log.decided(after_s=now)
        if isinstance(decision, Wait):
            assert now - offered[-1] < ON_ITS_WAY_S
            continue
        if not isinstance(decision, NewStream):
            assert decision == Apologise("lost", "lost")
            break
        assert decision.previous_leg == leg
        offered.append(now)
        log.resuming(now, leg)
        if how != "never opened":
            leg = log.started(now, previous=leg, line_ms=decision.line_ms)
    for first in offered:
        assert sum(first <= other < first + WINDOW_S for other in offered) <= RESUMINGS


OFFERS = st.lists(
    st.tuples(
        st.sampled_from(["action", "watchdog", "operator"]),
        st.sampled_from(["opens", "never opens"]),
        st.floats(0, 20, allow_nan=False),
    ),
    max_size=40,
)


@given(offers=OFFERS)
def test_a_leg_never_gets_two_streams_beyond_the_guard(
    new_log: Any, offers: list[tuple[str, str, float]]
) -> None:
    """Whoever asks, in any order and rhythm: of what is offered for one leg there are never more
    than RESUMINGS in a window, and never one beside another that is on its way.
    """
    log = new_log()
    leg, now = log.started(0), 0.0
    given_at: list[tuple[float, Leg]] = []
    by_rest = False

    def on_its_way() -> bool:
        ages = [now - at for at, of in given_at if of == leg]
        answer = len(ages) == 1 and not by_rest
        return bool(ages) and min(ages) < (FAILED_S if answer else ON_ITS_WAY_S)

    for by, what, later in offers:
        now += later
        decision = log.decided(after_s=now)
        match decision:
            case NewStream():
                assert decision.previous_leg == leg
                assert not on_its_way()
                given_at.append((now, leg))
                by_rest = by != "action"
                reasons = {"action": "leg lost", "watchdog": WATCHDOG, "operator": OPERATOR}
                log.resuming(now, leg, reason=reasons[by])
                if what == "opens":
                    leg = log.started(now, previous=leg, line_ms=decision.line_ms)
            case Wait():
                assert on_its_way()
            case other:
                assert other == Apologise("lost", "lost")
                break
    for first, _ in given_at:
        within = [at for at, _ in given_at if first <= at < first + WINDOW_S]
        assert len(within) <= RESUMINGS
