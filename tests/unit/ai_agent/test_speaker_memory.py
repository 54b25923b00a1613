"""What names a sentence's audio, how long it is kept, and which provider is asked next."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ai_agent.speaker import rest
from ai_agent.speaker.memory import BRIEFLY_MS, Memory, key
from ai_agent.speaker.rest import Rest
from ai_agent.speaker.sentence import Sentence

HELLO = Sentence("Hello", "marin", "en", personal=False)


def test_a_key_depends_on_everything_that_is_heard() -> None:
    keys = [
        key("a:1", HELLO),
        key("a:2", HELLO),
        key("a:1", Sentence("Hello.", "marin", "en", personal=False)),
        key("a:1", Sentence("Hello", "cedar", "en", personal=False)),
        key("a:1", Sentence("Hello", "marin", "de", personal=False)),
        # Fields must not run into each other.
        key("a:1", Sentence("nHello", "marin", "e", personal=False)),
    ]
    assert len(set(keys)) == len(keys)
    assert key("a:1", HELLO) == keys[0]
    assert all(len(each) == 64 for each in keys)


def test_a_key_does_not_change_between_versions_by_accident() -> None:
    """Other workers and other days must find it: a change of this value is a change of VERSION."""
    assert key("espeak:m3", HELLO) == (
        "96d589214733245869b8b37c3ce9ae11615e8e4b72239b7d81b7f5f818519fdc"
    )


def test_personal_audio_leaves_after_a_minute() -> None:
    memory = Memory()
    memory.put("personal", b"p", 0, briefly=True)
    memory.put("fixed", b"f", 0, briefly=False)
    assert memory.get("personal", BRIEFLY_MS - 1) == b"p"
    assert memory.get("personal", BRIEFLY_MS) is None
    assert memory.get("fixed", 10 * BRIEFLY_MS) == b"f"


def test_personal_audio_leaves_even_if_nobody_asks_for_it() -> None:
    memory = Memory()
    memory.put("personal", b"p" * 10, 0, briefly=True)
    memory.expire(BRIEFLY_MS)
    assert memory.size == 0


def test_the_least_recently_used_leaves_first() -> None:
    memory = Memory(max_bytes=30)
    for name in ("a", "b", "c"):
        memory.put(name, bytes(10), 0, briefly=False)
    memory.get("a", 0)
    memory.put("d", bytes(10), 0, briefly=False)
    assert [memory.get(name, 0) is not None for name in "abcd"] == [True, False, True, True]


@given(
    puts=st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 40), st.booleans(), st.integers(0, 90)),
        max_size=30,
    )
)
def test_memory_never_outgrows_its_bound(puts: list[tuple[str, int, bool, int]]) -> None:
    memory = Memory(max_bytes=100)
    now_ms = 0
    for name, size, briefly, seconds in puts:
        now_ms += seconds * 1_000
        memory.put(name, bytes(size), now_ms, briefly=briefly)
        kept = [memory.get(each, now_ms) for each in "abcd"]
        assert memory.size == sum(len(audio) for audio in kept if audio is not None) <= 100


def test_the_configured_order_holds_while_nobody_failed() -> None:
    assert Rest(["a", "b", "c"]).order(0) == ["a", "b", "c"]


def test_a_permanent_error_switches_off_for_longer_each_time() -> None:
    standing = Rest(["a", "b"])
    now_ms, rests = 0, []
    for _ in range(7):
        rest_ms = standing.failed("a", now_ms, permanent=True)
        rests.append(rest_ms)
        assert standing.order(now_ms + rest_ms - 1) == ["b"]
        now_ms += rest_ms
        assert standing.order(now_ms) == ["a", "b"]
    assert rests[0] == rest.PERMANENT_MS
    assert all(
        later == min(2 * sooner, rest.LONGEST_MS) for sooner, later in itertools.pairwise(rests)
    )
    assert rests[-1] == rest.LONGEST_MS


def test_one_hiccup_is_no_reason_to_rest_two_are() -> None:
    standing = Rest(["a", "b"])
    assert standing.failed("a", 0, permanent=False) == 0
    assert standing.order(0) == ["a", "b"]
    assert standing.failed("a", 0, permanent=False) == rest.PASSING_MS
    assert standing.order(0) == ["b", "a"]  # better a second try than silence
    assert standing.order(rest.PASSING_MS) == ["a", "b"]


def test_a_spoken_sentence_clears_the_slate() -> None:
    standing = Rest(["a"])
    standing.failed("a", 0, permanent=False)
    standing.failed("a", 0, permanent=True)
    standing.spoke("a")
    assert standing.order(0) == ["a"]
    assert standing.failed("a", 0, permanent=False) == 0
    assert standing.failed("a", 0, permanent=True) == rest.PERMANENT_MS
