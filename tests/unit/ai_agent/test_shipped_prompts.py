"""The prompts that are heard with everything else down: all there, playable, replaceable."""

import hashlib
import tomllib
from pathlib import Path

import pytest

from ai_agent.speaker import shipped
from protocol.audio import duration_ms
from runtime.errors import ServiceError
from testbed import sentences
from testbed.voice.g711 import MULAW_TO_LINEAR

PROMPTS = sentences.REPOSITORY / sentences.PROMPTS_FOLDER
WORDS = tomllib.loads((PROMPTS / "en.toml").read_text("utf-8"))


def test_the_list_and_the_names_are_the_same() -> None:
    assert tuple(WORDS) == shipped.NAMES


@pytest.mark.parametrize("name", shipped.NAMES)
def test_every_prompt_is_speech_of_about_its_length(name: shipped.Name) -> None:
    audio = shipped.load().audio(name, "en")
    assert 35 <= duration_ms(audio) / len(WORDS[name]) <= 120  # ms a character
    assert max(abs(MULAW_TO_LINEAR[code]) for code in audio) > 8_000


def test_the_files_are_those_of_the_list() -> None:
    assert {file.stem for file in (PROMPTS / "en").glob("*.ulaw")} == set(WORDS)
    assert len(
        {hashlib.sha256(file.read_bytes()).digest() for file in (PROMPTS / "en").iterdir()}
    ) == len(WORDS)


def test_a_language_without_prompts_is_spoken_in_english() -> None:
    prompts = shipped.load()
    assert prompts.audio("goodbye", "xx") == prompts.audio("goodbye", "en")


def test_words_that_are_shipped_are_found_by_them() -> None:
    prompts = shipped.load()
    assert prompts.saying(WORDS["keypad"], "en") == prompts.audio("keypad", "en")
    assert prompts.saying("I am switching to the keypad", "en") is None
    assert prompts.saying(WORDS["keypad"], "de") is None


@pytest.mark.parametrize(
    ("tries", "name"), [(1, "gate_wrong_1"), (2, "gate_wrong_2"), (5, "gate_wrong")]
)
def test_the_tries_left_choose_the_prompt(tries: int, name: str) -> None:
    assert shipped.gate_wrong(tries) == name


def test_own_recordings_replace_and_add(tmp_path: Path) -> None:
    for file in ("en/goodbye.ulaw", "de/goodbye.ulaw", "en/no_such_prompt.ulaw"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(file.encode())
    prompts = shipped.load(tmp_path)
    assert prompts.audio("goodbye", "en") == b"en/goodbye.ulaw"
    assert prompts.audio("goodbye", "de") == b"de/goodbye.ulaw"
    assert prompts.audio("filler", "en") == shipped.load().audio("filler", "en")


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"SPEAKER_PROMPTS_DIR: .*nowhere"):
        shipped.load(tmp_path / "nowhere")
