"""What the chaos runs conclude from what was heard: words, gaps, voices, effects, the verdict."""

import math

import pytest

from testbed.chaos import voice
from testbed.chaos.heard import ENOUGH_PIECES, HeardWords, Listener, two_voices
from testbed.chaos.judge import (
    CallRecord,
    Effects,
    Strike,
    between_streams,
    effects,
    gap,
    gaps,
    voices,
)
from testbed.chaos.plan import GREETING, GREETING_WORDS, Plan, draw
from testbed.chaos.rows import BY_NAME, ROWS, chosen
from testbed.chaos.run import Outcome
from testbed.chaos.strikes import nothing
from testbed.chaos.table import line, markdown
from testbed.chaos.voice import ASSISTANT, CALLER, Piece
from testbed.twilio.ear import Ear

PLAN = draw(3, 2, 4, within_s=1.0)
CALL = PLAN.calls[0]
ASK_MS = 5_000.0
"""In these conversations a question is asked each five seconds and answered 500 ms later."""


def say(heard: HeardWords, question: int, word: int, at_ms: float, source: int) -> None:
    for index in range(voice.WORD_PIECES):
        piece = Piece(ASSISTANT, heard.call, question, word, index, source)
        heard.hear(at_ms + index * voice.PIECE_MS, piece)


def conversation(call: int = 0, late: dict[tuple[int, int], float] | None = None) -> CallRecord:
    """A whole call; `late`: ms by which a word and those after it in its answer come later."""
    plan = PLAN.calls[call]
    record = CallRecord(plan, HeardWords(call), finished=True, end_reason="caller_hung_up")
    record.asked_ms[GREETING] = 0.0
    for number in range(len(plan.questions) + 1):
        asked_ms = number * ASK_MS
        if number != GREETING:
            record.began_ms[number] = asked_ms - 600
            record.asked_ms[number] = asked_ms
        at_ms = asked_ms + 500
        for word in range(plan.words(number)):
            at_ms += (late or {}).get((number, word), 0.0)
            say(record.heard, number, word, at_ms, source=number + 1)
            at_ms += voice.WORD_MS
    return record


UNDISTURBED = {0: conversation(0), 1: conversation(1)}


def strike(at_ms: float, until_ms: float | None = None) -> Strike:
    return Strike(at_ms, at_ms if until_ms is None else until_ms, "speaking", "speaking")


# -- the plan


def test_a_seed_draws_the_same_conversations_again() -> None:
    assert draw(3, 2, 4, within_s=1.0) == PLAN
    assert draw(4, 2, 4, within_s=1.0) != PLAN


def test_every_call_has_questions_with_a_tool_and_without() -> None:
    for call in draw(1, 20, 8, within_s=5.0).calls:
        with_tool = sum(question.tool for question in call.questions)
        assert 2 <= with_tool <= 3
        assert len(call.effects) == with_tool
        assert 0 <= call.starts_s < 5.0
        assert len(call.owed) == GREETING_WORDS + sum(q.words for q in call.questions)


# -- words


def test_a_word_is_heard_when_most_of_one_utterance_of_it_was() -> None:
    heard = HeardWords(0)
    for index in range(ENOUGH_PIECES - 1):
        heard.hear(100 + index * 20, Piece(ASSISTANT, 0, 1, 0, index, 1))
    for index in range(ENOUGH_PIECES - 1, voice.WORD_PIECES):
        heard.hear(900 + index * 20, Piece(ASSISTANT, 0, 1, 0, index, 2))
    assert heard.at_ms == {}, "two halves of two utterances are no word"
    say(heard, 1, 0, 2_000, source=3)
    assert heard.at_ms == {(1, 0): 2_000}
    say(heard, 1, 0, 3_000, source=4)
    assert heard.at_ms == {(1, 0): 2_000}, "twice is fine, the first time counts"


def test_words_of_another_call_are_foreign() -> None:
    heard = HeardWords(0)
    heard.hear(0, Piece(ASSISTANT, 1, 1, 0, 0, 1))
    heard.hear(20, Piece(CALLER, 0, 1, 0, 0, 1))
    heard.hear(40, Piece(ASSISTANT, voice.NOBODY, 0, 0, 0, 1))
    assert [piece.call for piece in heard.foreign] == [1, 0]


def test_the_ear_is_followed_while_it_grows() -> None:
    ear = Ear()
    listener = Listener(ear)
    audio = voice.word(0, 1, 0, 1) + voice.word(0, 1, 1, 1)
    found: list[tuple[float, Piece]] = []
    for at in range(0, len(audio), 100):
        ear.hear(1_000 + at / 8, audio[at : at + 100], "MZ1")
        found += listener.new()
    ear.hear(9_000, voice.word(0, 1, 2, 1), "MZ2")
    found += listener.new()
    assert [(at, piece.word, piece.piece) for at, piece in found] == [
        *((1_000 + i * 20, i // 10, i % 10) for i in range(20)),
        *((9_000 + i * 20, 2, i) for i in range(10)),
    ]
    assert list(listener.new()) == []


# -- voices


@pytest.mark.parametrize(
    ("sources", "returns"),
    [([], 0), ([1, 1, 2, 2, 3], 0), ([1, 2, 1], 1), ([1, 2, 1, 2], 2), ([4, 3, 2], 0)],
)
def test_an_utterance_that_goes_on_after_another_is_a_second_voice(
    sources: list[int], returns: int
) -> None:
    assert two_voices(sources) == returns


def test_interleaved_words_of_two_workers_are_two_voices() -> None:
    record = conversation()
    assert voices([record]) == 0
    say(record.heard, 4, 0, 30_000, source=100)
    say(record.heard, 4, 1, 30_200, source=101)
    say(record.heard, 4, 1, 30_400, source=100)
    assert voices([record]) == 1


# -- gaps


def test_an_undisturbed_call_has_no_gap() -> None:
    assert gap(conversation(), UNDISTURBED[0], strike(ASK_MS + 700)) == 0


def test_the_gap_is_the_latest_word_of_the_answer_that_was_struck() -> None:
    record = conversation(late={(2, 1): 400.0, (2, 3): 700.0, (3, 0): 9_000.0})
    assert gap(record, UNDISTURBED[0], strike(2 * ASK_MS + 600)) == 1_100


def test_words_heard_before_the_strike_do_not_count() -> None:
    record = conversation(late={(2, 0): 5_00.0})
    last_ms = record.heard.at_ms[(2, CALL.words(2) - 1)]
    assert gap(record, UNDISTURBED[0], strike(last_ms + 1)) == 0


def test_a_strike_between_answers_counts_for_the_next_one() -> None:
    record = conversation(late={(2, 0): 300.0})
    between_ms = ASK_MS + 500 + CALL.words(1) * voice.WORD_MS + 200
    assert gap(record, UNDISTURBED[0], strike(between_ms)) == 300


def test_a_strike_that_lasts_counts_for_every_answer_within() -> None:
    record = conversation(late={(1, 2): 100.0, (3, 2): 800.0})
    assert gap(record, UNDISTURBED[0], strike(ASK_MS, 3 * ASK_MS)) == 800


def test_after_the_last_word_nothing_is_owed() -> None:
    assert gap(conversation(), UNDISTURBED[0], strike(100_000)) is None


def test_a_word_that_never_came_is_a_lost_call_and_no_gap() -> None:
    record = conversation()
    del record.heard.at_ms[(2, 3)]
    record.strikes.append(strike(2 * ASK_MS + 600))
    assert record.missing == [(2, 3)]
    assert record.lost
    assert gap(record, UNDISTURBED[0], record.strikes[0]) == math.inf
    assert gaps([record], UNDISTURBED) == []


def test_a_call_that_ended_early_is_lost() -> None:
    record = conversation()
    assert not record.lost
    record.finished = False
    assert record.lost


# -- effects


def test_effects_are_lost_doubled_or_honestly_failed() -> None:
    found = effects(["a", "b", "c"], ["a", "a"], {"c"}, honest=True)
    assert (found.lost, found.doubled, found.failed) == (["b"], ["a"], ["c"])
    strict = effects(["c"], [], {"c"}, honest=False)
    assert (strict.lost, strict.failed) == (["c"], [])


def test_an_effect_is_owed_once_its_answer_was_begun() -> None:
    record = conversation()
    assert record.effects_owed == CALL.effects
    unheard = CallRecord(CALL, HeardWords(0))
    assert unheard.effects_owed == []


# -- the verdict


def outcome(*records: CallRecord, found: Effects | None = None) -> Outcome:
    for record in records:
        record.strikes.append(strike(2 * ASK_MS + 600))
    return Outcome(list(records), found or Effects([], [], []), 1.0, 2.0)


def problems(name: str, *records: CallRecord, found: Effects | None = None) -> list[str]:
    return line(BY_NAME[name], outcome(*records, found=found), UNDISTURBED).problems


def test_a_good_run_passes_and_is_printed() -> None:
    measured = line(BY_NAME["agent-crash"], outcome(conversation(), conversation(1)), UNDISTURBED)
    assert measured.problems == []
    assert (measured.calls, measured.struck, measured.owing, measured.lost) == (2, 2, 2, 0)
    assert (measured.p50, measured.p95, measured.longest, measured.met) == (0, 0, 0, True)
    assert "| agent killed (SIGKILL) | 2     | 2      | 0    |" in markdown([measured])


def test_the_time_between_two_streams_is_told_beside_how_late_the_callers_were() -> None:
    record, other = conversation(), conversation(1)
    record.log = [
        (0, "stream_started", "ingress-1"),
        (5_000, "stream_closing", "ingress-1"),
        (5_010, "stream_stopped", "ingress-1"),
        (5_100, "resuming", "webhooks"),
        (5_200, "stream_started", "ingress-2"),
        (9_000, "stream_stopped", "ingress-2"),
        (9_600, "stream_started", "ingress-1"),
        (9_900, "stream_stopped", "ingress-1"),
    ]
    assert between_streams(record) == [200, 600]
    assert between_streams(other) == []
    measured = line(BY_NAME["ingress-drain"], outcome(record, other), UNDISTURBED)
    assert measured.notes == {"ms between streams, p50, p95, max": [600, 600, 600]}
    assert measured.late_ms == 2.0
    assert markdown([measured]).splitlines()[-1].endswith("| 0           | 2            |")


def test_a_lost_word_fails_the_run() -> None:
    record = conversation()
    del record.heard.at_ms[(2, 3)]
    assert problems("agent-crash", record) == ["1 calls lost"]
    assert problems("nats-leader", record) == [], "listed apart"


def test_a_lost_or_doubled_effect_fails_the_run() -> None:
    found = Effects(lost=["a"], doubled=["b"], failed=[])
    assert problems("agent-crash", conversation(), found=found) == [
        "1 effects lost",
        "1 effects doubled",
    ]
    assert problems("nats-leader", conversation(), found=found) == ["1 effects doubled"]


def test_two_voices_fail_the_run_wherever() -> None:
    for name in ("agent-freeze", "nats-for-good"):
        record = conversation()
        say(record.heard, 1, 0, 40_000, source=1)
        assert problems(name, record) == ["1 calls heard two voices at once"]


def test_three_times_the_target_fails_the_run() -> None:
    assert problems("agent-crash", conversation(late={(2, 1): 5_900.0})) == []
    (problem,) = problems("agent-crash", conversation(late={(2, 1): 6_100.0}))
    assert problem == "gap p95 6100 ms is over 3 x 2000 ms"
    assert problems("ingress-crash", conversation(late={(2, 1): 60_000.0})) == [], "no target"


def test_a_row_that_struck_nothing_proves_nothing() -> None:
    measured = line(
        BY_NAME["agent-crash"],
        Outcome([conversation()], Effects([], [], []), 1.0, 2.0),
        UNDISTURBED,
    )
    assert measured.problems == ["nothing was struck"]


# -- the rows


def test_rows_are_chosen_by_name() -> None:
    assert chosen("") == ROWS
    assert [row.name for row in chosen("agent-drain, agent-crash")] == [
        "agent-crash",
        "agent-drain",
    ]
    with pytest.raises(KeyError, match="no such row: agent-krash"):
        chosen("agent-krash")


def test_the_targets_are_the_promised_ones() -> None:
    assert {row.name: row.target_ms for row in ROWS if row.target_ms is not None} == {
        "agent-crash": 2_000,
        "agent-freeze": 2_500,
        "agent-cut-off": 2_500,
        "agent-drain": 150,
        "openai-lost": 1_500,
        "ingress-drain": 1_500,
        "webhooks-dies": 150,
        "dashboard-dies": 150,
    }
    assert BY_NAME["nothing"].strike is nothing
    assert isinstance(PLAN, Plan)
