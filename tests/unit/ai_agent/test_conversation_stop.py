"""Stopping an item for its words, in the pure conversation."""

from ai_agent.conversation import Conversation
from ai_agent.effects import ClearPlayback, GiveUp, Play, Record, Show, Tell
from ai_agent.realtime import events as rt
from ai_agent.stopping import STOPS
from protocol import line
from protocol.events import BargedIn, OutputStopped
from protocol.ids import ItemId

AUDIO = b"\x20" * 1_600  # 200 ms
A1 = ItemId("a1")


def conversation():
    return Conversation(model="m", transcription_model="t", silence_ms=500)


def speak(talk, item="a1", response="r1", pieces=2):
    effects = talk.on_event(rt.ResponseCreated(rt.Response(response)), 0)
    effects += talk.on_event(rt.OutputItemAdded(response, rt.Item(item, "message")), 0)
    for _ in range(pieces):
        effects += talk.on_event(rt.AudioDelta(response, item, AUDIO), 0)
    return effects + talk.on_event(rt.TranscriptDelta(response, item, "bad words"), 0)


def over(talk, response="r1", status="completed"):
    return talk.on_event(rt.ResponseDone(rt.Response(response, status)), 60)


def of(effects, kind):
    return [e for e in effects if isinstance(e, kind)]


def commands(effects, kind):
    return [e.command for e in effects if isinstance(e, Tell) and e.command["type"] == kind]


def stopped(effects):
    return [e.fields for e in effects if isinstance(e, Record) and e.kind is OutputStopped]


def safe(effects):
    return [
        c["response"]
        for c in commands(effects, "response.create")
        if "Let us go on." in c["response"].get("instructions", "")
    ]


def stop(talk, item=A1):
    return talk.stop(item, "forbidden[0]", "Let us go on.")


def test_while_the_model_speaks_it_is_cancelled_and_late_audio_dropped():
    talk = conversation()
    speak(talk)
    effects = stop(talk)
    assert stopped(effects) == [{"item_id": "a1", "rule": "forbidden[0]"}]
    assert commands(effects, "response.cancel") == [
        {"type": "response.cancel", "response_id": "r1"}
    ]
    assert of(effects, ClearPlayback) == [ClearPlayback(1)]
    assert safe(effects) == [], "never two responses at once"
    late = talk.on_event(rt.AudioDelta("r1", "a1", AUDIO), 5)
    late += talk.on_event(rt.TranscriptDelta("r1", "a1", " more"), 5)
    assert of(late, Play) + of(late, Show) == []
    after = over(talk, status="cancelled")
    assert [r["tool_choice"] for r in safe(after)] == ["none"]


def test_the_item_is_truncated_where_the_line_says_that_it_was_heard():
    talk = conversation()
    speak(talk)
    stop(talk)
    effects = talk.on_cleared(line.Cleared(1, 9_000, (line.Playhead(A1, 120, False),)))
    (cut,) = commands(effects, "conversation.item.truncate")
    assert (cut["item_id"], cut["audio_end_ms"]) == ("a1", 120)
    (record,) = [e.fields for e in effects if isinstance(e, Record) and e.kind is BargedIn]
    assert record == {"item_id": "a1", "heard_ms": 120, "line_ms": 9_000}


def test_when_the_response_is_long_over_the_phone_is_emptied():
    talk = conversation()
    speak(talk)
    over(talk)
    effects = stop(talk)
    assert commands(effects, "response.cancel") == []
    assert of(effects, ClearPlayback)
    assert len(safe(effects)) == 1


def test_what_was_heard_is_only_answered():
    talk = conversation()
    speak(talk)
    over(talk)
    talk.on_heard(line.Heard(A1, 400, True, 1_000))
    effects = stop(talk)
    assert of(effects, ClearPlayback) == []
    assert len(stopped(effects)) == len(safe(effects)) == 1


def test_before_any_audio_nothing_of_it_is_heard_and_nothing_asked_again():
    talk = conversation()
    speak(talk, pieces=0)
    effects = stop(talk)
    assert of(effects, ClearPlayback) == []
    assert of(talk.on_event(rt.AudioDelta("r1", "a1", AUDIO), 5), Play) == []
    after = over(talk)  # the cancel came too late
    assert len(commands(after, "response.create")) == len(safe(after)) == 1
    speak(talk, "a2", "r2")
    assert commands(over(talk, "r2"), "response.create") == []


def test_an_item_is_stopped_once_and_never_when_the_caller_cut_it():
    talk = conversation()
    speak(talk)
    stop(talk)
    assert stop(talk) == []
    assert stop(talk, ItemId("unknown")) == []
    other = conversation()
    speak(other)
    other.on_event(rt.SpeechStarted("u1", 100), 0)
    assert stop(other) == []


def test_two_items_of_one_response_are_replaced_once():
    talk = conversation()
    speak(talk)
    talk.on_event(rt.OutputItemAdded("r1", rt.Item("a2", "message")), 0)
    talk.on_event(rt.AudioDelta("r1", "a2", AUDIO), 0)
    over(talk)
    assert stopped(stop(talk))
    assert stop(talk, ItemId("a2")) == []


def rounds(talk, count, *, turns):
    """``count`` answers in a row that are stopped; the effects of the last stop."""
    effects = []
    for n in range(count):
        if turns:
            talk.on_event(rt.Committed(f"u{n}", None), 0)
        speak(talk, f"a{n}", f"r{n}")
        effects = stop(talk, ItemId(f"a{n}"))
        over(talk, f"r{n}", "cancelled")
    return effects


def test_a_model_that_cannot_stop_is_given_up():
    assert of(rounds(conversation(), STOPS, turns=False), GiveUp) == []
    assert of(rounds(conversation(), STOPS + 1, turns=False), GiveUp)


def test_a_word_of_the_caller_begins_the_count_again():
    assert of(rounds(conversation(), 4 * STOPS, turns=True), GiveUp) == []
