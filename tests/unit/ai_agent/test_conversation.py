"""The pure conversation: events in, effects out."""

import pytest

from ai_agent.conversation import Conversation
from ai_agent.effects import CallTool, ClearPlayback, GiveUp, Play, PlayDone, Record, Tell
from ai_agent.realtime import events as rt
from ai_agent.realtime.commands import CREATE_EVENT_ID as CREATE
from protocol import line
from protocol.events import (
    BargedIn,
    ResponseEnded,
    ResponseTimed,
    Said,
    TurnCommitted,
    UsageReported,
)
from protocol.ids import ItemId, ToolCallId

AUDIO = b"\x20" * 1_600  # 200 ms


@pytest.fixture
def talk():
    return Conversation(model="m", transcription_model="t", silence_ms=500)


def say(talk, item="a1", response="r1", pieces=3, *, done=True, words="one two three"):
    effects = [*talk.on_event(rt.ResponseCreated(rt.Response(response)), 0)]
    effects += talk.on_event(rt.OutputItemAdded(response, rt.Item(item, "message")), 0)
    for i in range(pieces):
        effects += talk.on_event(rt.AudioDelta(response, item, AUDIO), i)
    effects += talk.on_event(rt.TranscriptDelta(response, item, words), pieces)
    if done:
        effects += finish(talk, item, response, words)
    return effects


def finish(talk, item="a1", response="r1", words="one two three", status="completed", output=()):
    effects = [*talk.on_event(rt.AudioDone(response, item), 50)]
    effects += talk.on_event(rt.TranscriptDone(response, item, words), 50)
    effects += talk.on_event(rt.OutputItemDone(response, rt.Item(item, "message")), 50)
    ended = rt.Response(response, status, output=output, usage=rt.Usage())
    return effects + talk.on_event(rt.ResponseDone(ended), 60)


def of(effects, kind):
    return [e for e in effects if isinstance(e, kind)]


def records(effects, kind):
    return [e.fields for e in effects if isinstance(e, Record) and e.kind is kind]


def commands(effects, kind):
    return [e.command for e in effects if isinstance(e, Tell) and e.command["type"] == kind]


def test_audio_goes_to_the_caller_and_is_finished_once(talk):
    effects = say(talk)
    assert b"".join(e.audio for e in of(effects, Play)) == AUDIO * 3
    assert [e.item_id for e in of(effects, PlayDone)] == ["a1"]
    last = records(effects, Said)[-1]
    assert last["done"] is True
    assert last["text"] == "one two three"
    assert last["generated_ms"] == 600
    assert len([r for r in records(effects, Said) if r["done"]]) == 1
    assert len(records(effects, UsageReported)) == 1


def test_words_are_written_soon_in_the_first_second_of_an_item_and_then_once_a_second(talk):
    say(talk, done=False, pieces=0, words="a")

    def written(begin):
        return [
            ms
            for ms in range(begin + 50, begin + 4_000, 50)
            if records(talk.on_event(rt.TranscriptDelta("r1", "a1", "x"), ms), Said)
        ]

    assert written(0) == [250, 750, 1_750, 2_750, 3_750]
    assert written(10_000) == [10_050, 11_050, 12_050, 13_050], "not soon again after a pause"


def test_barge_in_while_the_model_still_generates(talk):
    talk.clock.jump(0)
    talk.clock.sent(8 * 10_000)
    say(talk, done=False)
    effects = talk.on_event(rt.SpeechStarted(9_000, "u1"), 1_000)
    assert [e.n for e in of(effects, ClearPlayback)] == [1]
    assert talk.on_event(rt.AudioDelta("r1", "a1", AUDIO), 1_001) == [], "late audio is never heard"
    effects = talk.on_cleared(line.Cleared(1, 9_020, (line.Playhead(ItemId("a1"), 250, False),)))
    assert commands(effects, "conversation.item.truncate")[0]["audio_end_ms"] == 250
    assert records(effects, BargedIn) == [{"item_id": "a1", "heard_ms": 250, "line_ms": 9_000}]
    effects = finish(talk, status="cancelled")
    assert records(effects, ResponseEnded)[0]["status"] == "cancelled"
    assert commands(effects, "response.create") == [], "the VAD answers, not we"


def test_barge_in_works_when_the_response_is_long_done_but_the_phone_still_plays(talk):
    say(talk)
    effects = talk.on_event(rt.SpeechStarted(9_000, "u1"), 1_000)
    assert of(effects, ClearPlayback)


def test_no_clear_when_everything_was_heard(talk):
    say(talk)
    talk.on_heard(line.Heard(ItemId("a1"), 600, True, 700))
    assert of(talk.on_event(rt.SpeechStarted(9_000, "u1"), 1_000), ClearPlayback) == []


def test_a_cut_is_clamped_to_what_the_model_made(talk):
    say(talk)
    talk.on_event(rt.SpeechStarted(9_000, "u1"), 1_000)
    effects = talk.on_cleared(line.Cleared(1, 0, (line.Playhead(ItemId("a1"), 640, False),)))
    assert commands(effects, "conversation.item.truncate")[0]["audio_end_ms"] == 600


def test_items_of_others_and_finished_ones_are_not_truncated(talk):
    say(talk)
    talk.on_event(rt.SpeechStarted(9_000, "u1"), 1_000)
    stood = (
        line.Playhead(ItemId("local:hold"), 100, False),
        line.Playhead(ItemId("a1"), 600, True),
    )
    assert talk.on_cleared(line.Cleared(1, 0, stood)) == []


def call(item, call_id, name="get_tasks", status="completed"):
    return rt.Item(item, "function_call", "", status, name, call_id, "{}")


def test_parallel_tools_run_once_each_and_are_answered_by_one_create(talk):
    talk.on_event(rt.ResponseCreated(rt.Response("r1")), 0)
    one, two = call("f1", "c1"), call("f2", "c2")
    effects = talk.on_event(rt.OutputItemDone("r1", one), 1)
    effects += talk.on_event(rt.OutputItemDone("r1", two), 1)
    effects += talk.on_event(rt.ResponseDone(rt.Response("r1", "completed", output=(one, two))), 2)
    assert [e.tool_call_id for e in of(effects, CallTool)] == ["c1", "c2"]
    first = talk.on_tool_output(ToolCallId("c2"), "{}")
    assert commands(first, "conversation.item.create")[0]["item"]["call_id"] == "c2"
    assert commands(first, "response.create") == []
    assert len(commands(talk.on_tool_output(ToolCallId("c1"), "{}"), "response.create")) == 1


def test_a_half_written_tool_call_of_a_cancelled_response_does_not_act(talk):
    talk.on_event(rt.ResponseCreated(rt.Response("r1")), 0)
    half = call("f1", "c1", status="incomplete")
    effects = talk.on_event(rt.OutputItemDone("r1", half), 1)
    effects += talk.on_event(rt.ResponseDone(rt.Response("r1", "cancelled", output=(half,))), 2)
    assert of(effects, CallTool) == []


def failed(code):
    error = rt.StatusDetails(error=rt.ErrorBody("server_error", code))
    return rt.Response("r1", "failed", error)


def test_a_failed_response_is_asked_for_again_and_given_up_in_time(talk):
    asked = 0
    for _ in range(2):
        talk.on_event(rt.ResponseCreated(rt.Response("r1")), 0)
        effects = talk.on_event(rt.ResponseDone(failed("oops")), 1)
        assert records(effects, ResponseEnded)[0] == {
            "response_id": "r1",
            "status": "failed",
            "reason": "oops",
        }
        asked += len(commands(effects, "response.create"))
    assert asked == 2
    talk.on_event(rt.ResponseCreated(rt.Response("r1")), 0)
    assert of(talk.on_event(rt.ResponseDone(failed("oops")), 1), GiveUp)


def test_quota_is_not_tried_again(talk):
    talk.on_event(rt.ResponseCreated(rt.Response("r1")), 0)
    effects = talk.on_event(rt.ResponseDone(failed("insufficient_quota")), 1)
    assert of(effects, GiveUp)
    assert commands(effects, "response.create") == []


@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_an_answer_without_sound_is_asked_for_again(talk, status):
    talk.on_event(rt.ResponseCreated(rt.Response("r1")), 0)
    effects = talk.on_event(rt.ResponseDone(rt.Response("r1", status)), 1)
    assert commands(effects, "response.create")[0]["response"]["output_modalities"] == ["audio"]


@pytest.mark.parametrize("code", ["response_cancel_not_active", "invalid_value", "brand_new_code"])
def test_other_errors_end_nothing(talk, code):
    assert talk.on_event(rt.ErrorReported(rt.ErrorBody("invalid_request_error", code)), 0) == []


def test_a_refused_create_is_sent_again_and_given_up_in_time(talk):
    refused = rt.ErrorReported(rt.ErrorBody("invalid_request_error", "odd", event_id=CREATE))
    assert talk.on_event(refused, 0) == [], "none was under way"
    talk.ask("Greet.")
    for _ in range(2):
        assert len(commands(talk.on_event(refused, 0), "response.create")) == 1
    assert of(talk.on_event(refused, 0), GiveUp)


def test_turns_lie_on_the_line_and_are_timed_by_what_was_heard(talk):
    talk.clock.jump(10_000)
    talk.clock.sent(8 * 5_000)
    talk.on_event(rt.SpeechStarted(1_000, "u1"), 0)
    talk.on_event(rt.SpeechStopped(3_000, "u1"), 0)
    effects = talk.on_event(rt.Committed("u1", "a0"), 0)
    assert records(effects, TurnCommitted) == [
        {"item_id": "u1", "from_ms": 11_000, "to_ms": 13_000, "previous_item_id": "a0"}
    ]
    say(talk)
    effects = talk.on_heard(line.Heard(ItemId("a1"), 200, False, 13_700))
    # speech ended at 12_500 (VAD waits 500 ms), the first audio was heard at 13_500
    assert records(effects, ResponseTimed)[0]["response_ms"] == 1_000
    assert talk.on_heard(line.Heard(ItemId("a1"), 400, False, 13_900)) == []
