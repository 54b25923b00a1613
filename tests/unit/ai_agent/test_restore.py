"""What a new session of a call is told, hears again and owes: whatever died, and whenever."""

from random import Random
from typing import Any

import pytest
from dying_call import DyingCall
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_agent import asides
from ai_agent.restore import TOLD, Called, CutOff, Noted, Pressed, Restored, Words, restore
from protocol import events as e
from protocol.call import CallState
from protocol.ids import Epoch, EventId, ItemId, Leg, ToolCallId
from protocol.line import Playhead


def check(world: DyingCall, state: CallState, found: Restored) -> None:
    told = [t for t in found.told if isinstance(t, Words)]
    ids = [t.item_id for t in told]
    # Every committed turn with words: once, as text or in the audio that is heard again.
    turns = [u for u in state.utterances if u.party == "caller"]
    for turn in turns:
        replayed = turn.to_ms > found.replay_from_ms
        assert ids.count(turn.item_id) == (1 if turn.text and not replayed else 0), turn
        if replayed:
            # All of it, but for padding that lies within the turn before.
            assert found.replay_from_ms <= turn.from_ms + 160, turn
    # What was acted on is no audio; what was never committed is.
    for speech in world.speeches:
        if speech.acted:
            assert speech.to_ms <= found.replay_from_ms, speech
        if not speech.committed:
            assert speech.from_ms >= found.replay_from_ms, speech
    # Tools: with a result told with it and never asked, without one asked again under its key.
    called = [t.use.key for t in found.told if isinstance(t, Called)]
    assert called == [use.key for use in state.tools]
    assert [use.key for use in found.ask] == [u.key for u in state.tools if not u.outcome]
    assert {use.key for use in found.done} <= set(called)
    # Nothing owed is forgotten, and nothing said twice for nothing.
    speaking = any(not s.committed for s in world.speeches)
    # Of an item that no log and no ledger knows nobody can tell that it was ever heard.
    known = {u.item_id for u in state.utterances} | {p.item_id for p in world.ledger()}
    sounded = any(s.sent_ms for item, s in world.sounded.items() if item in known)
    if world.owes and not speaking:
        due = ("hear", "answer", "go_on") if sounded or turns else ("greet",)
        assert found.owed in due or found.ask, found
    if not world.owes:
        assert found.owed in ("nothing", "greet"), found
    assert (found.owed == "greet") <= (not sounded and not turns)
    if not sounded and not world.speeches:
        assert found.owed == "greet"
    assert (CutOff() in found.told) is (found.owed == "go_on")
    # The assistant's words are those that were heard, in the order of the talk.
    for words in told:
        if words.party == "assistant":
            truth = world.sounded[words.item_id]
            assert truth.text.startswith(words.text.removesuffix("…")), words
            assert truth.sent_ms > 0
            said = next(u for u in state.utterances if u.item_id == words.item_id)
            if said.done and truth.complete and not said.cut:
                assert words.text == truth.text, "all of it is heard"
        else:
            assert words.text == world.texts[words.item_id]
    assert ids == sorted(ids, key=[u.item_id for u in state.utterances].index)


@settings(max_examples=150)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(0, 90), min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_whatever_dies_and_whenever(seed: int, lives: list[int], lines: list[bool]) -> None:
    pick = Random(seed)
    world = DyingCall(pick)
    world.begin()
    check_now(world)
    for steps, line_dies in zip(lives, lines, strict=False):
        world.live(restore(world.state(), world.ledger()), steps)
        check_now(world)
        if line_dies and pick.random() < 0.3:
            world.lose_the_line()


def check_now(world: DyingCall) -> None:
    state = world.state()
    check(world, state, restore(state, world.ledger()))


# -- the rules, one by one


class Talk:
    """A log by hand. Turns are 1000 ms long, an item has 200 ms a word."""

    def __init__(self) -> None:
        self.world = DyingCall(Random(1))
        self.world.begin()
        self.write(e.Assigned, leg=Leg(6), previous_epoch=Epoch(0))

    def write(self, kind: Any, **fields: Any) -> int:
        self.world.steps = 1
        return self.world.write(kind, **fields)

    def turn(self, item: str, from_ms: int, text: str = "") -> None:
        item_id = ItemId(item)
        self.write(e.TurnCommitted, item_id=item_id, from_ms=from_ms, to_ms=from_ms + 1000)
        if text:
            self.write(e.TurnTranscribed, item_id=item_id, text=text)

    def said(self, item: str, text: str, *, done: bool = True, heard: bool = True) -> None:
        ms = 200 * len(text.split())
        fields = {"item_id": ItemId(item), "response_id": f"r_{item}", "text": text}
        self.write(e.Said, generated_ms=ms, done=done, **fields)
        if done:
            self.write(e.ResponseEnded, response_id=f"r_{item}", status="failed", reason="")
        if done and heard:
            fields = {"heard_ms": ms, "sent_ms": ms, "cut": False, "line_ms": 0}
            self.write(e.Heard, leg=Leg(6), item_id=ItemId(item), **fields)

    def called(self, name: str = "get_tasks") -> str:
        call = ToolCallId("call_1")
        fields = {"tool_call_id": call, "item_id": ItemId("f"), "name": name, "arguments": "{}"}
        return f"e{self.write(e.ToolCalled, **fields)}"

    def returned(self, key: str) -> None:
        fields = {"tool_call_id": ToolCallId("call_1"), "outcome": "ok", "result": "{}"}
        self.write(e.ToolReturned, called=EventId(key), took_ms=1, **fields)

    def key(self, digit: str, line_ms: int) -> None:
        self.write(e.KeyPressed, digit=digit, line_ms=line_ms)

    def restored(self, *ledger: Playhead, ring_from_ms: int = 0) -> Restored:
        return restore(self.world.state(), ledger, ring_from_ms=ring_from_ms)


def texts(found: Restored) -> list[str]:
    return [t.text if isinstance(t, Words) else type(t).__name__ for t in found.told]


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_a_begun_answer_goes_on_when_the_words_it_answers_are_known(talk: Talk) -> None:
    talk.turn("u1", 1000, "What is due?")
    talk.said("a1", "Call the plumber and", done=False)
    found = talk.restored(Playhead(ItemId("a1"), 200, False, sent_ms=400))
    assert texts(found) == ["What is due?", "Call the…", "CutOff"]
    assert (found.owed, found.replay_from_ms) == ("go_on", 2000)


def test_a_begun_answer_is_made_anew_when_they_are_not(talk: Talk) -> None:
    talk.turn("u1", 1000)
    talk.said("a1", "Call the plumber and", done=False)
    found = talk.restored(Playhead(ItemId("a1"), 200, False, sent_ms=400))
    assert texts(found) == []
    assert (found.owed, found.replay_from_ms) == ("hear", 1000)


def test_a_begun_answer_whose_words_nobody_wrote_down(talk: Talk) -> None:
    talk.turn("u1", 1000, "What is due?")
    begun = Playhead(ItemId("a1"), 0, False, sent_ms=100)
    assert texts(talk.restored(begun)) == ["What is due?", "CutOff"]
    assert talk.restored(begun).owed == "go_on"
    assert talk.restored(Playhead(ItemId("a1"), 0, False)).owed == "hear"


def test_a_word_of_patience_is_no_answer(talk: Talk) -> None:
    talk.turn("u1", 1000, "What is due?")
    key = talk.called()
    talk.said("a1", "One moment please", done=False)
    patience = Playhead(ItemId("a1"), 0, False, sent_ms=400)
    found = talk.restored(patience)
    assert (found.owed, [use.key for use in found.ask]) == ("nothing", [key])
    talk.returned(key)
    found = talk.restored(patience)
    assert (found.owed, found.ask) == ("answer", ())
    assert texts(found) == ["What is due?", "Called", "One moment…"]


def test_what_twilio_holds_to_its_end_counts_as_said(talk: Talk) -> None:
    talk.turn("u1", 1000, "What is due?")
    talk.said("a1", "Nothing at all.", heard=False)
    found = talk.restored(Playhead(ItemId("a1"), 20, False, sent_ms=600, complete=True))
    assert texts(found) == ["What is due?", "Nothing at all."]
    assert (found.owed, found.replay_from_ms) == ("nothing", 2000)


def test_sentences_of_the_line_are_no_answer(talk: Talk) -> None:
    talk.turn("u1", 1000)
    talk.said("voice_1_2", "Please press a key.")
    local = Playhead(ItemId("local:moment"), 400, False, sent_ms=900)
    assert talk.restored(local).owed == "hear"
    assert texts(talk.restored(local)) == []


@pytest.mark.parametrize(
    ("text", "ring_from_ms", "owed", "told", "replay_from_ms"),
    [
        ("Add milk.", 900, "hear", [], 1000),
        ("Add milk.", 1500, "answer", ["Add milk."], 2000),
        ("", 1500, "hear", [], 1000),
        ("", 2500, "answer", ["Lost"], 2000),
    ],
)
def test_a_turn_that_the_ring_no_longer_holds(
    talk: Talk, text: str, ring_from_ms: int, owed: str, told: list[str], replay_from_ms: int
) -> None:
    talk.turn("u1", 1000, text)
    found = talk.restored(ring_from_ms=ring_from_ms)
    assert (found.owed, texts(found), found.replay_from_ms) == (owed, told, replay_from_ms)


def test_keys_that_nothing_came_of_are_pressed_again(talk: Talk) -> None:
    talk.key("1", 3000)
    talk.key("2", 3200)
    talk.said("a1", "Twelve it is.")
    talk.key("7", 5000)
    found = talk.restored()
    assert texts(found) == ["Pressed", "Twelve it is."]
    assert found.told[0] == Pressed("12")
    assert [key.digit for key in found.keys] == ["7"]
    assert (found.keys_until_ms, found.replay_from_ms, found.owed) == (5000, 3200, "nothing")


def test_keys_of_the_gate_and_of_the_menu_are_not_pressed_again(talk: Talk) -> None:
    talk.key("•", 3000)
    talk.key("*", 4000)
    talk.write(e.ModeChanged, mode="conversation")
    found = talk.restored()
    assert (found.keys, found.told) == ((), (Pressed("*"),))
    assert found.replay_from_ms == 4000, "what was said to the menu is not for the model"


def test_whoever_comes_back_from_the_keypad_is_owed_nothing_from_before_it(talk: Talk) -> None:
    talk.turn("u1", 1000, "What is due?")
    talk.write(e.ModeChanged, mode="keypad")
    talk.key("*", 8000)
    assert talk.restored().owed == "hear"
    found = restore(talk.world.state(), back=True)
    assert (found.owed, found.keys) == ("nothing", ())
    assert found.replay_from_ms == 8000, "the turn from before is told, not heard"
    assert "What is due?" in texts(found)


def test_nothing_from_before_the_gate_is_heard(talk: Talk) -> None:
    talk.write(e.PinAccepted, line_ms=9000)
    assert talk.restored().replay_from_ms == 9000
    assert talk.restored().owed == "greet"


def test_a_handover_hears_on_from_where_the_other_fell_silent(talk: Talk) -> None:
    talk.said("a1", "Hello.")
    talk.write(e.HandingOver, line_ms=8000, successor="w2")
    talk.write(e.Assigned, leg=Leg(6), previous_epoch=Epoch(9), reason="handover")
    assert talk.restored().replay_from_ms == 7000
    talk.turn("u1", 6500)
    assert talk.restored().replay_from_ms == 6500, "a turn is never given up for it"


@pytest.mark.parametrize("goodbye_first", [True, False])
def test_a_call_that_was_about_to_end_ends(talk: Talk, *, goodbye_first: bool) -> None:
    talk.turn("u1", 1000, "Bye.")
    if goodbye_first:
        talk.said("a1", "Goodbye.")
    talk.returned(talk.called("end_call"))
    found = talk.restored()
    assert (found.closing, found.owed) == ("hangup", "nothing" if goodbye_first else "answer")
    if not goodbye_first:
        talk.said("a1", "Goodbye.")
        assert (talk.restored().closing, talk.restored().owed) == ("hangup", "nothing")
    talk.turn("u2", 4000, "Wait.")
    assert (talk.restored().closing, talk.restored().owed) == (None, "hear")


def test_what_was_done_since_the_last_turn_is_not_done_again(talk: Talk) -> None:
    talk.turn("u1", 1000, "Add milk.")
    talk.returned(talk.called("create_task"))
    assert [use.name for use in talk.restored().done] == ["create_task"]
    talk.turn("u2", 3000)
    assert talk.restored().done == ()


def test_a_greeting_of_which_a_part_was_heard_is_not_begun_again(talk: Talk) -> None:
    talk.said("a1", "Good morning Ada how", done=False)
    assert talk.restored().owed == "greet", "no audio of it got out"
    found = talk.restored(Playhead(ItemId("a1"), 0, False, sent_ms=500))
    assert (found.owed, texts(found)) == ("go_on", ["Good…", "CutOff"])


def test_an_old_call_is_told_by_its_newest_part_and_open_tool_calls(talk: Talk) -> None:
    key = talk.called()
    for i in range(TOLD):
        talk.said(f"a{i}", f"word {i}")
    found = talk.restored()
    assert len(found.told) == TOLD + 1
    assert [use.key for use in found.ask] == [key]
    assert isinstance(found.told[0], Called)


def test_an_answer_that_noise_cut_goes_on(talk: Talk) -> None:
    talk.turn("u1", 1000, "What is due?")
    talk.said("a1", "Call the plumber and more", heard=False)
    talk.write(e.BargedIn, item_id=ItemId("a1"), heard_ms=600, line_ms=5000)
    assert talk.restored().owed == "nothing"
    talk.turn("u2", 5000)
    assert talk.restored().owed == "hear"
    talk.write(e.TurnTranscribed, item_id=ItemId("u2"), text="")
    found = talk.restored()
    assert (found.owed, found.replay_from_ms) == ("go_on", 6000)
    assert texts(found) == ["What is due?", "Call the…", "CutOff"]


# -- operators


def noted(found: Restored) -> list[str]:
    return [t.text for t in found.told if isinstance(t, Noted)]


def test_a_whisper_is_told_again_in_its_place_however_long_ago_it_was() -> None:
    talk = Talk()
    talk.said("a0", "Hello.")
    talk.write(e.Whispered, by="mira", text="Offer her Friday.")
    for n in range(TOLD + 5):
        talk.turn(f"t{n}", 1000 * n, "hm")
        talk.said(f"a{n + 1}", "Yes.")
    found = talk.restored()
    assert noted(found) == [asides.whispered("Offer her Friday.")]
    assert found.told[0] == Noted(asides.whispered("Offer her Friday."))
    assert found.owed == "nothing"


def test_nothing_is_owed_while_an_operator_speaks() -> None:
    talk = Talk()
    talk.said("a0", "Hello.")
    talk.turn("t1", 1000, "open when it was taken")
    talk.write(e.TakenOver, operator="mira", line_ms=2000)
    talk.turn("t2", 3000, "said to the operator")
    talk.key("4", 3900)
    found = talk.restored()
    assert (found.owed, found.operator, found.keys) == ("nothing", True, ())
    assert texts(found) == ["Hello.", "open when it was taken", "said to the operator"]
    assert found.replay_from_ms == 4000, "what has words is not heard again"


def test_words_that_nobody_wrote_down_yet_are_heard_again_meanwhile() -> None:
    talk = Talk()
    talk.turn("t0", 0)
    talk.write(e.TakenOver, operator="mira", line_ms=2000)
    talk.turn("t1", 3000, "written down")
    talk.turn("t2", 5000)
    found = talk.restored()
    assert (found.owed, found.replay_from_ms) == ("nothing", 5000)
    assert texts(found) == ["written down"], "and the caller is not asked to repeat themselves"


def test_after_the_operator_the_model_goes_on_if_it_has_not_yet() -> None:
    talk = Talk()
    talk.said("a0", "Hello.")
    talk.write(e.TakenOver, operator="mira", line_ms=2000)
    talk.turn("t1", 3000, "said to the operator")
    talk.key("4", 4100)
    talk.write(e.GivenBack, operator="mira", line_ms=5000)
    found = talk.restored()
    assert (found.owed, found.operator, found.keys) == ("answer", False, ())
    assert texts(found) == ["Hello.", "said to the operator", "Noted"]
    assert noted(found) == [asides.SPOKEN]
    talk.said("a1", "How can I go on?")
    assert talk.restored().owed == "nothing"
    talk.turn("t2", 7000, "and now?")
    assert talk.restored().owed == "hear"


def test_an_end_that_an_operator_took_back_stays_back() -> None:
    talk = Talk()
    talk.said("a0", "Hello.")
    talk.turn("t0", 0, "bye")
    key = talk.called("end_call")
    talk.returned(key)
    assert talk.restored().closing == "hangup"
    talk.write(e.TakenOver, operator="mira", line_ms=2000)
    assert talk.restored().closing is None
    talk.write(e.GivenBack, operator="mira", line_ms=5000, reason="silent")
    found = talk.restored()
    assert (found.closing, found.owed) == (None, "answer")


def test_what_an_operator_said_is_not_the_models() -> None:
    talk = Talk()
    talk.said("a0", "Hello.")
    talk.write(e.TakenOver, operator="mira", line_ms=2000)
    heard = {"heard_ms": 400, "sent_ms": 400, "cut": False, "line_ms": 3000}
    talk.write(e.Heard, leg=Leg(6), item_id=ItemId("operator:7_1"), **heard)
    stood = Playhead(ItemId("operator:7_2"), 100, False, 300)
    found = talk.restored(stood)
    assert (texts(found), found.owed) == (["Hello."], "nothing")


ACTS = ("turn", "words", "said", "key", "whisper", "take", "give", "hang up")


@settings(max_examples=150)
@given(st.lists(st.sampled_from(ACTS), max_size=25))
def test_whatever_operators_do_and_whenever_a_session_is_lost(acts: list[str]) -> None:
    talk, at_ms = Talk(), 0
    speaks, whispers, meant, open_turn = False, [], [], ""
    for n, act in enumerate(acts):
        at_ms += 2_000
        match act:
            case "turn":
                open_turn = f"t{n}"
                talk.turn(open_turn, at_ms)
            case "words" if open_turn:
                fields = {"item_id": ItemId(open_turn), "text": f"words {n}"}
                talk.write(e.TurnTranscribed, **fields)
            case "said" if not speaks:
                talk.said(f"a{n}", f"answer {n}")
            case "key":
                digit = "9" if speaks else "1"
                talk.key(digit, at_ms)
                meant += [] if speaks else [digit]
            case "whisper":
                whispers.append(f"note {n}")
                talk.write(e.Whispered, by="mira", text=whispers[-1])
            case "take" if not speaks:
                talk.write(e.TakenOver, operator="mira", line_ms=at_ms)
                speaks = True
            case "give" if speaks:
                talk.write(e.GivenBack, operator="mira", line_ms=at_ms)
                speaks = False
                assert talk.restored().owed == "answer"
            case "hang up" if not speaks:
                talk.returned(talk.called("end_call"))
            case _:
                pass
        found = talk.restored()
        told = [text for text in noted(found) if text != asides.SPOKEN]
        assert told == [asides.whispered(text) for text in whispers], "each once, in order"
        pressed = "".join(t.digits for t in found.told if isinstance(t, Pressed))
        assert "9" not in pressed, "keys for the operator are for nobody else"
        assert len(pressed) + len(found.keys) == len(meant)
        assert found.operator is speaks
        if speaks:
            assert (found.owed, found.closing, found.keys) == ("nothing", None, ())
