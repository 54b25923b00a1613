"""The human behind a number: there or not, after a change and with a broken file."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from webhooks.profiles import Profiles

PROFILE = """
name = "{name}"
numbers = ["{called}"]
instructions = "i"
greeting = "g"
time_zone = "America/New_York"
[transfer]
number = "{number}"
hours = ["mon-fri 09:00-17:00"]
nobody = "Nobody."
"""
MONDAY_10_IN_NEW_YORK = datetime(2026, 11, 23, 15, tzinfo=UTC)
MONDAY_9_IN_LONDON = datetime(2026, 11, 23, 9, tzinfo=UTC)


def write(folder: Path, text: str, at: int, file: str = "a.toml") -> None:
    (folder / file).write_text(text, "utf-8")
    os.utime(folder / file, (at, at))


def profile(number: str = "+15550100009", called: str = "+15550100002", name: str = "a") -> str:
    return PROFILE.format(number=number, called=called, name=name)


def number(profiles: Profiles, called: str, now: datetime) -> str | None:
    found = profiles.human(called, now)
    return found[1].number if found is not None else None


def test_hours_are_the_profiles_own(tmp_path: Path) -> None:
    write(tmp_path, profile(), 1)
    profiles = Profiles(tmp_path)
    assert number(profiles, "+15550100002", MONDAY_10_IN_NEW_YORK) == "+15550100009"
    assert number(profiles, "+15550100002", MONDAY_9_IN_LONDON) is None
    assert number(profiles, "+15550100005", MONDAY_10_IN_NEW_YORK) is None
    assert profiles.nobody("+15550100002") == "Nobody."
    assert "nobody is available" in profiles.nobody("+15550100005")


def test_a_change_counts_from_the_next_question_on(tmp_path: Path) -> None:
    write(tmp_path, profile(), 1)
    profiles = Profiles(tmp_path)
    assert profiles.named("a") is not None
    write(tmp_path, profile("+15550100010"), 2)
    write(tmp_path, profile(called="+15550100007", name="b"), 2, "b.toml")
    assert number(profiles, "+15550100002", MONDAY_10_IN_NEW_YORK) == "+15550100010"
    assert number(profiles, "+15550100007", MONDAY_10_IN_NEW_YORK) == "+15550100009"
    assert profiles.named("b") is not None
    assert profiles.named("../b") is None


@pytest.mark.parametrize("broken", ["no toml", "name = 1", profile("123")])
def test_a_broken_file_changes_nothing(tmp_path: Path, broken: str) -> None:
    write(tmp_path, profile(), 1)
    profiles = Profiles(tmp_path)
    assert number(profiles, "+15550100002", MONDAY_10_IN_NEW_YORK)
    write(tmp_path, broken, 2)
    assert number(profiles, "+15550100002", MONDAY_10_IN_NEW_YORK) == "+15550100009"
    write(tmp_path, profile("+15550100010"), 3)
    assert number(profiles, "+15550100002", MONDAY_10_IN_NEW_YORK) == "+15550100010"


def test_no_folder_is_nobody(tmp_path: Path) -> None:
    profiles = Profiles(tmp_path / "nowhere")
    assert number(profiles, "+15550100002", MONDAY_10_IN_NEW_YORK) is None
