"""The prompts that ship as mu-law 8 kHz files, ``prompts/<language>/<name>.ulaw``; their words
stand in ``prompts/<language>.toml``.

Loaded once at start by ``speaker.running``. They are rendered by ``python -m testbed.sentences``;
a folder of the operator's own may replace any of them.
"""

import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal, get_args

from msgspec import Struct

from runtime import logging
from runtime.errors import ServiceError

_log = logging.get("speaker.shipped")

Name = Literal[
    "gate_prompt",
    "gate_reminder",
    "gate_wrong",
    "gate_wrong_2",
    "gate_wrong_1",
    "gate_too_short",
    "gate_restarted",
    "gate_accepted",
    "gate_locked",
    "gate_refused",
    "gate_no_pin",
    "gate_unavailable",
    "keypad",
    "keypad_unknown_key",
    "keypad_back",
    "keypad_not_back",
    "human",
    "transferring",
    "nobody",
    "filler",
    "still_there",
    "silent_goodbye",
    "one_minute_left",
    "time_up",
    "budget",
    "tool_failed",
    "nothing",
    "sorry_goodbye",
    "goodbye",
    "recorded",
]
NAMES: tuple[Name, ...] = get_args(Name)
FALLBACK = "en"
"""Spoken where a language has no file of that name: a strange language beats silence."""


def gate_wrong(tries_left: int) -> Name:
    """The prompt after a wrong PIN that says how many tries are left, where one is shipped."""
    by_tries: dict[int, Name] = {1: "gate_wrong_1", 2: "gate_wrong_2"}
    return by_tries.get(tries_left, "gate_wrong")


class Prompt(Struct, frozen=True):
    """``audio`` is mu-law 8 kHz. ``words`` may differ from it where the operator recorded
    others.
    """

    words: str
    audio: bytes


class Prompts:
    """Every shipped prompt, by language and name."""

    def __init__(self, prompts: dict[tuple[str, Name], Prompt]) -> None:
        self._prompts = prompts
        self._by_words = {
            (language, prompt.words): prompt.audio for (language, _), prompt in prompts.items()
        }
        self._missed: set[str] = set()

    def audio(self, name: Name, language: str) -> bytes:
        """The prompt in ``language``, else in English."""
        found = self._prompts.get((language, name))
        if found is None:
            if language not in self._missed:
                self._missed.add(language)
                _log.warning("no prompts of this language", language=language, spoken=FALLBACK)
            found = self._prompts[FALLBACK, name]
        return found.audio

    def words(self, name: Name, language: str) -> str:
        """What the prompt says."""
        found = self._prompts.get((language, name)) or self._prompts[FALLBACK, name]
        return found.words

    def saying(self, words: str, language: str) -> bytes | None:
        """The audio of exactly these words, if they are shipped."""
        return self._by_words.get((language, words))


def load(own: Path | None = None) -> Prompts:
    """The shipped prompts, each replaced by ``own/<language>/<name>.ulaw`` where that exists.

    Raises ServiceError naming a file of the installation that is missing or empty, or a folder
    ``own`` that is none.
    """
    if own is not None and not own.is_dir():
        raise ServiceError(f"SPEAKER_PROMPTS_DIR: {own} is no folder")
    found: dict[tuple[str, Name], Prompt] = {}
    shipped = resources.files("ai_agent") / "speaker" / "prompts"
    for listed in shipped.iterdir():
        if not listed.name.endswith(".toml"):
            continue
        language = listed.name.removesuffix(".toml")
        words = tomllib.loads(listed.read_text("utf-8"))
        for name in NAMES:
            if name in words:
                audio = _shipped(shipped / language / f"{name}.ulaw", f"{language}/{name}")
                found[language, name] = Prompt(words[name], audio)
    missing = [name for name in NAMES if (FALLBACK, name) not in found]
    if missing:
        raise ServiceError(f"the prompts {', '.join(missing)} are missing from the installation")
    for file in own.glob("*/*.ulaw") if own is not None else ():
        _replace(found, file)
    return Prompts(found)


def _replace(found: dict[tuple[str, Name], Prompt], file: Path) -> None:
    language = file.parent.name
    names: dict[str, Name] = {name: name for name in NAMES}
    name = names.get(file.stem)
    if name is None:
        _log.warning("no prompt has this name", language=language, name=file.stem)
        return
    known = found.get((language, name))
    found[language, name] = Prompt(known.words if known else "", file.read_bytes())


def _shipped(file: Traversable, name: str) -> bytes:
    try:
        audio = file.read_bytes()
    except OSError:
        audio = b""
    if not audio:
        raise ServiceError(
            f"the prompt {name}.ulaw is missing from the installation: render it with "
            "python -m testbed.sentences and install again"
        )
    return audio
