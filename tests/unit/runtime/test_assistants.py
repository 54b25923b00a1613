"""Assistant profiles: what is wrong is named by file, key and reason; who answers which number;
reloading without a restart; when somebody is there.
"""

import os
from datetime import date, datetime
from pathlib import Path

import pytest
import structlog.testing

from runtime import assistants
from runtime.assistant import MenuItem, Transfer, somebody_there
from runtime.assistants import LOOK_MS, Profiles, load
from runtime.errors import ServiceError

ROOT = Path(__file__).parents[3]
GOOD = """
name = "desk"
numbers = ["*"]
greeting = "Greet."
instructions = "Help."
tools = ["get_tasks"]
"""


def write(folder, text, name="desk.toml"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def problem(folder):
    with pytest.raises(ServiceError) as raised:
        load(folder)
    return str(raised.value)


def test_a_profile_of_few_words_can_be_used(tmp_path):
    loaded = load(write(tmp_path, GOOD)).answering("+15550100002")
    assert loaded is not None
    assert loaded.assistant.name == "desk"
    assert loaded.assistant.mode == "conversation"
    assert len(loaded.sha256) == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nme = 1\n" + GOOD, "desk.toml: nme: there is no such key"),
        (GOOD + "[pin]\nrequird = true", "desk.toml: pin.requird: there is no such key"),
        (GOOD.replace('greeting = "Greet."', ""), "desk.toml: greeting: is missing"),
        (GOOD.replace('"Greet."', '""'), "desk.toml: greeting: Expected `str` of length >= 1"),
        (GOOD.replace('"desk"', '"Front Desk"'), "desk.toml: name: Expected `str` matching regex"),
        (GOOD.replace('["*"]', '"*"'), "desk.toml: numbers: Expected `array`, got `str`"),
        (GOOD.replace('["*"]', "[]"), "desk.toml: numbers: Expected `array` of length >= 1"),
        (GOOD.replace('["*"]', '[" "]'), "desk.toml: numbers[0]: is empty"),
        (GOOD.replace('["*"]', '["*", "15550100002"]'), "desk.toml: numbers[1]: '15550100002' is"),
        (GOOD.replace('["*"]', '["+1 (555) 010-0002"]'), "desk.toml: numbers[0]: '+1 (555) 010"),
        (GOOD + 'mode = "robot"', "desk.toml: mode: Invalid enum value 'robot'"),
        (GOOD + 'mode = "keypad"', "desk.toml: menu: mode is keypad, so at least one item"),
        (GOOD + 'time_zone = "Mars/Base"', "desk.toml: time_zone: 'Mars/Base' is no IANA"),
        (GOOD + 'time_zone = "../etc"', "desk.toml: time_zone: '../etc' is no IANA"),
        (GOOD + 'language = "english"', "desk.toml: language: Expected `str` matching"),
        (GOOD + "max_output_tokens = 0", "desk.toml: max_output_tokens: Expected `int` >= 1"),
        (GOOD + "[pin]\nreminders = 99", "desk.toml: pin.reminders: Expected `int` <= 10"),
        (
            GOOD + "[pin]\nrequired = true\nreminder_s = 0",
            "desk.toml: pin.reminder_s: must be at least 1 second",
        ),
        (
            GOOD + '[[menu]]\nkey = "1"\nlabel = "x"\ntool = "fly"',
            "desk.toml: menu[0].tool: 'fly' is not among tools",
        ),
        (
            GOOD + '[[menu]]\nkey = "1"\nlabel = "x"\ntool = "get_tasks"\n' * 2,
            "desk.toml: menu[1].key: '1' is used twice",
        ),
        (GOOD + '[[menu]]\nkey = "0"\nlabel = "x"\ntool = "get_tasks"', "desk.toml: menu["),
        (GOOD + '[transfer]\nnumber = "110"', "desk.toml: transfer.number: '110' is not E.164"),
        (
            GOOD + '[transfer]\nhours = ["mon-fri 9-17"]',
            "desk.toml: transfer.hours[0]: 'mon-fri 9-17' is not like 'mon-fri 09:00-17:00'",
        ),
        (
            GOOD + '[transfer]\nhours = ["mon 08:00-10:00", "holidays"]',
            "desk.toml: transfer.hours[1]: 'holidays'",
        ),
        (
            GOOD + '[transfer]\nhours = ["mon 09:00-17:75"]',
            "desk.toml: transfer.hours[0]: 'mon 09:00-17:75' is not like",
        ),
        (
            GOOD + '[transfer]\nhours = ["mon 09:00-24:01"]',
            "desk.toml: transfer.hours[0]: 'mon 09:00-24:01' is not like",
        ),
        (
            GOOD + '[transfer]\nhours = ["fri 22:00-06:00"]',
            "desk.toml: transfer.hours[0]: 'fri 22:00-06:00' ends before it begins",
        ),
        (GOOD + "[prices]\naudio_in = 32", "desk.toml: prices.since: is missing"),
        (
            GOOD + '[output_check]\nforbidden = ["fine", "("]',
            "desk.toml: output_check.forbidden[1]: no regular expression",
        ),
        (
            GOOD
            + '[output_check]\nkind = "rules"\nforbidden = ["fine", "LEGAL advice"]\n'
            + 'instead = "I give no legal advice."',
            "desk.toml: output_check.instead: forbidden[1] ('LEGAL advice') forbids 'legal advice'",
        ),
        (
            GOOD + '[output_check]\nkind = "moderation"\nforbidden = ["todos?"]',
            "desk.toml: output_check.instead: forbidden[0] ('todos?') forbids 'todos' in it",
        ),
        (GOOD + "[limits]\ncall_usd = -1", "desk.toml: limits.call_usd: Expected `float` >= 0"),
        (GOOD + '[prices]\nsince = "soon"', "desk.toml: prices.since: Invalid"),
        (GOOD + "[[[", "desk.toml: is no TOML"),
    ],
)
def test_what_is_wrong_is_named_by_file_key_and_reason(tmp_path, text, said):
    assert said in problem(write(tmp_path, text))


@pytest.mark.parametrize(
    "check",
    [
        'kind = "rules"\nforbidden = ["legal advice"]\ninstead = "I cannot say that."',
        'kind = "off"\nforbidden = ["legal advice"]\ninstead = "I give no legal advice."',
    ],
)
def test_a_safe_sentence_that_no_rule_in_use_forbids(tmp_path, check):
    (loaded,) = load(write(tmp_path, f"{GOOD}[output_check]\n{check}")).all()
    assert loaded.assistant.output_check.forbidden == ("legal advice",)


def test_every_broken_file_is_named_at_once(tmp_path):
    write(tmp_path, "x = [", "one.toml")
    (tmp_path / "two.toml").write_bytes(b'name = "\xff"')
    (tmp_path / "three.toml").mkdir()
    text = problem(tmp_path)
    for words in ("one.toml: is no TOML", "two.toml: is no TOML", "three.toml: cannot be read"):
        assert words in text


def test_no_file_at_all(tmp_path):
    assert "no assistant profile (*.toml)" in problem(tmp_path)
    assert "ASSISTANTS_DIR" in problem(tmp_path / "nowhere")


def test_a_number_and_a_name_have_one_profile(tmp_path):
    write(tmp_path, GOOD, "a.toml")
    write(tmp_path, GOOD, "b.toml")
    text = problem(tmp_path)
    assert "b.toml: name: 'desk' is that of a.toml too" in text
    assert "b.toml: numbers: '*' is answered by 'desk' too" in text


def test_the_number_decides_and_the_star_takes_the_rest(tmp_path):
    write(tmp_path, GOOD, "a.toml")
    other = GOOD.replace('"desk"', '"shop"').replace('"*"', '"+15550100007", "+15550100008"')
    found = load(write(tmp_path, other, "b.toml"))
    names = [
        loaded.assistant.name
        for number in ("+15550100007", "+15550100008", "+15550100009", "")
        if (loaded := found.answering(number))
    ]
    assert names == ["shop", "shop", "desk", "desk"]
    assert [loaded.assistant.name for loaded in found.all()] == ["desk", "shop"]


def test_without_a_star_other_numbers_are_nobodys(tmp_path):
    found = load(write(tmp_path, GOOD.replace('"*"', '"+15550100007"')))
    assert found.answering("+15550100009") is None


# -- the profiles that ship


def test_the_planner_s_profile():
    loaded = load(ROOT / "assistants").answering("+15550100002")
    assert loaded is not None
    planner = loaded.assistant
    assert [(i.key, i.label, i.tool, i.arguments) for i in planner.menu] == [
        ("1", "today", "get_tasks", {"period": "today"}),
        ("2", "tomorrow", "get_tasks", {"period": "tomorrow"}),
        ("3", "the whole week", "get_tasks", {"period": "week"}),
    ]
    assert planner.prices.since == date(2026, 11, 22)
    assert (planner.prices.audio_in, planner.prices.audio_out) == (32, 64)
    for rule in ("at most two short sentences", "Always use the tools", "no advice", "no promises"):
        assert rule in planner.instructions


def test_another_business_ships_beside_the_planner():
    found = load(ROOT / "assistants")
    assert [x.assistant.name for x in found.all()] == ["front-desk", "on-your-plate"]
    loaded = found.answering("+15550100020")
    assert loaded is not None
    desk = loaded.assistant
    assert desk.name == "front-desk"
    assert desk.tools == ("opening_hours",)
    assert isinstance(desk.menu[0], MenuItem)


# -- reloading


class Folder:
    """A folder of profiles and a clock that stands."""

    def __init__(self, path):
        self.path = path
        self.now_ms = 0
        self.writes = 0

    def write(self, text, name="desk.toml"):
        file = write(self.path, text, name) / name
        self.writes += 1
        os.utime(file, ns=(self.writes, self.writes))

    def later(self, ms=LOOK_MS):
        self.now_ms += ms


@pytest.fixture
def folder(tmp_path):
    found = Folder(tmp_path)
    found.write(GOOD)
    return found


@pytest.fixture
def profiles(folder):
    return Profiles(folder.path, now_ms=lambda: folder.now_ms)


def instructions(profiles):
    loaded = profiles.answering("+15550100002")
    return None if loaded is None else loaded.assistant.instructions


def test_a_changed_profile_counts_from_the_next_call_on(folder, profiles):
    running = profiles.answering("+15550100002")
    folder.write(GOOD.replace("Help.", "Help more."))
    folder.later(LOOK_MS - 1)
    assert instructions(profiles) == "Help.", "looked at every two seconds at most"
    folder.later(1)
    assert instructions(profiles) == "Help more."
    assert running.assistant.instructions == "Help.", "a running call keeps its own"
    assert running.sha256 != profiles.answering("").sha256


def test_files_may_come_and_go(folder, profiles):
    shop = GOOD.replace('"desk"', '"shop"').replace('"*"', '"+15550100007"')
    folder.write(shop, "shop.toml")
    folder.later()
    assert [x.assistant.name for x in profiles.all()] == ["desk", "shop"]
    (folder.path / "shop.toml").unlink()
    folder.later()
    assert [x.assistant.name for x in profiles.all()] == ["desk"]


def test_a_broken_file_keeps_the_old_profiles_and_warns_once(folder, profiles, monkeypatch):
    monkeypatch.setattr(assistants, "_log", structlog.get_logger())
    with structlog.testing.capture_logs() as logs:
        folder.write("nme = 1\n" + GOOD)
        for _ in range(3):
            folder.later()
            assert instructions(profiles) == "Help."
        folder.write(GOOD.replace("Help.", "Mended."))
        folder.later()
        assert instructions(profiles) == "Mended."
    assert [log["log_level"] for log in logs] == ["warning", "info"]
    assert "desk.toml: nme: there is no such key" in logs[0]["reason"]


def test_an_empty_folder_keeps_the_old_profiles(folder, profiles):
    (folder.path / "desk.toml").unlink()
    folder.later()
    assert instructions(profiles) == "Help."


def test_a_folder_that_is_broken_from_the_start_is_an_error(tmp_path):
    with pytest.raises(ServiceError, match="ASSISTANTS_DIR"):
        Profiles(tmp_path)


# -- hours


@pytest.mark.parametrize(
    ("hours", "when", "there"),
    [
        ((), "2026-11-22T03:00", True),
        (("mon-fri 09:00-17:00",), "2026-11-23T09:00", True),  # a Monday
        (("mon-fri 09:00-17:00",), "2026-11-23T08:59", False),
        (("mon-fri 09:00-17:00",), "2026-11-27T16:59", True),
        (("mon-fri 09:00-17:00",), "2026-11-27T17:00", False),
        (("mon-fri 09:00-17:00",), "2026-11-28T10:00", False),
        (("sat 10:00-12:00",), "2026-11-28T11:00", True),
        (("fri-mon 10:00-12:00",), "2026-11-27T10:00", True),
        (("fri-mon 10:00-12:00",), "2026-11-28T10:00", True),
        (("fri-mon 10:00-12:00",), "2026-11-29T10:00", True),
        (("fri-mon 10:00-12:00",), "2026-11-23T10:00", True),
        (("fri-mon 10:00-12:00",), "2026-11-24T10:00", False),
        (("fri-mon 10:00-12:00",), "2026-11-26T10:00", False),
        (("mon 08:00-10:00", "tue 14:00-16:00"), "2026-11-24T15:00", True),
        (("mon 08:00-10:00", "tue 14:00-16:00"), "2026-11-24T09:00", False),
        (("sun 00:00-24:00",), "2026-11-22T23:59", True),
    ],
)
def test_when_somebody_is_there(hours, when, there):
    now = datetime.fromisoformat(when)
    assert somebody_there(Transfer("+15550100003", hours), now) is there


def test_nobody_is_there_without_a_number():
    assert not somebody_there(Transfer(), datetime.fromisoformat("2026-11-23T10:00"))
