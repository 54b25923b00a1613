"""The text as heard: an estimate that never invents a word and grows with what was heard."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import ItemId
from protocol.utterance import Utterance

AT = datetime(2026, 11, 23, 9, 15, tzinfo=UTC)
words = st.lists(st.from_regex(r"[a-zé’,.]{1,12}", fullmatch=True), max_size=30)


def spoken(text: str, *, generated_ms: int, heard_ms: int, cut: bool = True) -> Utterance:
    return Utterance(
        ItemId("item_1"),
        "assistant",
        AT,
        text=text,
        done=True,
        generated_ms=generated_ms,
        heard_ms=heard_ms,
        cut=cut,
    )


@given(words, st.integers(-5, 60_000), st.integers(-5, 60_000))
def test_cut_text_is_marked_and_made_of_the_first_whole_words(
    said: list[str], generated_ms: int, heard_ms: int
) -> None:
    text = " ".join(said)
    heard = spoken(text, generated_ms=generated_ms, heard_ms=heard_ms).heard_text()
    assert heard.endswith("…")
    kept = heard.removesuffix("…").split()
    assert kept == said[: len(kept)]


@given(words, st.integers(1, 60_000), st.lists(st.integers(0, 70_000), min_size=2, max_size=2))
def test_hearing_longer_never_shortens_the_text(
    said: list[str], generated_ms: int, points: list[int]
) -> None:
    less, more = (
        spoken(" ".join(said), generated_ms=generated_ms, heard_ms=ms).heard_text().rstrip("…")
        for ms in sorted(points)
    )
    assert more.startswith(less)


@given(st.text(), st.integers(0, 60_000), st.integers(0, 60_000))
def test_what_was_not_cut_is_the_whole_text(text: str, generated_ms: int, heard_ms: int) -> None:
    whole = spoken(text, generated_ms=generated_ms, heard_ms=heard_ms, cut=False)
    assert whole.heard_text() == text


@pytest.mark.parametrize(
    ("heard_ms", "expected"),
    [(0, "…"), (500, "…"), (1000, "one…"), (2000, "one two…"), (4000, "one two three four…")],
)
def test_an_example(heard_ms: int, expected: str) -> None:
    text = "one two three four"
    assert spoken(text, generated_ms=4000, heard_ms=heard_ms).heard_text() == expected
