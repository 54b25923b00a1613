"""The fold of what operators did to a call."""

from datetime import UTC, datetime

from protocol import events as e
from protocol.call import fold
from protocol.ids import CallId, EventId, WorkerId
from protocol.steered import Aside, Takeover

CALL = CallId("CA" + "0" * 32)


def stamp(n):
    return {
        "id": EventId(f"e{n}"),
        "call_id": CALL,
        "at": datetime(2026, 11, 22, tzinfo=UTC),
        "service": "ai-agent",
        "worker": "w1",
        "epoch": 1,
    }


def taken(n, operator="mira", line_ms=1_000):
    return n, e.TakenOver(**stamp(n), operator=operator, line_ms=line_ms)


def given(n, operator="mira", line_ms=2_000):
    return n, e.GivenBack(**stamp(n), operator=operator, line_ms=line_ms)


def test_whispers_are_kept_in_order():
    said = [(n, e.Whispered(**stamp(n), by="mira", text=f"note {n}")) for n in (3, 5)]
    state = fold(CALL, [*said, said[0]])
    assert state.steered.asides == [Aside("mira", "note 3", 3), Aside("mira", "note 5", 5)]


def test_an_operator_speaks_from_the_takeover_until_it_is_given_back():
    state = fold(CALL, [taken(2)])
    assert (state.operator, state.steered.during(2), state.steered.during(3)) == (
        "mira",
        False,
        True,
    )
    state.apply(*given(7))
    assert state.operator == ""
    assert state.steered.takeovers == [Takeover("mira", 2, 1_000, 7, 2_000)]
    assert [state.steered.during(n) for n in (2, 3, 6, 7, 8)] == [False, True, True, False, False]


def test_a_later_worker_changes_nothing_about_who_speaks():
    assigned = e.Assigned(
        **{k: v for k, v in stamp(4).items() if k != "epoch"}, leg=1, previous_epoch=1
    )
    state = fold(CALL, [taken(2), (4, assigned)])
    assert (state.operator, state.worker) == ("mira", WorkerId("w1"))


def test_one_takeover_ends_where_another_begins_or_not_at_all():
    state = fold(CALL, [taken(2), taken(5, "tom", 3_000), given(9), given(11)])
    assert state.steered.takeovers == [
        Takeover("mira", 2, 1_000, 5, 3_000),
        Takeover("tom", 5, 3_000, 9, 2_000),
    ]
    assert fold(CALL, [given(3)]).steered.takeovers == []
