"""Noise over the assistant, in the pure conversation: the sentence is resumed."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ai_agent.conversation import ANSWER_WITHIN_MS, Conversation
from ai_agent.effects import CallTool, ClearPlayback, Close, Play, Record, Tell
from ai_agent.false_start import COMMIT_WITHIN_MS
from ai_agent.realtime import events as rt
from ai_agent.resumption import Interruption
from protocol import line
from protocol.events import BargedIn, Resumed, Said
from protocol.ids import ItemId, ToolCallId

AUDIO = b"\x20" * 1_600  # 200 ms
WORDS = "one two three four five six"
A1 = ItemId("a1")


@pytest.fixture
def talk():
    return Conversation(model="m", transcription_model="t", silence_ms=500)


def begin(talk, response="r1", item="a1", pieces=3):
    effects = talk.on_event(rt.ResponseCreated(rt.Response(response)), 0)
    effects += talk.on_event(rt.OutputItemAdded(response, rt.Item(item, "message")), 0)
    effects += talk.on_event(rt.TranscriptDelta(response, item, WORDS), 0)
    for _ in range(pieces):
        effects += talk.on_event(rt.AudioDelta(response, item, AUDIO), 0)
    return effects


def end(talk, response="r1", item="a1", status="completed"):
    output = (rt.Item(item, "message"),)
    return talk.on_event(rt.ResponseDone(rt.Response(response, status, output=output)), 10)


def noise(talk, turn="u1", now=1_000, heard_ms=300, n=1, item=A1):
    """The caller cuts the assistant; the turn is committed."""
    effects = talk.on_event(rt.SpeechStarted(500, turn), now)
    stood = (line.Playhead(item, heard_ms, False),)
    effects += talk.on_cleared(line.Cleared(n, 500, stood))
    effects += talk.on_event(rt.SpeechStopped(900, turn), now)
    return effects + talk.on_event(rt.Committed(turn), now)


def transcribed(talk, text="", turn="u1", now=1_100):
    return talk.on_event(rt.TranscriptionCompleted(turn, text), now)


def created(talk, response, now=1_050):
    return talk.on_event(rt.ResponseCreated(rt.Response(response)), now)


def commands(effects, kind):
    return [e.command for e in effects if isinstance(e, Tell) and e.command["type"] == kind]


def creates(effects):
    return len(commands(effects, "response.create"))


def resumed(effects):
    return [e.fields for e in effects if isinstance(e, Record) and e.kind is Resumed]


def note(effects):
    (created,) = commands(effects, "conversation.item.create")
    assert created["item"]["role"] == "system"
    return created["item"]["content"][0]["text"]


def test_the_answer_to_noise_is_taken_back_and_the_sentence_resumed(talk):
    begin(talk)
    end(talk)
    assert [e for e in noise(talk) if isinstance(e, Record) and e.kind is BargedIn]
    assert created(talk, "r2") == []
    effects = transcribed(talk, " . ")
    assert commands(effects, "response.cancel") == [
        {"type": "response.cancel", "response_id": "r2"}
    ]
    assert creates(effects) == 0, "not before the answer has ended"
    late = talk.on_event(rt.OutputItemAdded("r2", rt.Item("a2", "message")), 1_200)
    late += talk.on_event(rt.TranscriptDelta("r2", "a2", "Sorry?"), 1_200)
    late += talk.on_event(rt.AudioDelta("r2", "a2", AUDIO), 1_200)
    late += talk.on_event(rt.OutputItemDone("r2", rt.Item("a2", "message")), 1_200)
    assert late == []
    effects = end(talk, "r2", "a2", "cancelled")
    deleted = [c["item_id"] for c in commands(effects, "conversation.item.delete")]
    assert deleted == ["a2", "u1"]
    assert '"one two three…"' in note(effects), "half of it was heard"
    assert "only noise" in note(effects)
    assert creates(effects) == 1
    assert resumed(effects) == [{"item_id": "a1", "reason": "noise"}]
    assert [e for e in begin(talk, "r3", "a3") if isinstance(e, Play)]
    assert creates(end(talk, "r3", "a3")) == 0


def test_words_that_were_shown_of_the_answer_were_never_said(talk):
    begin(talk)
    end(talk)
    noise(talk)
    begin(talk, "r2", "a2", pieces=0)
    said = [e.fields for e in transcribed(talk) if isinstance(e, Record) and e.kind is Said]
    assert [(s["item_id"], s["text"], s["done"]) for s in said] == [("a2", "", True)]


def test_words_known_before_the_answer_begins(talk):
    begin(talk)
    end(talk)
    noise(talk)
    assert creates(transcribed(talk)) == 0, "the answer of the VAD is on its way"
    effects = created(talk, "r2")
    assert commands(effects, "response.cancel")
    assert creates(end(talk, "r2", "a2", "cancelled")) == 1


def test_when_nothing_answers_noise_it_is_not_waited_for_long(talk):
    begin(talk)
    end(talk)
    noise(talk, now=1_000)
    transcribed(talk, now=1_100)
    assert talk.on_tick(1_000 + COMMIT_WITHIN_MS - 1) == []
    effects = talk.on_tick(1_000 + COMMIT_WITHIN_MS)
    assert (creates(effects), len(resumed(effects))) == (1, 1)
    assert talk.on_tick(1_000 + 2 * ANSWER_WITHIN_MS) == [], "and not asked a second time"


def test_speech_that_never_becomes_a_turn(talk):
    begin(talk)
    end(talk)
    talk.on_event(rt.SpeechStarted(500, "u1"), 1_000)
    talk.on_cleared(line.Cleared(1, 500, (line.Playhead(A1, 300, False),)))
    talk.on_event(rt.SpeechStopped(900, "u1"), 1_500)
    assert talk.on_tick(1_500 + COMMIT_WITHIN_MS - 1) == []
    effects = talk.on_tick(1_500 + COMMIT_WITHIN_MS)
    assert creates(effects) == 1
    assert commands(effects, "conversation.item.delete") == [], "there is no item"


def test_an_answer_that_sounded_is_left(talk):
    begin(talk)
    end(talk)
    noise(talk)
    begin(talk, "r2", "a2", pieces=1)
    assert commands(transcribed(talk), "response.cancel") == []
    assert creates(end(talk, "r2", "a2")) == 0


def test_an_answer_that_acts_is_left(talk):
    begin(talk)
    end(talk)
    noise(talk)
    created(talk, "r2")
    item = rt.Item("f1", "function_call", "", "completed", "get_tasks", "c1", "{}")
    effects = talk.on_event(rt.OutputItemDone("r2", item), 1_060)
    assert [e for e in effects if isinstance(e, CallTool)]
    assert commands(transcribed(talk), "response.cancel") == []


@pytest.mark.parametrize("late", [False, True])
def test_words_are_answered_by_the_model(talk, late):
    begin(talk)
    end(talk)
    noise(talk)
    effects = [] if late else transcribed(talk, "wait")
    effects += created(talk, "r2")
    if late:
        effects += talk.on_event(rt.TranscriptionDelta("u1", "wait"), 1_100)
        effects += transcribed(talk, "wait")
    effects += talk.on_tick(9_000)
    assert (creates(effects), commands(effects, "response.cancel")) == (0, [])


def test_a_failed_transcription_is_not_silence(talk):
    begin(talk)
    end(talk)
    noise(talk)
    talk.on_event(rt.TranscriptionFailed("u1"), 1_100)
    assert talk.on_tick(1_000 + COMMIT_WITHIN_MS) == []
    effects = talk.on_tick(1_000 + ANSWER_WITHIN_MS)
    assert (creates(effects), resumed(effects)) == (1, [])


def test_silence_in_another_turn_does_not_count(talk):
    begin(talk)
    end(talk)
    noise(talk)
    created(talk, "r2")
    assert transcribed(talk, "", turn="u0")[1:] == []


def test_nothing_is_resumed_when_nothing_was_cut(talk):
    begin(talk)
    end(talk)
    talk.on_heard(line.Heard(A1, 600, True, 700))
    talk.on_event(rt.SpeechStarted(500, "u1"), 1_000)
    talk.on_event(rt.SpeechStopped(900, "u1"), 1_000)
    talk.on_event(rt.Committed("u1"), 1_000)
    created(talk, "r2")
    assert commands(transcribed(talk), "response.cancel") == []


def test_nothing_is_resumed_when_all_was_heard_before_the_line_was_cleared(talk):
    begin(talk)
    end(talk)
    talk.on_event(rt.SpeechStarted(500, "u1"), 1_000)
    talk.on_event(rt.SpeechStopped(900, "u1"), 1_000)
    talk.on_event(rt.Committed("u1"), 1_000)
    created(talk, "r2")
    assert commands(transcribed(talk), "response.cancel") == [], "where it was cut is not known"
    talk.on_cleared(line.Cleared(1, 500, (line.Playhead(A1, 600, True),)))
    assert talk.on_tick(1_200) == []


def test_a_second_turn_with_words_wins(talk):
    begin(talk)
    end(talk)
    noise(talk)
    created(talk, "r2")
    talk.on_event(rt.SpeechStarted(1_500, "u2"), 1_060)
    assert creates(transcribed(talk)) == 0
    effects = end(talk, "r2", "a2", "cancelled")
    talk.on_event(rt.SpeechStopped(1_900, "u2"), 1_200)
    effects += talk.on_event(rt.Committed("u2"), 1_200)
    effects += talk.on_event(rt.TranscriptionCompleted("u2", "stop it"), 1_300)
    effects += created(talk, "r3", 1_400)
    effects += talk.on_tick(9_000)
    assert (creates(effects), resumed(effects)) == (0, [])
    assert [e for e in begin(talk, "r3", "a3") if isinstance(e, Play)]


def test_a_second_noise_is_part_of_the_first(talk):
    begin(talk)
    end(talk)
    noise(talk)
    created(talk, "r2")
    talk.on_event(rt.SpeechStarted(1_500, "u2"), 1_060)
    transcribed(talk)
    end(talk, "r2", "a2", "cancelled")
    talk.on_event(rt.SpeechStopped(1_900, "u2"), 1_200)
    talk.on_event(rt.Committed("u2"), 1_200)
    created(talk, "r3", 1_250)
    talk.on_event(rt.TranscriptionCompleted("u2", ""), 1_300)
    effects = end(talk, "r3", "a3", "cancelled")
    deleted = [c["item_id"] for c in commands(effects, "conversation.item.delete")]
    assert deleted == ["a3", "u1", "u2"]
    assert creates(effects) == 1


def test_the_resumed_words_do_not_talk_over_a_caller_who_speaks_now(talk):
    begin(talk)
    end(talk)
    noise(talk)
    created(talk, "r2")
    transcribed(talk)
    assert creates(end(talk, "r2", "a2", "cancelled")) == 1
    talk.on_event(rt.SpeechStarted(2_000, "u2"), 2_000)
    effects = created(talk, "r3", 2_010)
    assert commands(effects, "response.cancel")
    assert [e for e in begin(talk, "r3", "a3")[1:] if isinstance(e, Play)] == []


def goodbye(talk):
    """The model says goodbye and ends the call."""
    begin(talk)
    item = rt.Item("f1", "function_call", "", "completed", "end_call", "c1", "{}")
    talk.on_event(rt.OutputItemDone("r1", item), 5)


def test_a_goodbye_cut_by_noise_is_said_to_its_end_and_then_the_call_ends(talk):
    goodbye(talk)
    effects = talk.on_tool_output(ToolCallId("c1"), "{}", "hangup")
    effects += noise(talk)
    assert not [e for e in effects if isinstance(e, Close)]
    effects = end(talk, "r1", "a1", "cancelled")
    created(talk, "r2")
    effects += transcribed(talk)
    effects += end(talk, "r2", "a2", "cancelled")
    assert len(resumed(effects)) == 1
    assert not [e for e in effects if isinstance(e, Close)], "the goodbye is not yet said"
    begin(talk, "r3", "a3")
    assert [e.intent for e in end(talk, "r3", "a3") if isinstance(e, Close)] == ["hangup"]


def test_noise_does_not_hold_up_an_end_that_was_decided(talk):
    begin(talk)
    end(talk)
    noise(talk)
    created(talk, "r2")
    talk.close("Time is up.", "hangup")
    assert commands(transcribed(talk), "response.cancel") == []
    begin(talk, "r2", "a2")
    assert creates(talk.on_tick(1_200)) == 0
    end(talk, "r2", "a2")
    begin(talk, "r3", "a3")
    assert [e.intent for e in end(talk, "r3", "a3") if isinstance(e, Close)] == ["hangup"]


def test_a_key_wins(talk):
    begin(talk)
    end(talk)
    noise(talk)
    created(talk, "r2")
    talk.tell("The caller pressed 1.", 2_000)
    assert resumed(transcribed(talk)) == []


def test_forbidden_words_are_not_gone_on_with(talk):
    begin(talk)
    end(talk)
    noise(talk)
    created(talk, "r2")
    talk.stop(A1, "forbidden[0]", "Let us go on.")
    assert commands(transcribed(talk), "response.cancel") == []


def test_a_new_session_goes_on_for_another_reason(talk):
    effects = talk.resume(Interruption("reconnected", "The line was lost."), A1, "one two three…")
    assert "The line was lost." in note(effects)
    assert resumed(effects) == [{"item_id": "a1", "reason": "reconnected"}]
    assert creates(effects) == 1


class Model(RuleBasedStateMachine):
    """Noise and words over speech, against a model with server VAD that answers every turn and
    refuses a second response. Its cancels and creates arrive at once, its events in any order that
    the real one may send them.
    """

    def __init__(self):
        super().__init__()
        self.talk = Conversation(model="m", transcription_model="t", silence_ms=500)
        self.now = 0
        self.count = 0
        self.running = None
        self.spoken = False
        self.dead = set()
        self.asked = 0
        self.turn = None
        self.words = {}
        self.clears = []
        self.resumed = 0

    def take(self, effects):
        for effect in effects:
            match effect:
                case Tell(command) if command["type"] == "response.create":
                    assert self.running is None, "a create while a response runs"
                    self.asked += 1
                    assert self.asked <= 1, "two creates without a response between"
                case Tell(command) if command["type"] == "response.cancel":
                    assert command["response_id"] not in self.dead, "cancelled twice"
                    self.dead.add(command["response_id"])
                case Play(item_id):
                    assert item_id.removeprefix("a") not in self.dead, "audio of the dead"
                case ClearPlayback(n):
                    self.clears.append(n)
                case Record() if effect.kind is Resumed:
                    self.resumed += 1
                    assert self.turn is None, "resumed while the caller speaks"
                case _:
                    pass

    def event(self, event):
        self.now += 50
        self.take(self.talk.on_event(event, self.now))

    def respond(self):
        self.count += 1
        self.running, self.spoken, self.asked = f"{self.count}", False, 0
        self.event(rt.ResponseCreated(rt.Response(self.running)))

    @precondition(lambda self: self.running is None and self.asked)
    @rule()
    def asked_response_begins(self):
        self.respond()

    @precondition(lambda self: self.running is not None)
    @rule()
    def speaks(self):
        item = f"a{self.running}"
        if not self.spoken:
            self.event(rt.OutputItemAdded(self.running, rt.Item(item, "message")))
        self.spoken = True
        self.event(rt.AudioDelta(self.running, item, AUDIO))

    @precondition(lambda self: self.running is not None)
    @rule()
    def response_ends(self):
        ended, self.running = self.running, None
        status = "cancelled" if ended in self.dead or not self.spoken else "completed"
        output = (rt.Item(f"a{ended}", "message"),) if self.spoken else ()
        self.event(rt.ResponseDone(rt.Response(ended, status, output=output)))

    @precondition(lambda self: self.turn is None)
    @rule()
    def caller_begins(self):
        self.count += 1
        self.turn = f"u{self.count}"
        if self.running is not None:
            self.dead.add(self.running)
        self.event(rt.SpeechStarted(self.now, self.turn))

    @precondition(lambda self: self.turn is not None and self.running is None and not self.asked)
    @rule(words=st.sampled_from(["", "hello", None]))
    def caller_ends(self, words):
        turn, self.turn = self.turn, None
        self.words[turn] = words
        self.event(rt.SpeechStopped(self.now, turn))
        self.event(rt.Committed(turn))
        if not self.asked:
            self.respond()

    @precondition(lambda self: self.words)
    @rule(data=st.data())
    def words_come(self, data):
        turn = data.draw(st.sampled_from(sorted(self.words)))
        words = self.words.pop(turn)
        before = self.resumed
        if words is None:
            self.event(rt.TranscriptionFailed(turn))
        else:
            self.event(rt.TranscriptionCompleted(turn, words))
        assert not words or self.resumed == before, "words are answered, not passed over"

    @precondition(lambda self: self.turn is None and self.running is None and not self.asked)
    @rule(words=st.sampled_from(["", "hello"]))
    def an_answer_is_cut(self, words):
        self.respond()
        self.speaks()
        self.response_ends()
        self.caller_begins()
        while self.clears:
            self.line_was_cleared(100)
        self.caller_ends(words)

    @precondition(lambda self: self.clears)
    @rule(heard=st.integers(0, 200))
    def line_was_cleared(self, heard):
        stood = tuple(
            line.Playhead(ItemId(f"a{n}"), heard, False) for n in range(1, self.count + 1)
        )
        self.take(self.talk.on_cleared(line.Cleared(self.clears.pop(0), self.now, stood)))

    @rule(ms=st.sampled_from([250, 2_000]))
    def time_passes(self, ms):
        self.now += ms
        self.take(self.talk.on_tick(self.now))

    @invariant()
    def one_at_a_time(self):
        assert not (self.asked and self.running), "asked while one runs"


TestModel = Model.TestCase
