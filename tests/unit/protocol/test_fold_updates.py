"""The fold of what changes a session in mid-call."""

from datetime import UTC, datetime

from protocol import events as e
from protocol.call import fold
from protocol.ids import CallId, EventId, ItemId

CALL = CallId("CA" + "0" * 32)
TOOL = e.OfferedTool("get_tasks", "d", "{}")
OTHER = e.OfferedTool("opening_hours", "d", "{}")


def stamp(n):
    return {
        "id": EventId(f"e{n}"),
        "call_id": CALL,
        "at": datetime(2026, 11, 22, tzinfo=UTC),
        "service": "ai-agent",
        "worker": "w1",
        "epoch": 1,
    }


def opened():
    return e.SessionOpened(
        **stamp(1),
        generation=1,
        session_id="s1",
        model="m",
        profile="p",
        profile_sha256="old",
        instructions="Be brief.",
        voice="marin",
        language="en",
        tools=(TOOL,),
    )


def updated():
    return e.SessionUpdated(
        **stamp(2), by="ops", profile_sha256="new", instructions="Be kind.", tools=(OTHER,)
    )


def test_an_update_replaces_what_a_restore_uses_and_nothing_else() -> None:
    state = fold(CALL, [(1, opened()), (2, updated())])
    assert state.session is not None
    assert (state.session.instructions, state.session.profile_sha256) == ("Be kind.", "new")
    assert state.session.tools == (OTHER,)
    assert (state.session.session_id, state.session.voice, state.session.profile) == (
        "s1",
        "marin",
        "p",
    )
    assert state.session_open


def test_an_update_without_a_session_opens_none() -> None:
    state = fold(CALL, [(1, updated())])
    assert (state.session, state.session_open) == (None, False)


def test_a_resumption_leaves_what_was_cut_as_it_was_heard() -> None:
    cut = e.BargedIn(**stamp(1), item_id=ItemId("a1"), heard_ms=300, line_ms=900)
    on = e.Resumed(**stamp(2), item_id=ItemId("a1"), reason="noise")
    (item,) = fold(CALL, [(1, cut), (2, on)]).utterances
    assert (item.cut, item.heard_ms) == (True, 300)
