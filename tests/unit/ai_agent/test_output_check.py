"""The output check: rules on growing text, sentences for the moderation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_agent.output_check import OutputCheck
from protocol.ids import ItemId
from runtime import assistant

ITEM, OTHER = ItemId("a1"), ItemId("a2")


def check(*forbidden: str, instead: str = "Let us go on.") -> OutputCheck:
    return OutputCheck(assistant.OutputCheck("rules", forbidden, instead))


def test_a_rule_hits_without_regard_to_case_and_is_named_by_its_place() -> None:
    checked = check("never said", "legal advice")
    assert checked.look(ITEM, "This is Legal ADVICE, of course") == "forbidden[1]"


def test_an_item_hits_once_and_others_still_can() -> None:
    checked = check("guarantee")
    assert checked.look(ITEM, "I guarantee it")
    assert checked.look(ITEM, "I guarantee it, I guarantee it") is None
    assert checked.look(OTHER, "I guarantee it") == "forbidden[0]"


def test_a_word_counts_when_it_has_ended() -> None:
    checked = check(r"\bass\b")
    assert checked.look(ITEM, "the ass") is None
    assert checked.look(ITEM, "the assistant is here") is None
    assert checked.look(OTHER, "the ass", done=True) == "forbidden[0]"


def test_a_greedy_rule_does_not_wait_for_the_end() -> None:
    assert check("guarantee.*").look(ITEM, "I guarantee that it") == "forbidden[0]"


def test_a_rule_spans_pieces() -> None:
    checked = check("legal advice")
    assert checked.look(ITEM, "my legal") is None
    assert checked.look(ITEM, "my legal adv") is None
    assert checked.look(ITEM, "my legal advice is") == "forbidden[0]"


def test_without_rules_nothing_hits() -> None:
    assert check().look(ITEM, "anything at all", done=True) is None


@pytest.mark.parametrize(
    "text", ["Sorry", "sorry, I give no legal", "Sorry, I give no legal advice"]
)
def test_the_safe_sentence_may_name_what_it_refuses(text: str) -> None:
    checked = check("legal", instead="Sorry, I give no legal advice.")
    assert checked.look(ITEM, text, done=True) is None
    assert checked.sentences(ITEM, text, done=True) == []


def test_more_than_the_safe_sentence_is_looked_at() -> None:
    checked = check("legal", instead="Sorry, I give no legal advice.")
    assert checked.look(ITEM, "Sorry, I give no legal advice. But sue them.") == "forbidden[0]"


def test_sentences_come_when_they_ended() -> None:
    checked = check()
    assert checked.sentences(ITEM, "You have two") == []
    assert checked.sentences(ITEM, "You have two todos.") == [], "3. may become 3.5"
    assert checked.sentences(ITEM, "You have two todos. The") == ["You have two todos."]
    assert checked.sentences(ITEM, "You have two todos. The first?! Milk") == ["The first?!"]
    assert checked.sentences(ITEM, "You have two todos. The first?! Milk", done=True) == ["Milk"]
    assert checked.sentences(ITEM, "You have two todos. The first?! Milk", done=True) == []


def test_after_a_hit_nothing_more_is_asked_about() -> None:
    checked = check()
    assert checked.flagged(ITEM) is True
    assert checked.flagged(ITEM) is False
    assert checked.sentences(ITEM, "One. Two. ", done=True) == []
    assert checked.sentences(OTHER, "One. Two. ", done=True) == ["One.", "Two."]


@given(st.lists(st.text(alphabet="ab .!?\n", max_size=6), max_size=12))
def test_every_word_is_asked_about_exactly_once(pieces: list[str]) -> None:
    checked, text, asked = check(instead="zzz"), "", []
    for piece in pieces:
        text += piece
        asked += checked.sentences(ITEM, text)
    asked += checked.sentences(ITEM, text, done=True)
    words = "".join(c for c in text if c.isalpha())
    assert "".join(c for sentence in asked for c in sentence if c.isalpha()) == words


@given(st.text(alphabet="abs gx.", max_size=40), st.lists(st.integers(0, 40), max_size=6))
def test_what_the_whole_text_breaks_is_found_in_any_pieces(text: str, cuts: list[int]) -> None:
    whole, pieces = check(r"\bbag\b", instead="zzz"), check(r"\bbag\b", instead="zzz")
    found = [pieces.look(ITEM, text[:cut]) for cut in sorted(cuts)]
    found.append(pieces.look(ITEM, text, done=True))
    assert any(found) is bool(whole.look(ITEM, text, done=True))
