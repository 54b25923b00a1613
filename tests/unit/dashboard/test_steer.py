"""Steering: forms as commands, what cannot be done now, and the pace of an operator's voice."""

from datetime import UTC, datetime

import pytest

from dashboard.people.operator import Operator
from dashboard.sound.voice import AHEAD, Pace
from dashboard.steer.acts import ACTS, ActName, Unasked, asked, hindrance
from dashboard.steer.panel import panel_of
from protocol.call import CallState, Line
from protocol.commands import (
    TEXT_MAX,
    ChangeMode,
    Command,
    GiveBack,
    HangUp,
    Say,
    Transfer,
    Whisper,
)
from protocol.ids import CallId, Epoch, Leg

CALL = CallId("CA" + "1" * 32)
MIRA = Operator("mira", "operator")


def state(**changes: object) -> CallState:
    """A conversation that a worker holds."""
    facts: dict[str, object] = {
        "phase": "active",
        "mode": "conversation",
        "epoch": Epoch(7),
        "legs": [Line(Leg(3), "MZ", "ingress-1", 0)],
        "started_at": datetime(2026, 11, 22, tzinfo=UTC),
    }
    return CallState(CALL, **(facts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("form", "command"),
    [
        ({"act": "whisper", "text": " they  are\nangry "}, Whisper("mira", "they are angry")),
        ({"act": "say", "text": "One moment."}, Say("mira", "One moment.")),
        ({"act": "hang_up"}, HangUp("mira")),
        ({"act": "hang_up", "when": "after"}, HangUp("mira")),
        ({"act": "hang_up", "when": "now"}, HangUp("mira", now=True)),
        ({"act": "transfer", "to": ""}, Transfer("mira")),
        ({"act": "transfer", "to": "+1 (212) 555-0100"}, Transfer("mira", "+12125550100")),
        ({"act": "change_mode", "mode": "keypad"}, ChangeMode("mira", "keypad")),
        ({"act": "give_back"}, GiveBack("mira")),
    ],
)
def test_a_form_is_a_command_in_its_operators_name(form: dict[str, str], command: Command) -> None:
    assert asked(form, "mira").command == command


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({}, "asks for nothing"),
        ({"act": "take_over"}, "asks for nothing"),
        ({"act": "whisper", "text": " \n"}, "Write what to whisper"),
        ({"act": "say"}, "Write what to have said"),
        ({"act": "say", "text": "x" * (TEXT_MAX + 1)}, "this has 1,001"),
        ({"act": "say", "text": "a\x00b"}, "nobody can say"),
        ({"act": "transfer", "to": "0170 55"}, "with + and the country"),
        ({"act": "transfer", "to": "+1;ext=5"}, "with + and the country"),
        ({"act": "change_mode", "mode": "gate"}, "Choose"),
    ],
)
def test_what_cannot_be_asked_is_said_in_words(form: dict[str, str], words: str) -> None:
    with pytest.raises(Unasked, match=words.replace("+", r"\+")):
        asked(form, "mira")


def test_the_log_gets_no_words_and_no_whole_number() -> None:
    assert asked({"act": "whisper", "text": "secret words"}, "mira").detail == "12 characters"
    assert asked({"act": "say", "text": "secret"}, "mira").detail == "6 characters"
    detail = asked({"act": "transfer", "to": "+12125550100"}, "mira").detail
    assert "2125550" not in detail
    assert detail.endswith("0100")


HINDRANCES: list[tuple[dict[str, object], dict[ActName, str]]] = [
    ({}, {"give_back": "Nobody has taken the call over."}),
    ({"phase": "ended"}, dict.fromkeys(ACTS, "The call is over.")),
    (
        {"phase": "ringing", "legs": []},
        dict.fromkeys(set(ACTS) - {"hang_up"}, "Nobody has answered yet."),
    ),
    (
        {"epoch": Epoch(0)},
        dict.fromkeys(set(ACTS) - {"hang_up", "transfer"}, "No worker holds this call."),
    ),
    (
        {"mode": "gate"},
        dict.fromkeys(
            ("whisper", "say", "change_mode", "take_over"), "The caller stands at the gate."
        )
        | {"give_back": "Nobody has taken the call over."},
    ),
    (
        {"mode": "keypad"},
        {
            "whisper": "The keypad menu is on: no model listens.",
            "give_back": "Nobody has taken the call over.",
        },
    ),
    (
        {"operator": "noor"},
        dict.fromkeys(
            ("say", "change_mode", "take_over", "give_back"), "noor is speaking to the caller."
        ),
    ),
    (
        {"operator": "mira"},
        {
            "say": "You are speaking to the caller yourself.",
            "change_mode": "You are speaking to the caller yourself.",
            "take_over": "You are speaking to the caller already.",
        },
    ),
]


@pytest.mark.parametrize(("changes", "expected"), HINDRANCES)
def test_what_cannot_be_done_now_has_a_reason(
    changes: dict[str, object], expected: dict[ActName, str]
) -> None:
    now = state(**changes)
    assert {act: why for act in ACTS if (why := hindrance(now, act, "mira"))} == expected


def test_viewers_have_no_panel() -> None:
    assert panel_of(state(), Operator("vera", "viewer")) is None
    assert panel_of(state(), None) is None


def test_the_panel_says_each_reason_once_and_who_speaks() -> None:
    panel = panel_of(state(operator="noor"), MIRA)
    assert panel is not None
    assert panel.reasons == ("noor is speaking to the caller.",)
    assert (panel.speaker, panel.mine) == ("noor", False)
    free = panel_of(state(), MIRA)
    assert free is not None
    assert free.reasons == ()


def test_a_voice_passes_at_the_pace_of_the_line_and_a_burst_is_bounded() -> None:
    now = 100.0
    pace = Pace(lambda: now)
    assert [pace.lets() for _ in range(60)].count(True) in {AHEAD, AHEAD + 1}
    for _ in range(200):
        now += 0.02
        assert pace.lets()
    assert not all(pace.lets() for _ in range(3)), "no more than that is made up for"
    now += 60
    assert [pace.lets() for _ in range(60)].count(True) <= AHEAD + 2, "silence saves nothing up"
