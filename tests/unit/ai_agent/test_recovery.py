"""A conversation that begins where another session ended, and one whose line lost what was said."""

from datetime import UTC, datetime

import pytest

from ai_agent.conversation import Conversation
from ai_agent.effects import ClearPlayback, Close, GiveUp, Record, Reopen, Tell
from ai_agent.patience import (
    ANSWER_MS,
    LOST_MS,
    LOUD_MS,
    PROBE_AFTER_MS,
    PROBE_EVERY_MS,
    Patience,
)
from ai_agent.playheads import Playheads
from ai_agent.realtime import events as rt
from ai_agent.recovery import CLEARED_WITHIN_MS, GOODBYE
from ai_agent.restore import Called, CutOff, Restored, Words
from protocol import line
from protocol.call import ToolUse
from protocol.events import BargedIn, ResponseTimed, Resumed, Said
from protocol.ids import EventId, ItemId, ToolCallId
from protocol.line import Playhead

AUDIO = b"\x20" * 1_600  # 200 ms
ITEM, CALL = ItemId("a0"), ToolCallId("call_1")
SAID = Words(ITEM, "assistant", "one two three four")
AT = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def talk():
    return Conversation(model="m", transcription_model="t", silence_ms=500)


def begin(talk, *told, ledger=(), in_words=False, **fields):
    found = Restored(told=told, **fields)
    return talk.begin(found, ledger, 0, greeting="Greet.", in_words=in_words)


def commands(effects, kind):
    return [e.command for e in effects if isinstance(e, Tell) and e.command["type"] == kind]


def asked(effects):
    return [c["response"].get("instructions") for c in commands(effects, "response.create")]


def records(effects, kind):
    return [e.fields for e in effects if isinstance(e, Record) and e.kind is kind]


def say(talk, item="a1", response="r1", *, done=True):
    effects = [*talk.on_event(rt.ResponseCreated(rt.Response(response)), 0)]
    effects += talk.on_event(rt.OutputItemAdded(response, rt.Item(item, "message")), 0)
    effects += talk.on_event(rt.AudioDelta(response, item, AUDIO), 0)
    effects += talk.on_event(rt.TranscriptDelta(response, item, "one two three four"), 0)
    if done:
        effects += talk.on_event(rt.ResponseDone(rt.Response(response, "completed")), 0)
    return effects


@pytest.mark.parametrize(
    ("owed", "expected"),
    [
        ("greet", ["Greet."]),
        ("answer", [None]),
        ("go_on", [None]),
        ("hear", []),
        ("nothing", []),
    ],
)
def test_what_is_owed_is_asked_for(talk, owed, expected):
    assert asked(begin(talk, SAID, owed=owed)) == expected


def test_going_on_stands_in_the_log(talk):
    effects = begin(talk, SAID, CutOff(), owed="go_on")
    assert records(effects, Resumed) == [{"item_id": ITEM, "reason": "loss"}]
    assert records(begin(talk, CutOff(), owed="go_on"), Resumed) == []


def test_an_answer_to_replayed_audio_that_does_not_come_is_asked_for(talk):
    begin(talk, owed="hear")
    assert talk.waits
    assert asked(talk.on_tick(3_900)) == []
    assert asked(talk.on_tick(4_000)) == [None]


def test_the_answer_to_an_open_tool_call_comes_after_its_result(talk):
    use = ToolUse(EventId("k"), CALL, ItemId("f"), "get_tasks", "{}", AT)
    effects = begin(talk, Called(use), ask=(use,))
    assert [c["item"]["type"] for c in commands(effects, "conversation.item.create")] == [
        "function_call"
    ]
    assert asked(effects) == []
    assert not talk.quiet
    assert asked(talk.on_tool_output(CALL, "{}")) == [None]


@pytest.mark.parametrize("owed", ["nothing", "answer"])
def test_a_call_that_was_about_to_end_is_ended(talk, owed):
    effects = begin(talk, SAID, owed=owed, closing="hangup")
    if owed == "answer":
        assert asked(effects) == [GOODBYE]
        assert not any(isinstance(e, Close) for e in effects)
        effects = say(talk)
    assert [e for e in effects if isinstance(e, Close)] == [Close("hangup")]


def test_speech_into_an_item_of_an_earlier_session_shortens_its_text(talk):
    begin(talk, SAID, ledger=(Playhead(ITEM, 200, False, sent_ms=1000, complete=True),))
    assert not talk.quiet
    effects = talk.on_event(rt.SpeechStarted(0, "u1"), 0)
    assert [e.n for e in effects if isinstance(e, ClearPlayback)] == [1]
    effects = talk.on_cleared(line.Cleared(1, 0, (Playhead(ITEM, 500, False),)))
    assert [c["item_id"] for c in commands(effects, "conversation.item.delete")] == [ITEM]
    (again,) = commands(effects, "conversation.item.create")
    assert again["item"]["content"] == [{"type": "output_text", "text": "one two…"}]
    assert records(effects, BargedIn)[0]["heard_ms"] == 500


def test_an_item_that_the_model_does_not_know_is_cut_without_telling_it(talk):
    begin(talk, ledger=(Playhead(ITEM, 0, False, sent_ms=1000),))
    talk.on_event(rt.SpeechStarted(0, "u1"), 0)
    effects = talk.on_cleared(line.Cleared(1, 0, (Playhead(ITEM, 500, False),)))
    assert [type(e) for e in effects] == [Record]


def test_what_was_heard_to_its_end_is_nothing_to_wait_for(talk):
    begin(talk, SAID, ledger=(Playhead(ITEM, 1000, True, sent_ms=1000, complete=True),))
    assert talk.quiet


# -- the line


def test_what_the_line_lost_is_gone_on_with(talk):
    say(talk)
    effects = talk.on_line_lost((Playhead(ItemId("a1"), 100, False, sent_ms=200),), 0)
    assert commands(effects, "conversation.item.truncate")[0]["audio_end_ms"] == 100
    assert records(effects, Resumed) == [{"item_id": "a1", "reason": "line"}]
    assert records(effects, BargedIn) == [], "the caller did nothing"
    assert asked(effects) == [None]


def test_an_answer_under_way_is_stopped_first(talk):
    say(talk, done=False)
    effects = talk.on_line_lost((Playhead(ItemId("a1"), 0, False),), 0)
    assert commands(effects, "response.cancel")
    assert asked(effects) == [], "one response at a time"
    assert talk.on_event(rt.AudioDelta("r1", "a1", AUDIO), 1) == []
    effects = talk.on_event(rt.ResponseDone(rt.Response("r1", "cancelled")), 2)
    assert asked(effects) == [None]


def test_a_line_that_knows_is_asked_where_it_stopped(talk):
    say(talk)
    effects = talk.on_line_lost((), 0)
    (clear,) = [e for e in effects if isinstance(e, ClearPlayback)]
    assert asked(effects) == []
    effects = talk.on_cleared(line.Cleared(clear.n, 0, (Playhead(ItemId("a1"), 150, False),)))
    assert commands(effects, "conversation.item.truncate")[0]["audio_end_ms"] == 150
    assert records(effects, Resumed)[0]["reason"] == "line"
    assert asked(effects) == [None]
    assert asked(talk.on_tick(CLEARED_WITHIN_MS)) == []


def test_one_that_does_not_answer_heard_no_more_than_it_told(talk):
    say(talk)
    talk.on_heard(line.Heard(ItemId("a1"), 60, False, 60))
    talk.on_line_lost((), 0)
    assert talk.on_tick(CLEARED_WITHIN_MS - 1) == []
    effects = talk.on_tick(CLEARED_WITHIN_MS)
    assert commands(effects, "conversation.item.truncate")[0]["audio_end_ms"] == 60
    assert asked(effects) == [None]


def test_a_line_with_nothing_to_lose_loses_nothing(talk):
    say(talk)
    talk.on_heard(line.Heard(ItemId("a1"), 200, True, 200))
    assert talk.on_line_lost((), 0) == []


def asked_to_clear(effects):
    return [e.n for e in effects if isinstance(e, ClearPlayback)]


def answers(talk, response="r2"):
    """The model begins to answer; no sound yet."""
    talk.on_event(rt.ResponseCreated(rt.Response(response)), 0)


def sounds(talk, response="r2", item="a2"):
    """Whether the answer's audio is for the caller's ear."""
    talk.on_event(rt.OutputItemAdded(response, rt.Item(item, "message")), 0)
    return bool(talk.on_event(rt.AudioDelta(response, item, AUDIO), 0))


def test_a_caller_who_speaks_before_the_line_answered_gets_an_answer(talk):
    say(talk)
    (asked_at,) = asked_to_clear(talk.on_line_lost((), 0))
    (again,) = asked_to_clear(talk.on_event(rt.SpeechStarted(0, "u1"), 0))
    # The first question reached nobody.
    effects = talk.on_cleared(line.Cleared(again, 0, (Playhead(ItemId("a1"), 150, False),)))
    assert records(effects, BargedIn)[0]["heard_ms"] == 150
    assert again > asked_at
    talk.on_event(rt.SpeechStopped(500, "u1"), 0)
    talk.on_event(rt.Committed("u1"), 0)
    answers(talk)
    assert talk.on_tick(CLEARED_WITHIN_MS) == []
    assert sounds(talk)


def test_a_line_that_answers_after_the_caller_spoke_tells_where_they_cut_it(talk):
    say(talk)
    (asked_at,) = asked_to_clear(talk.on_line_lost((), 0))
    talk.on_event(rt.SpeechStarted(0, "u1"), 0)
    effects = talk.on_cleared(line.Cleared(asked_at, 0, (Playhead(ItemId("a1"), 150, False),)))
    assert records(effects, BargedIn)[0]["heard_ms"] == 150
    assert asked(effects) == [], "the caller's turn is answered, nothing gone on with"


def test_a_line_that_is_asked_twice_may_answer_either_question(talk):
    say(talk)
    (first,) = asked_to_clear(talk.on_line_lost((), 0))
    (second,) = asked_to_clear(talk.on_line_lost((), 100))
    effects = talk.on_cleared(line.Cleared(first, 0, (Playhead(ItemId("a1"), 150, False),)))
    assert records(effects, Resumed)[0]["reason"] == "line"
    assert asked(effects) == [None]
    assert talk.on_cleared(line.Cleared(second, 0, ())) == []
    assert talk.on_tick(CLEARED_WITHIN_MS + 100) == []


@pytest.mark.parametrize("knows", [True, False], ids=["another line", "the same line"])
def test_what_the_caller_spoke_over_is_not_gone_on_with(talk, knows):
    say(talk)
    assert asked_to_clear(talk.on_event(rt.SpeechStarted(0, "u1"), 0))
    stood = (Playhead(ItemId("a1"), 150, False, sent_ms=200),)
    effects = talk.on_line_lost(stood if knows else (), 0)
    effects += [] if knows else talk.on_cleared(line.Cleared(*asked_to_clear(effects), 0, stood))
    assert commands(effects, "conversation.item.truncate")[0]["audio_end_ms"] == 150
    assert records(effects, Resumed) == []
    assert asked(effects) == [], "the model answers the caller"
    talk.on_event(rt.SpeechStopped(500, "u1"), 0)
    talk.on_event(rt.Committed("u1"), 0)
    answers(talk)
    assert sounds(talk)
    effects = talk.on_line_lost((Playhead(ItemId("a2"), 0, False, sent_ms=200),), 0)
    assert records(effects, Resumed)[0]["item_id"] == "a2", "the answer is"


def test_what_is_told_twice_happened_once(talk):
    """After an absence of NATS the line tells its last words again."""
    say(talk)
    (n,) = asked_to_clear(talk.on_event(rt.SpeechStarted(0, "u1"), 0))
    cleared = line.Cleared(n, 400, (Playhead(ItemId("a1"), 150, False),))
    assert records(talk.on_cleared(cleared), BargedIn)
    talk.on_event(rt.SpeechStopped(500, "u1"), 0)
    talk.on_event(rt.Committed("u1"), 0)
    assert talk.on_cleared(cleared) == []
    assert talk.on_heard(line.Heard(ItemId("a1"), 150, False, 2_000)) == [], "no answer to the turn"
    answers(talk)
    assert sounds(talk)
    (timed,) = records(talk.on_heard(line.Heard(ItemId("a2"), 60, False, 1_200)), ResponseTimed)
    assert timed["item_id"] == "a2"


def test_an_answer_that_has_not_sounded_lost_nothing(talk):
    say(talk)
    answers(talk)
    effects = talk.on_line_lost((), 0)
    assert commands(effects, "response.cancel") == []
    (n,) = asked_to_clear(effects)
    assert talk.on_cleared(line.Cleared(n, 0, (Playhead(ItemId("a1"), 200, True),))) == []
    assert sounds(talk)


def test_what_began_to_sound_after_the_line_was_asked_is_not_cut_with_the_rest(talk):
    say(talk)
    talk.on_line_lost((), 0)
    answers(talk)
    assert sounds(talk)
    effects = talk.on_tick(CLEARED_WITHIN_MS)
    assert [c["item_id"] for c in commands(effects, "conversation.item.truncate")] == ["a1"]
    assert commands(effects, "response.cancel") == []
    assert asked(effects) == [], "what was lost is gone on with afterwards"
    assert asked(talk.on_event(rt.ResponseDone(rt.Response("r2", "completed")), 2)) == [None]


def test_a_sentence_that_was_stopped_in_its_midst_is_gone_on_with_though_all_of_it_was_heard(talk):
    say(talk, done=False)
    effects = talk.on_line_lost((), 0)
    assert commands(effects, "response.cancel")
    (n,) = asked_to_clear(effects)
    assert talk.on_event(rt.ResponseDone(rt.Response("r1", "cancelled")), 1) != []
    effects = talk.on_cleared(line.Cleared(n, 0, (Playhead(ItemId("a1"), 200, False),)))
    assert records(effects, Resumed)[0]["reason"] == "line"
    assert asked(effects) == [None]


def test_a_line_that_was_told_to_close_is_told_again(talk):
    begin(talk, SAID, closing="hangup")
    assert talk.on_line_lost((), 0) == [Close("hangup")]


# -- the model


def wrote(talk, response):
    talk.on_event(rt.ResponseCreated(rt.Response(response)), 0)
    return talk.on_event(rt.ContentPartAdded(response, f"i_{response}", rt.Part("text")), 0)


def test_a_model_that_writes_is_made_to_speak_and_then_replaced(talk):
    begin(talk, SAID)
    effects = wrote(talk, "r1")
    assert commands(effects, "response.cancel")
    ended = rt.Response("r1", "cancelled", output=(rt.Item("i_r1", "message"),))
    effects = talk.on_event(rt.ResponseDone(ended), 0)
    assert [c["item_id"] for c in commands(effects, "conversation.item.delete")] == ["i_r1"]
    assert asked(effects) == [None]
    effects = wrote(talk, "r2")
    assert [e.in_words for e in effects if isinstance(e, Reopen)] == [True]


def test_one_that_writes_whatever_it_is_told_is_given_up(talk):
    effects = begin(talk, SAID, in_words=True)
    assert commands(effects, "conversation.item.create") == []
    wrote(talk, "r1")
    talk.on_event(rt.ResponseDone(rt.Response("r1", "cancelled")), 0)
    assert any(isinstance(e, GiveUp) for e in wrote(talk, "r2"))


def test_the_end_of_a_session_writes_the_words_so_far(talk):
    say(talk, done=False)
    (said,) = records(talk.end(5), Said)
    assert (said["text"], said["generated_ms"], said["done"]) == ("one two three four", 200, False)
    say(talk, item="a2", response="r2")
    assert len(records(talk.end(6), Said)) == 1, "what is done is written"


def tick(patience, now_ms, *, waits=True, asked=False):
    return patience.on_tick(now_ms, waits=waits, asked=asked)


def test_a_model_that_owes_something_is_asked_for_a_sign_of_life_and_then_left():
    patience = Patience()
    assert tick(patience, 0, waits=False) == ""
    assert tick(patience, 5_000) == ""
    assert tick(patience, 5_000 + PROBE_AFTER_MS - 1) == ""
    assert tick(patience, 5_000 + PROBE_AFTER_MS) == "probe"
    assert tick(patience, 5_000 + PROBE_AFTER_MS + ANSWER_MS - 1) == ""
    assert tick(patience, 5_000 + PROBE_AFTER_MS + ANSWER_MS) == "lost"


def test_one_that_lives_has_its_time_from_its_last_word_on_while_something_is_owed():
    patience = Patience()
    assert tick(patience, 0) == ""
    assert tick(patience, PROBE_AFTER_MS) == "probe"
    patience.on_event()
    now = PROBE_AFTER_MS + 100
    assert tick(patience, now) == ""
    assert tick(patience, now + LOST_MS - 1) == "", "it was probed a moment ago"
    assert tick(patience, now + LOST_MS - 1, asked=True) == ""
    assert tick(patience, now + LOST_MS) == "", "and then asked: its time begins anew"
    assert tick(patience, now + 2 * LOST_MS - 1) == ""
    assert tick(patience, now + 2 * LOST_MS) == "lost"
    assert tick(patience, now + 9 * LOST_MS, waits=False) == ""


LOUD, HISS = (b"\x10" * 8 + b"\x90" * 8) * 20, (b"\x7c" * 8 + b"\xfb" * 8) * 20


def test_a_model_that_says_nothing_of_loud_audio_is_asked_for_a_sign_of_life():
    patience = Patience()
    for _ in range(LOUD_MS // 40):
        patience.on_audio(HISS)
    assert tick(patience, 1_000, waits=False) == ""
    for _ in range(LOUD_MS // 40 - 1):
        patience.on_audio(LOUD)
    assert tick(patience, 2_000, waits=False) == ""
    patience.on_audio(LOUD)
    assert tick(patience, 2_250, waits=False) == "probe"
    assert tick(patience, 2_250 + ANSWER_MS - 1, waits=False) == ""
    assert tick(patience, 2_250 + ANSWER_MS, waits=False) == "lost"


def test_one_that_answers_is_left_in_peace_for_a_while():
    patience = Patience()

    def loud_until(now_ms):
        for _ in range(LOUD_MS // 40 + 1):
            patience.on_audio(LOUD)
        return tick(patience, now_ms, waits=False)

    assert loud_until(0) == "probe"
    patience.on_event()
    assert loud_until(PROBE_EVERY_MS - 1) == ""
    assert loud_until(PROBE_EVERY_MS) == "probe"


def test_the_playheads_of_a_call():
    heads = Playheads((Playhead(ITEM, 100, False, sent_ms=500, complete=True),))
    heads.sent(ItemId("a1"), 800)
    heads.sent(ItemId("a1"), 804)
    heads.complete(ItemId("a1"))
    heads.heard(line.Heard(ItemId("a1"), 60, False, 0))
    heads.heard(line.Heard(ItemId("a9"), 60, False, 0))
    assert heads.ledger() == (
        Playhead(ITEM, 100, False, sent_ms=500, complete=True),
        Playhead(ItemId("a1"), 60, False, sent_ms=200, complete=True),
    )
    heads.heard(line.Heard(ITEM, 500, True, 0))
    heads.lost()
    assert heads.ledger()[0].done
    assert heads.ledger()[1] == Playhead(ItemId("a1"), 60, False, sent_ms=60)
    heads.cleared(line.Cleared(1, 0, ()))
    assert [stood.item_id for stood in heads.ledger()] == [ITEM]
