"""A conversation while somebody else speaks in the assistant's place, or while it is ended."""

import pytest

from ai_agent.conversation import ANSWER_WITHIN_MS, Conversation
from ai_agent.effects import CallTool, ClearPlayback, Close, Play, Record, Tell
from ai_agent.realtime import events as rt
from protocol import line
from protocol.events import BargedIn, ResponseTimed, TurnCommitted, TurnTranscribed
from protocol.ids import ItemId, ToolCallId

AUDIO = b"\x20" * 1_600  # 200 ms
NOTE = "You speak again."


@pytest.fixture
def talk():
    return Conversation(model="m", transcription_model="t", silence_ms=500)


def told(effects, kind=None):
    types = [e.command["type"] for e in effects if isinstance(e, Tell)]
    return types if kind is None else types.count(kind)


def kinds(effects):
    return [e.kind for e in effects if isinstance(e, Record)]


def speak(talk, item="a1", response="r1"):
    effects = talk.on_event(rt.ResponseCreated(rt.Response(response)), 0)
    effects += talk.on_event(rt.OutputItemAdded(response, rt.Item(item, "message")), 0)
    return effects + talk.on_event(rt.AudioDelta(response, item, AUDIO), 0)


def end(talk, response="r1", status="completed", output=()):
    return talk.on_event(rt.ResponseDone(rt.Response(response, status, output=output)), 10)


def turn(talk, item="t1", words="hello", now=0):
    effects = talk.on_event(rt.SpeechStarted(item, 0), now)
    effects += talk.on_event(rt.SpeechStopped(item, 900), now)
    effects += talk.on_event(rt.Committed(item, None), now)
    return effects + talk.on_event(rt.TranscriptionCompleted(item, words), now)


def test_what_is_being_said_stops_and_is_cut_where_it_was_heard(talk):
    speak(talk)
    effects = talk.muting.begin(5_000)
    assert told(effects) == ["response.cancel"]
    assert [e.n for e in effects if isinstance(e, ClearPlayback)] == [1]
    cut = talk.on_cleared(line.Cleared(1, 5_100, (line.Playhead(ItemId("a1"), 120, False, 200),)))
    assert told(cut) == ["conversation.item.truncate"]
    assert kinds(cut) == [BargedIn]
    assert not [
        e for e in talk.on_event(rt.AudioDelta("r1", "a1", AUDIO), 0) if isinstance(e, Play)
    ]


def test_a_response_that_the_model_makes_by_itself_is_taken_back(talk):
    talk.muting.begin(0)
    effects = speak(talk)
    assert told(effects) == ["response.cancel"]
    assert not [e for e in effects if isinstance(e, Play)]
    item = rt.Item("a1", "message")
    assert told(end(talk, status="cancelled", output=(item,))) == ["conversation.item.delete"]
    assert talk.on_event(rt.AudioDelta("r1", "a1", AUDIO), 20) == []


def test_turns_are_written_and_nobody_answers_them(talk):
    talk.muting.begin(0)
    effects = turn(talk)
    assert kinds(effects) == [TurnCommitted, TurnTranscribed]
    assert told(effects) == []
    late = ANSWER_WITHIN_MS + 1
    assert told(talk.on_tick(late)) == []
    assert talk.ask("Are you still there?") == []
    assert talk.on_tool_slow() == []
    assert (talk.engaged, talk.waits, talk.quiet, talk.free) == (True, False, True, False)
    back = talk.unmute(NOTE)
    assert told(back) == ["conversation.item.create", "response.create"]
    assert told(talk.on_tick(3 * late)) == [], "asked for once"


def test_a_caller_who_speaks_is_answered_after_their_turn(talk):
    talk.muting.begin(0)
    talk.on_event(rt.SpeechStarted("t1", 0), 0)
    assert not talk.quiet
    assert told(talk.unmute(NOTE)) == ["conversation.item.create"]
    talk.on_event(rt.SpeechStopped("t1", 900), 900)
    talk.on_event(rt.Committed("t1", None), 900)
    assert told(talk.on_tick(900 + ANSWER_WITHIN_MS)) == ["response.create"], "should nobody else"


def test_what_the_operator_answered_has_no_response_time(talk):
    talk.muting.begin(0)
    turn(talk)
    talk.unmute(NOTE)
    speak(talk)
    late = line.Heard(ItemId("a1"), 200, False, 90_000)
    assert kinds(talk.on_heard(late)) == []
    end(talk)
    turn(talk, "t2")
    speak(talk, "a2", "r2")
    assert kinds(talk.on_heard(line.Heard(ItemId("a2"), 200, False, 99_000))) == [ResponseTimed]


def test_an_end_under_way_is_taken_back_and_none_comes_of_a_tool(talk):
    call = rt.Item("f1", "function_call", status="completed", call_id="c1", name="end_call")
    speak(talk)
    made = talk.on_event(rt.OutputItemDone("r1", call), 0)
    assert [e.name for e in made if isinstance(e, CallTool)] == ["end_call"]
    talk.on_tool_output(ToolCallId("c1"), "{}", "hangup")
    talk.muting.begin(0)
    assert not [e for e in end(talk, status="cancelled") if isinstance(e, Close)]
    later = talk.on_tool_output(ToolCallId("c2"), "{}", "hangup")
    assert not [e for e in later if isinstance(e, Close)]
    assert told(later) == ["conversation.item.create"], "the model is told, and not asked"
    assert not talk.muting.final


def test_a_result_that_came_meanwhile_needs_one_answer(talk):
    call = rt.Item("f1", "function_call", status="completed", call_id="c1", name="get_tasks")
    talk.on_event(rt.ResponseCreated(rt.Response("r1")), 0)
    talk.on_event(rt.OutputItemDone("r1", call), 0)
    end(talk, output=(call,))
    talk.muting.begin(0)
    assert told(talk.on_tool_output(ToolCallId("c1"), "{}")) == ["conversation.item.create"]
    assert told(talk.unmute(NOTE), "response.create") == 1
    talk.on_event(rt.ItemAdded(rt.Item("o1", "function_call_output", call_id="c1")), 0)
    speak(talk, "a2", "r2")
    assert told(end(talk, "r2")) == []


def test_the_length_of_a_call_holds_whoever_speaks(talk):
    talk.muting.begin(0)
    effects = talk.close("Say goodbye.", "hangup")
    assert [e.intent for e in effects if isinstance(e, Close)] == ["hangup"]
    assert told(effects) == []


def test_what_is_being_said_is_the_last_before_the_end(talk):
    speak(talk)
    assert talk.muting.close("hangup") == []
    assert talk.muting.final
    assert talk.ask("Anything else?") == []
    effects = end(talk)
    assert [e.intent for e in effects if isinstance(e, Close)] == ["hangup"]
    assert not [e for e in end(talk, "r2") if isinstance(e, Close)], "once"


def test_an_end_that_is_final_is_not_lifted(talk):
    speak(talk)
    talk.close("Say goodbye.", "hangup")
    talk.muting.begin(0)
    assert talk.muting.final
