"""What the keypad menu says (PURE): its choices, and a tool's answer as sentences for the ear.

A tool may be anybody's. An answer is spoken when it has ``spoken`` (a sentence) or a list of texts
or of objects with a ``description``, like ``{"todos": [...]}``; all else is honestly not.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, cast

import msgspec

from runtime.assistant import MenuItem

LISTED = 10
"""Entries that are read out."""
MAX_CHARS = 160
"""Of one entry."""
MAX_SPOKEN = 600
"""Of a tool's own sentence."""
ONE_MOMENT = "One moment, please."
_TEXTS = ("description", "text", "name", "title")
_SPOKEN_KEYS = {"*": "star", "#": "pound"}


def choices(items: Sequence[MenuItem], *, human: bool, assistant_key: str) -> str:
    """``Press 1 for today, 2 for tomorrow. Press 0 for a person.`` An empty ``assistant_key``: not
    offered. Empty when there is nothing to press.
    """
    sentences: list[str] = []
    if items:
        listed = ", ".join(f"{_key(item.key)} for {item.label}" for item in items)
        sentences.append(f"Press {listed}.")
    if human:
        sentences.append("Press 0 for a person.")
    if assistant_key:
        sentences.append(f"Press {_key(assistant_key)} for the assistant.")
    return " ".join(sentences)


def answer(item: MenuItem, output: str) -> str | None:
    """What an item's tool answered (JSON text), for the caller; None when it failed or answered
    nothing that can be spoken.
    """
    try:
        found: Any = msgspec.json.decode(output)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    fields = cast("dict[str, Any]", found)
    if fields.get("status") == "failed":
        return None
    spoken = fields.get("spoken")
    if isinstance(spoken, str) and (text := _clean(spoken, MAX_SPOKEN)):
        return text
    lists = [cast("list[Any]", value) for value in fields.values() if isinstance(value, list)]
    if len(lists) != 1:
        return None
    if not lists[0]:
        return item.empty or f"You don't have any todos for {item.label}."
    entries = [entry for value in lists[0] if (entry := _entry(value))]
    if not entries:
        return None
    more = len(entries) - LISTED
    rest = f" And {more} more." if more > 0 else ""
    listed = _listed(entries[:LISTED], days=item.days)
    return f"Here is what you have for {item.label}: {listed}.{rest}"


def _listed(entries: Sequence[tuple[str, date | None]], *, days: bool) -> str:
    """By day when there are several or ``days`` asks for it, in the order they came."""
    found = list(dict.fromkeys(day for _, day in entries))
    known = [day for day in found if day is not None]
    if len(known) < len(found) or (len(known) == 1 and not days):
        return ", ".join(text for text, _ in entries)
    weekdays = (max(known) - min(known)).days < 7
    parts: list[str] = []
    for day in known:
        named = f"{day:%A}" if weekdays else f"{day:%B} {day.day}"
        parts.append(f"on {named}, " + ", ".join(text for text, due in entries if due == day))
    return "; ".join(parts)


def _entry(value: Any) -> tuple[str, date | None] | None:
    if isinstance(value, str):
        text = _clean(value, MAX_CHARS)
        return (text, None) if text else None
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, Any]", value)
    for name in _TEXTS:
        text = fields.get(name)
        if isinstance(text, str) and (text := _clean(text, MAX_CHARS)):
            return text, _day(fields.get("deadline"))
    return None


def _day(value: Any) -> date | None:
    if not isinstance(value, str):
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None


def _clean(text: str, most: int) -> str:
    """One line of printable characters without a full stop at its end, at most ``most``."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) > most:
        line = line[:most].rsplit(" ", 1)[0]
    return line if most == MAX_SPOKEN else line.rstrip(".;, ")


def _key(key: str) -> str:
    return _SPOKEN_KEYS.get(key, key)
