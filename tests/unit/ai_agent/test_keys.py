"""Keys in a conversation: what the model is told, and when."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_agent.effects import Record
from ai_agent.key_flood import BURST, KeyFlood
from ai_agent.keys import ALONE_MS, FLOOD, MAX_TYPED, PAUSE_MS, Keys, TellModel
from protocol import line
from protocol.events import KeyPressed
from runtime.assistant import MenuItem

MENU = (MenuItem("1", "today", "get_tasks"), MenuItem("2", "tomorrow", "get_tasks"))


def keys(menu=MENU, *, human=True):
    return Keys(menu, human=human)


def press(typed, text, at=0, gap=200):
    effects = []
    for n, key in enumerate(text):
        effects += typed.on_key(line.Dtmf(key, at + n * gap), at + n * gap)
    return effects


def told(effects):
    return [e.text for e in effects if isinstance(e, TellModel)]


def test_a_menu_key_is_told_by_its_label():
    typed = keys()
    assert told(press(typed, "1")) == []
    assert typed.on_tick(ALONE_MS - 1) == []
    assert told(typed.on_tick(ALONE_MS)) == ["The caller pressed 1: today."]
    assert typed.on_tick(10_000) == []


def test_two_menu_keys_one_after_the_other():
    typed = keys()
    effects = press(typed, "12", gap=1_000)
    assert told(effects) == ["The caller pressed 1: today."]
    assert told(typed.on_tick(1_000 + ALONE_MS)) == ["The caller pressed 2: tomorrow."]


def test_a_menu_key_may_begin_a_number():
    typed = keys()
    press(typed, "1200")
    assert typed.on_tick(600 + PAUSE_MS - 1) == []
    assert told(typed.on_tick(600 + PAUSE_MS)) == ["The caller typed 1200."]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("4711#", ["The caller typed 4711."]),
        ("1#", ["The caller pressed 1: today."]),
        ("0#", ["The caller pressed 0: a person."]),
        ("#", ["The caller pressed #."]),
        ("*#", ["The caller pressed *."]),
        ("47*11#", ["The caller typed 47*11."]),
        ("4A7B#", ["The caller typed 47."]),
        ("47#11#", ["The caller typed 47.", "The caller typed 11."]),
    ],
)
def test_pound_ends_what_is_typed(text, words):
    assert told(press(keys(), text)) == words


def test_without_a_human_zero_is_a_digit():
    typed = keys(human=False)
    press(typed, "0")
    assert typed.on_tick(ALONE_MS) == []
    assert told(typed.on_tick(PAUSE_MS)) == ["The caller typed 0."]


def test_every_key_is_written():
    effects = press(keys(), "47#")
    assert [e.fields for e in effects if isinstance(e, Record) and e.kind is KeyPressed] == [
        {"digit": "4", "line_ms": 0},
        {"digit": "7", "line_ms": 200},
        {"digit": "#", "line_ms": 400},
    ]


def test_what_is_typed_is_bounded_and_says_so():
    typed = keys()
    press(typed, "7" * (MAX_TYPED + 3), gap=500)
    (text,) = told(typed.on_tick(60_000))
    assert text.startswith(f"The caller typed {'7' * MAX_TYPED}.")
    assert "only the first 32" in text


def test_a_flood_is_ignored_with_one_note():
    typed = keys()
    effects = press(typed, "5" * 1_000, gap=1)
    assert told(effects) == [FLOOD]
    assert len([e for e in effects if isinstance(e, Record)]) <= BURST + 4
    assert len(told(typed.on_tick(60_000))) == 1, "what was typed before is not lost"
    assert told(press(typed, "42#", at=90_000)) == ["The caller typed 42."]


def test_what_was_typed_for_somebody_else_is_forgotten():
    typed = keys()
    press(typed, "12")
    typed.forget()
    assert not typed.typing
    assert told(typed.on_tick(60_000)) == []
    assert told(press(typed, "#", at=61_000)) == ["The caller pressed #."]


def test_typing_is_no_moment_to_hand_over():
    typed = keys()
    press(typed, "4")
    assert typed.typing
    typed.on_tick(PAUSE_MS)
    assert not typed.typing


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("0123456789*#A"), st.integers(0, 4_000)), min_size=1, max_size=80
    )
)
def test_every_digit_that_counts_is_told_once_and_in_order(pressed):
    typed, now, counted, said = keys((), human=False), 0, "", []
    for key, gap in pressed:
        now += gap
        effects = typed.on_key(line.Dtmf(key, now), now)
        counted += "".join(e.fields["digit"] for e in effects if isinstance(e, Record))
        said += told(effects)
    said += told(typed.on_tick(now + PAUSE_MS))
    assert not typed.typing
    if any("only the first" in text for text in said):
        return
    heard = "".join(text.split()[3].rstrip(".") for text in said if text != FLOOD)
    assert heard.replace("#", "") == counted.replace("#", "").replace("A", "")


def test_the_bucket_lets_a_human_through_and_refills():
    flood = KeyFlood()
    assert all(flood.take(n * 250) for n in range(400)), "four keys a second, for ever"
    fresh = KeyFlood()
    assert sum(fresh.take(0) for _ in range(100)) == BURST
    assert sum(fresh.take(1_000) for _ in range(100)) == 4
    assert sum(fresh.take(1_000_000) for _ in range(100)) == BURST
