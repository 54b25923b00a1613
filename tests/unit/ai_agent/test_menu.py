"""The keypad menu: what is said, which tool runs when, and a state machine of restless fingers."""

import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ai_agent import menu_words
from ai_agent.effects import Record
from ai_agent.key_flood import BURST
from ai_agent.keypad_effects import (
    PROMPTS,
    CallHuman,
    HangUp,
    RunMenu,
    SayPrompt,
    SayText,
    StopSpeech,
    TryConversation,
)
from ai_agent.menu import AGAIN_MS, WAIT_MS, Menu
from ai_agent.speaker.shipped import NAMES
from protocol import line
from protocol.events import KeyPressed, LimitReached
from runtime.assistant import MenuItem, Silence

ITEMS = (
    MenuItem("1", "today", "get_tasks", {"period": "today"}, "Nothing for today."),
    MenuItem("2", "tomorrow", "get_tasks", {"period": "tomorrow"}),
    MenuItem("3", "the whole week", "get_tasks", {"period": "week"}, days=True),
)
CHOICES = (
    "Press 1 for today, 2 for tomorrow, 3 for the whole week. Press 0 for a person."
    " Press star for the assistant."
)
MILK = '{"todos":[{"id":1,"deadline":"2026-11-23","description":"buy milk"}]}'
SILENCE = Silence(reminder_s=10, hang_up_s=30)


def opened(items=ITEMS, *, human=True, assistant=True, silence=SILENCE):
    menu = Menu(items, silence, 0, human=human, assistant=assistant)
    menu.start(0)
    menu.on_heard(0)
    return menu


def press(menu, key, now_ms=1_000):
    return [e for e in menu.on_key(line.Dtmf(key, now_ms), now_ms) if not isinstance(e, Record)]


def run(menu, key="1", output=MILK, now_ms=1_000):
    """Press an item's key and answer its tool."""
    (wanted,) = press(menu, key, now_ms)
    return menu.on_tool_output(wanted.run, output, now_ms)


def test_the_choices_are_told_after_why():
    menu = Menu(ITEMS, SILENCE, 0, human=True, assistant=True)
    assert menu.start(0, "keypad") == [SayPrompt("keypad"), SayText(CHOICES, otherwise="human")]


def test_only_what_works_is_offered():
    menu = Menu(ITEMS, SILENCE, 0, human=False, assistant=False)
    (told,) = menu.start(0)
    assert told == SayText("Press 1 for today, 2 for tomorrow, 3 for the whole week.")
    nothing = Menu((), SILENCE, 0, human=False, assistant=False)
    assert nothing.start(0) == [SayPrompt("nobody")]
    human = Menu((), SILENCE, 0, human=True, assistant=False)
    assert human.start(0) == [SayText("Press 0 for a person.", otherwise="human")]


def test_a_key_runs_its_tool_and_the_answer_is_spoken():
    menu = opened()
    (wanted,) = press(menu, "1")
    assert wanted == RunMenu(1, ITEMS[0])
    said = menu.on_tool_output(1, MILK, 1_200)
    assert said == [SayText("Here is what you have for today: buy milk.", personal=True)]


def test_the_choices_come_again_after_a_silence():
    menu = opened()
    run(menu)
    assert menu.on_tick(2_000) == []
    menu.on_heard(4_000)
    assert menu.on_tick(4_000 + AGAIN_MS - 1) == []
    assert menu.on_tick(4_000 + AGAIN_MS) == [SayText(CHOICES, otherwise="human")]
    assert menu.on_tick(4_000 + AGAIN_MS + 1) == []


def test_a_key_in_the_silence_spares_the_choices():
    menu = opened()
    run(menu)
    menu.on_heard(4_000)
    press(menu, "2", 5_000)
    assert menu.on_tick(4_000 + AGAIN_MS) == []


def test_a_key_during_speech_silences_it_and_acts_at_once():
    menu = Menu(ITEMS, SILENCE, 0, human=True, assistant=True)
    menu.start(0)
    assert press(menu, "2") == [StopSpeech(), RunMenu(1, ITEMS[1])]


def test_keys_are_written_as_they_are():
    menu = opened()
    (record, _) = menu.on_key(line.Dtmf("1", 44), 1)
    assert record == Record(KeyPressed, {"digit": "1", "line_ms": 44})


def test_one_tool_at_a_time_and_of_the_keys_meanwhile_the_last_counts():
    menu = opened()
    press(menu, "1")
    assert press(menu, "2") == []
    assert press(menu, "3") == []
    assert menu.on_tool_output(1, MILK, 2_000) == [RunMenu(2, ITEMS[2])]
    assert menu.on_tool_output(1, MILK, 2_100) == [], "came twice"
    assert menu.on_tool_output(2, '{"todos":[]}', 2_200) == [
        SayText("You don't have any todos for the whole week.", personal=True)
    ]


def test_a_tool_that_never_answers_is_an_honest_sentence():
    menu = opened(silence=Silence(reminder_s=0, hang_up_s=0))
    press(menu, "1")
    assert menu.on_tick(1_000 + WAIT_MS - 1) == []
    assert menu.on_tick(1_000 + WAIT_MS) == [SayPrompt("tool_failed")]
    assert menu.on_tool_output(1, MILK, 1_001 + WAIT_MS) == [], "too late"


def test_zero_asks_for_the_human():
    menu = opened()
    assert press(menu, "0") == [SayPrompt("transferring"), CallHuman()]
    assert menu.done
    assert press(menu, "1") == []
    assert menu.on_tick(10**6) == []
    away = menu.on_human_away(2_000)
    assert away == [SayPrompt("nobody"), SayText(CHOICES, otherwise="human")]
    assert menu.on_human_away(2_001) == []
    assert press(menu, "1", 3_000) == [StopSpeech(), RunMenu(1, ITEMS[0])]


def test_zero_without_a_human_says_so():
    menu = opened(human=False)
    effects = press(menu, "0")
    assert effects[0] == SayPrompt("nobody")
    assert isinstance(effects[1], SayText)


def test_an_unknown_key_says_so():
    assert press(opened(), "9") == [
        SayPrompt("keypad_unknown_key"),
        SayText(CHOICES, otherwise="human"),
    ]


def test_star_asks_for_the_assistant():
    menu = opened()
    effects = press(menu, "*")
    assert effects == [SayText(menu_words.ONE_MOMENT), TryConversation()]
    assert press(menu, "*") == [], "already trying"
    assert menu.on_assistant_away(3_000)[0] == SayPrompt("keypad_not_back")
    assert menu.on_assistant_away(3_001) == []
    menu.on_heard(4_000)
    assert TryConversation() in press(menu, "*", 5_000)
    assert menu.on_tick(5_000 + WAIT_MS)[0] == SayPrompt("keypad_not_back"), "nobody said anything"


def test_an_item_on_star_leaves_pound_for_the_assistant():
    menu = opened((*ITEMS, MenuItem("*", "our hours", "opening_hours")))
    (wanted,) = press(menu, "*")
    assert wanted.item.tool == "opening_hours"
    menu.on_tool_output(wanted.run, '{"spoken":"We are open."}', 1_100)
    assert press(menu, "#", 1_200)[-1] == TryConversation()


def test_without_an_assistant_star_is_an_unknown_key():
    assert press(opened(assistant=False), "*")[0] == SayPrompt("keypad_unknown_key")


def test_silence_is_reminded_and_ended():
    menu = opened()
    assert menu.on_tick(9_999) == []
    assert menu.on_tick(10_000) == [SayPrompt("still_there"), SayText(CHOICES, otherwise="human")]
    menu.on_heard(20_000)
    assert menu.on_tick(39_999) == []
    record, *rest = menu.on_tick(40_000)
    assert record == Record(LimitReached, {"limit": "silence"})
    assert rest == [SayPrompt("silent_goodbye"), HangUp("silence")]
    assert menu.on_tick(90_000) == []
    assert menu.on_human_away(90_000) == []


def test_a_running_tool_is_no_silence():
    menu = opened()
    press(menu, "1")
    assert menu.on_tick(25_000) == []


def test_speech_that_nobody_reports_as_heard_does_not_hold_the_call_for_ever():
    menu = Menu(ITEMS, SILENCE, 0, human=True, assistant=True)
    menu.start(0)
    assert menu.on_tick(10_000) == []
    menu.on_tick(60_000)
    assert SayPrompt("still_there") in menu.on_tick(70_000)


def test_a_flood_of_keys_neither_fills_the_log_nor_runs_a_tool_a_key():
    menu = opened()
    effects = [e for n in range(500) for e in menu.on_key(line.Dtmf("1", n), 1_000)]
    assert len([e for e in effects if isinstance(e, Record)]) == BURST
    assert len([e for e in effects if isinstance(e, RunMenu)]) == 1
    assert press(menu, "1", 60_000) == [], "still running"
    assert menu.on_tool_output(1, MILK, 60_100) == [RunMenu(2, ITEMS[0])]


def test_every_prompt_of_gate_and_menu_is_shipped():
    assert set(PROMPTS) <= set(NAMES)


# -- answers


def todos(*entries):
    return json.dumps(
        {"todos": [{"id": 1, "description": d, "deadline": day} for d, day in entries]}
    )


@pytest.mark.parametrize(
    ("item", "output", "text"),
    [
        (0, '{"todos":[]}', "Nothing for today."),
        (1, '{"todos":[]}', "You don't have any todos for tomorrow."),
        (
            0,
            todos(("buy milk", "2026-11-23"), ("call the dentist.", "2026-11-23")),
            "Here is what you have for today: buy milk, call the dentist.",
        ),
        (
            2,
            todos(("buy milk", "2026-11-23"), ("run", "2026-11-23"), ("swim", "2026-11-26")),
            "Here is what you have for the whole week:"
            " on Monday, buy milk, run; on Thursday, swim.",
        ),
        (
            2,
            todos(("buy milk", "2026-11-24")),
            "Here is what you have for the whole week: on Tuesday, buy milk.",
        ),
        (
            0,
            todos(("a", "2026-11-23"), ("b", "2026-12-24")),
            "Here is what you have for today: on November 23, a; on December 24, b.",
        ),
        (0, '{"names":["Ada","Bob"]}', "Here is what you have for today: Ada, Bob."),
        (0, '{"spoken":"We are open  until five."}', "We are open until five."),
        (0, todos(("a\x00\nb", "x")), "Here is what you have for today: a b."),
    ],
)
def test_what_an_answer_sounds_like(item, output, text):
    assert menu_words.answer(ITEMS[item], output) == text


@pytest.mark.parametrize(
    "output",
    [
        "",
        "garbage",
        "[]",
        "null",
        "7",
        "{}",
        '{"status":"failed","message":"secret"}',
        '{"todos":{}}',
        '{"todos":[1,2]}',
        '{"todos":[{}]}',
        '{"a":[],"b":[]}',
        '{"spoken":""}',
        '{"spoken":7}',
        "[" * 100_000,
    ],
)
def test_garbage_and_failures_are_an_honest_sentence(output):
    menu = opened()
    assert run(menu, output=output) == [SayPrompt("tool_failed")]
    menu.on_heard(2_000)
    assert run(menu, output=MILK, now_ms=2_100) == [
        SayText("Here is what you have for today: buy milk.", personal=True)
    ], "the call goes on"


def test_a_long_list_and_long_entries_are_bounded():
    many = menu_words.answer(ITEMS[0], todos(*[(f"thing {n}", "2026-11-23") for n in range(14)]))
    assert many is not None
    assert many.endswith("thing 9. And 4 more.")
    long = menu_words.answer(ITEMS[0], todos(("word " * 1_000, "2026-11-23")))
    assert long is not None
    assert len(long) < 250
    spoken = menu_words.answer(ITEMS[0], json.dumps({"spoken": "x " * 5_000}))
    assert spoken is not None
    assert len(spoken) <= menu_words.MAX_SPOKEN


def test_a_menu_whose_worker_died_speaks_the_answer_that_was_asked_for():
    menu = Menu(ITEMS, SILENCE, 0, human=True, assistant=True)
    run = menu.go_on(ITEMS[0].key, 0)
    assert run is not None
    assert not menu.quiet
    (spoken,) = menu.on_tool_output(run, MILK, 100)
    assert "milk" in spoken.text
    assert not menu.quiet
    menu.on_heard(200)
    assert menu.quiet


def test_a_menu_goes_on_in_silence_when_nothing_of_its_items_was_asked_for():
    menu = Menu(ITEMS, SILENCE, 0, human=True, assistant=True)
    assert menu.go_on("*", 0) is None
    assert menu.quiet
    assert any(isinstance(e, RunMenu) for e in menu.on_key(line.Dtmf(ITEMS[0].key, 0), 10))


# -- operators


def test_a_paused_menu_says_nothing_and_does_nothing_but_write_keys_down():
    menu = opened()
    press(menu, "2")
    assert menu.pause(1_100) == []
    assert [type(e) for e in menu.on_key(line.Dtmf("1", 44), 1_200)] == [Record]
    assert menu.on_tool_output(1, MILK, 1_300) == []
    assert [e for now in range(2_000, 200_000, 250) for e in menu.on_tick(now)] == []
    assert menu.resume(200_000) == [SayText(CHOICES, otherwise="human")]
    menu.on_heard(201_000)
    assert press(menu, "1", 202_000) == [RunMenu(2, ITEMS[0])]


def test_a_pause_stops_what_is_being_said():
    menu = Menu(ITEMS, SILENCE, 0, human=True, assistant=True)
    menu.start(0)
    assert menu.pause(100) == [StopSpeech()]


def test_a_menu_that_begins_paused_tells_its_choices_when_it_is_resumed():
    menu = Menu(ITEMS, SILENCE, 0, human=True, assistant=True)
    menu.pause(0)
    assert menu.start(0, "keypad") == []
    assert menu.on_assistant_away(10) == []
    assert menu.resume(1_000) == [SayText(CHOICES, otherwise="human")]


def test_a_sentence_of_an_operators_holds_the_silence():
    menu = opened(silence=Silence(reminder_s=2, hang_up_s=4))
    assert menu.say("Please hold.", 1_000) == [SayText("Please hold.", personal=True)]
    assert menu.on_tick(7_000) == []
    assert not menu.quiet
    menu.on_heard(7_000)
    assert menu.quiet


def test_an_operator_ends_the_call_or_passes_it_on():
    menu = opened()
    assert menu.hang_up() == [HangUp("operator")]
    assert menu.done
    assert press(menu, "1") == []
    menu = opened()
    assert menu.transfer(announced=False) == [SayPrompt("transferring"), CallHuman()]
    assert menu.done
    menu = opened()
    menu.pause(0)
    assert menu.transfer(announced=True) == [CallHuman()]


def test_an_operator_asks_for_the_assistant_once():
    menu = opened()
    assert TryConversation() in menu.to_assistant(1_000)
    assert menu.to_assistant(1_100) == []


class Fingers(RuleBasedStateMachine):
    """Keys, answers, reports and time, in any order."""

    def __init__(self):
        super().__init__()
        self.menu = Menu(ITEMS, SILENCE, 0, human=True, assistant=True)
        self.now = 0
        self.running = set()
        self.since = 0
        self.runs = 0
        self.gone = False
        self.take(self.menu.start(0))

    def take(self, effects):
        for effect in effects:
            assert not self.gone, "nothing follows HangUp or CallHuman"
            match effect:
                case RunMenu():
                    assert not self.running, "one tool at a time"
                    self.runs += 1
                    assert effect.run == self.runs
                    self.running, self.since = {effect.run}, self.now
                case HangUp() | CallHuman():
                    self.gone = True
                case SayPrompt():
                    assert effect.name in PROMPTS
                case SayText():
                    assert effect.text.strip()
                case _:
                    pass

    @rule(key=st.sampled_from("0123456789*#A"), times=st.integers(1, 20))
    def press(self, key, times):
        for _ in range(times):
            self.take(self.menu.on_key(line.Dtmf(key, self.now), self.now))

    @rule(ms=st.integers(0, 40_000))
    def wait(self, ms):
        self.now += ms
        effects = self.menu.on_tick(self.now)
        if self.now - self.since >= WAIT_MS:  # its answer is waited for no longer
            self.running = set()
        self.take(effects)

    @rule()
    def heard(self):
        self.take(self.menu.on_heard(self.now))

    @rule(run=st.integers(0, 6), output=st.sampled_from([MILK, "garbage", '{"todos":[]}']))
    def answered(self, run, output):
        waited = run in self.running
        if waited:
            self.running = set()
        effects = self.menu.on_tool_output(run, output, self.now)
        assert bool(effects) is (waited and not self.gone)
        self.take(effects)

    @rule()
    def assistant_away(self):
        self.take(self.menu.on_assistant_away(self.now))

    @rule()
    def human_away(self):
        effects = self.menu.on_human_away(self.now)
        if effects:
            self.gone = False
        self.take(effects)

    @invariant()
    def says_whether_it_is_done(self):
        assert self.menu.done is self.gone


TestFingers = Fingers.TestCase
TestFingers.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
