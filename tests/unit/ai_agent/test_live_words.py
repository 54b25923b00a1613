"""Words for the screens: not too often, never without the last."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ai_agent.effects import Show
from ai_agent.live_words import EVERY_MS, LiveWords
from protocol.ids import ItemId

MINE, THEIRS = ItemId("mine"), ItemId("theirs")


def words(text, item_id=MINE):
    return Show(item_id, "assistant" if item_id == MINE else "caller", text)


def test_the_first_words_are_shown_at_once_and_more_only_after_a_while():
    live = LiveWords()
    assert live.come(words("a"), 1000) == [words("a")]
    assert live.come(words("a b"), 1000 + EVERY_MS - 1) == []
    assert live.come(words("a b c"), 1000 + EVERY_MS) == [words("a b c")]
    assert live.due(9000) == [], "everything was shown"


def test_what_was_kept_back_is_shown_when_it_is_time_though_nothing_more_comes():
    live = LiveWords()
    live.come(words("a"), 0)
    assert live.come(words("a b"), 10) == []
    assert live.come(words("x", THEIRS), 20) == []
    assert live.due(EVERY_MS - 1) == []
    assert live.due(EVERY_MS) == [words("a b"), words("x", THEIRS)]


def test_the_last_words_of_an_item_are_shown_with_its_end():
    live = LiveWords()
    live.come(words("a"), 0)
    live.come(words("a b"), 10)
    assert live.done(THEIRS, 20) == [], "nothing is kept of it"
    assert live.done(MINE, 20) == [words("a b")]
    assert live.done(MINE, 30) == []
    live.come(words("a b c"), 40)
    assert live.rest() == [words("a b c")]
    assert live.rest() == []


@given(
    st.lists(
        st.tuples(st.integers(0, 150), st.sampled_from([MINE, THEIRS]), st.booleans()), max_size=60
    )
)
def test_every_item_ends_with_its_last_words_and_none_is_shown_too_often(steps):
    live, shown, last = LiveWords(), {}, {}
    now_ms, times = 0, []
    for number, (later_ms, item_id, tick) in enumerate(steps):
        now_ms += later_ms
        if tick:
            found = live.due(now_ms)
        else:
            last[item_id] = words(str(number), item_id)
            found = live.come(last[item_id], now_ms)
        if found:
            times.append(now_ms)
        shown |= {each.item_id: each for each in found}
    shown |= {each.item_id: each for each in live.rest()}
    assert shown == last
    gaps = [after - before for before, after in pairwise(times)]
    assert all(gap >= EVERY_MS for gap in gaps)
