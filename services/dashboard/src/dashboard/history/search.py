"""The one search field: what an operator typed as a question to the history (pure).

Numbers, calls, tools and dates are recognised; what is left are words that were said.
"""

import re
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

Length = Literal["short", "medium", "long", "longest"]
LENGTHS: dict[Length, tuple[str, int, int]] = {
    "short": ("under 30 s", 0, 30_000),
    "medium": ("30 s to 2 min", 30_000, 120_000),
    "long": ("2 to 10 min", 120_000, 600_000),
    "longest": ("over 10 min", 600_000, 2_147_483_647),
}
"""Words, from and below, in ms."""
OUTCOMES = {
    "going_on": "going on",
    "caller_hung_up": "caller hung up",
    "assistant_hung_up": "assistant hung up",
    "transferred": "transferred",
    "completed": "completed",
    "no_answer": "no answer",
    "busy": "busy",
    "canceled": "canceled",
    "failed": "failed",
    "lost": "lost",
}
MOST_LETTERS = 200
FREE_DIGITS = 4
"""Digits of a number's end that everybody may look for: masks show as many."""

_TOKEN = re.compile(r'"[^"]*"|\S+')
_CALL = re.compile(r"CA[0-9a-f]{32}\Z")
_DAY = r"\d{4}-\d{2}-\d{2}"
_RANGE = re.compile(rf"({_DAY})?\.\.({_DAY})?\Z")
_MONTH = re.compile(r"(\d{4})-(\d{2})\Z")
_DAYS = re.compile(r"(\d{1,3})d\Z")
_TOOL = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+\Z")
_NAMED_TOOL = re.compile(r"tool:([A-Za-z0-9_.-]{1,128})\Z")
_NUMBER = re.compile(r"\+?[\d().\-/]*\d[\d().\-/]*\Z")


class Question(Struct, frozen=True):
    """What is looked for; empty fields ask for nothing. Times are [since, until).

    ``number`` begins with + when it is looked for from its beginning, else it is any end of it (or
    the whole). ``words`` is in the way of a web search: "a phrase", or, -not.
    """

    words: str = ""
    number: str = ""
    tool: str = ""
    call_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    exact: bool = False
    """A number with + is the whole one, not the beginning of one."""
    outcome: str = ""
    length: Length | None = None
    assistant: str = ""
    text: str = ""
    understood: tuple[str, ...] = ()

    @property
    def digits(self) -> str:
        return self.number.lstrip("+")


def question(
    text: str, *, today: date, zone: ZoneInfo, outcome: str = "", length: str = "", who: str = ""
) -> Question:
    """``text`` of the search field and the chosen facets (``who``: the assistant) as a question.

    ``today`` is the day in ``zone``, in which dates are meant. What makes no sense is a word.
    """
    text = " ".join(text.replace("\0", "").split())[:MOST_LETTERS]
    words: list[str] = []
    number = tool = call_id = ""
    days: tuple[date | None, date | None] | None = None
    open_number = False
    for match_ in _TOKEN.finditer(text):
        token = match_[0]
        if token.startswith('"'):
            words.append(token)
        elif open_number and re.match(r"[\d().\-/]+\Z", token) and _days(token, today) is None:
            number += _digits(token)
            continue
        elif _CALL.match(token):
            call_id = token
        elif (found := _days(token.casefold(), today)) is not None:
            days = found
        elif match := _NAMED_TOOL.match(token):
            tool = match[1]
        elif _TOOL.match(token):
            tool = token
        elif _NUMBER.match(token) and (token.startswith("+") or len(_digits(token)) >= 3):
            number = ("+" if token.startswith("+") else "") + _digits(token)
            open_number = True
            continue
        else:
            words.append(token)
        open_number = False
    since, until = _span(days, zone)
    chosen = Question(
        words=" ".join(words),
        number=number,
        tool=tool,
        call_id=call_id,
        since=since,
        until=until,
        outcome=outcome if outcome in OUTCOMES else "",
        length=next((name for name in LENGTHS if name == length), None),
        assistant=who.replace("\0", "")[:200],
        text=text,
    )
    return _explained(chosen, days)


def allowed(asked: Question, *, any_part: bool) -> bool:
    """May a part of this number be looked for? Who may not see numbers could find one out digit by
    digit: for them it must be whole, or no more of its end than a mask shows.
    """
    if any_part or not asked.number or whole_number(asked):
        return True
    return not asked.number.startswith("+") and len(asked.digits) <= FREE_DIGITS


def whole_number(asked: Question) -> str:
    """The E.164 number that was asked for, or "": a part of one, or none."""
    return asked.number if asked.number.startswith("+") and len(asked.digits) >= 8 else ""


def day_in(text: str) -> date | None:
    """``2026-11-20`` as a day, or None."""
    try:
        return date.fromisoformat(text) if re.match(rf"{_DAY}\Z", text) else None
    except ValueError:
        return None


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def _days(text: str, today: date) -> tuple[date | None, date | None] | None:
    """The first and the last day that ``text`` means; None when it is no date."""
    if text in {"today", "yesterday"}:
        one = today if text == "today" else today - timedelta(days=1)
        return one, one
    if day := day_in(text):
        return day, day
    if (match := _RANGE.match(text)) and (match[1] or match[2]):
        first = day_in(match[1]) if match[1] else None
        last = day_in(match[2]) if match[2] else None
        wrong = (match[1] and first is None) or (match[2] and last is None)
        return None if wrong else (first, last)
    if match := _MONTH.match(text):
        try:
            first = date(int(match[1]), int(match[2]), 1)
        except ValueError:
            return None
        return first, (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    if (match := _DAYS.match(text)) and int(match[1]):
        return today - timedelta(days=int(match[1]) - 1), today
    return None


def _span(
    days: tuple[date | None, date | None] | None, zone: ZoneInfo
) -> tuple[datetime | None, datetime | None]:
    first, last = days or (None, None)
    try:
        since = first and datetime.combine(first, time(), zone)
        until = last and datetime.combine(last + timedelta(days=1), time(), zone)
        for at in (since, until):
            if at is not None and not 1970 <= at.year <= 9000:
                return None, None
    except OverflowError:
        return None, None
    return since, until


def _explained(asked: Question, days: tuple[date | None, date | None] | None) -> Question:
    """``asked`` with what was understood, in words."""
    said: list[str] = []
    if asked.number:
        where = "beginning with" if asked.number.startswith("+") else "ending in"
        shown = "whole number" if whole_number(asked) else f"number {where} {asked.digits}"
        said.append(shown)
    if asked.call_id:
        said.append("one call")
    if days is not None:
        first, last = days
        words = [f"{d:%-d %b %Y}" if d else "" for d in (first, last)]
        said.append(words[0] if first == last else f"{words[0]} – {words[1]}".strip())
    if asked.tool:
        said.append(f"tool {asked.tool}")
    if asked.words:
        said.append(f"said {asked.words}")
    return Question(
        **{
            name: getattr(asked, name)
            for name in Question.__struct_fields__
            if name != "understood"
        },
        understood=tuple(said),
    )
