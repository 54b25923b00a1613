"""What the local voice model understands: its grammar, its sentences and what they mean. Pure.

The grammar (JSGF) and the interpretation are made from the same tables, so every sentence that
`sentences` lists has a meaning. Callers name todos by words, never by numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

Period = Literal["today", "tomorrow", "week"]

DESCRIPTIONS = (
    "buy milk",
    "call the dentist",
    "water the plants",
    "pay the rent",
    "clean the kitchen",
    "book the flights",
    "send the report",
    "feed the cat",
    "wash the car",
    "return the library books",
    "order a birthday cake",
    "fix the bicycle",
)
"""The todos that can be spoken of."""

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAYS = ("today", "tomorrow", *WEEKDAYS)
PERIODS: dict[str, Period] = {"today": "today", "tomorrow": "tomorrow", "this week": "week"}

_ASK = ("what do i have", "what is on my list", "tell me what i have", "what is planned")
_ADD = ("add", "please add", "remind me to")
_ADD_LINKS = ("for", "on")
_COMPLETE = ("i have done", "i finished", "i have completed", "please complete", "i am done with")
_DELETE = ("delete", "remove", "please delete", "please remove")
# Heard so that short sounds and stray words are not bent into a wish; they mean nothing.
_STRAY = ("yes", "no", "hello", "okay", "sorry", "what", "help", "um", "uh", "ah", "hm", "oh", "a")
_GOODBYE = ("goodbye", "thank you goodbye", "that is all goodbye", "no thank you goodbye")
_PRESSED = re.compile(r"the caller pressed [0-9*#]: (.+)")
_KEYS: dict[str, Period] = {"today": "today", "tomorrow": "tomorrow", "the whole week": "week"}
"""Labels of menu keys, as the agent tells the model that one was pressed."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is due in a period."""

    period: Period


@dataclass(frozen=True, slots=True)
class Add:
    """A new todo for a day: today, tomorrow or the name of a weekday."""

    description: str
    day: str


@dataclass(frozen=True, slots=True)
class Complete:
    """A todo was done."""

    description: str


@dataclass(frozen=True, slots=True)
class Delete:
    """A todo is to go."""

    description: str


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The caller ends the conversation."""


Wish = Ask | Add | Complete | Delete | Goodbye


def grammar() -> str:
    """The JSGF grammar of all sentences."""

    def rule(name: str, choices: tuple[str, ...]) -> str:
        return f"<{name}> = {' | '.join(choices)};"

    return "\n".join(
        (
            "#JSGF V1.0;",
            "grammar planner;",
            rule("todo", DESCRIPTIONS),
            rule("weekday", WEEKDAYS),
            rule("ask", _ASK),
            rule("period", tuple(PERIODS)),
            rule("add", _ADD),
            rule("complete", _COMPLETE),
            rule("delete", _DELETE),
            rule("goodbye", _GOODBYE),
            rule("stray", _STRAY),
            "<when> = today | [for] tomorrow | (for | on) <weekday>;",
            "public <sentence> = <ask> <period> | <add> <todo> <when> | <complete> <todo>"
            " | <delete> <todo> | <goodbye> | <stray>;",
        )
    )


def sentences() -> Iterator[str]:
    """Every sentence that has a meaning, in a fixed order."""
    yield from (" ".join(words) for words in product(_ASK, PERIODS))
    yield from (" ".join(words) for words in product(_ADD, DESCRIPTIONS, _whens()))
    yield from (" ".join(words) for words in product(_COMPLETE, DESCRIPTIONS))
    yield from (" ".join(words) for words in product(_DELETE, DESCRIPTIONS))
    yield from _GOODBYE


def _whens() -> tuple[str, ...]:
    # "for today" is left out: it sounds like "for tuesday" on a telephone line.
    linked = (f"{link} {day}" for day in WEEKDAYS for link in _ADD_LINKS)
    return ("today", "tomorrow", "for tomorrow", *linked)


def understand(words: str) -> Wish | None:
    """The wish that a sentence states; None for anything that is not in the grammar."""
    said = words.lower().replace("?", "").replace(".", "").replace(",", "").strip()
    if said in _GOODBYE:
        return Goodbye()
    pressed = _PRESSED.fullmatch(said)
    if pressed is not None:
        period = _KEYS.get(pressed[1])
        return None if period is None else Ask(period)
    for phrase, (spoken, period) in product(_ASK, PERIODS.items()):
        if said == f"{phrase} {spoken}":
            return Ask(period)
    for description in DESCRIPTIONS:
        before, found, after = said.partition(description)
        if found:
            return _about(description, before.strip(), after.strip())
    return None


def _about(description: str, before: str, after: str) -> Wish | None:
    if before in _ADD and after in _whens():
        return Add(description, after.split()[-1])
    if before in _COMPLETE and not after:
        return Complete(description)
    if before in _DELETE and not after:
        return Delete(description)
    return None
