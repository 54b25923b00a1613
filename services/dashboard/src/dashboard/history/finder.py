"""Finds calls in the history: a question as SQL, page by page, newest first.

Pages go on after a place (time and call), never by counting, so the last page is as quick as the
first.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from dashboard.database import Connection
from dashboard.history.search import LENGTHS, Question
from runtime import sql

PAGE = 50
COUNTED = 1000
"""Calls of which facets are counted, the newest: counting all would cost more than finding them."""
NEWEST = 4000
"""Words are looked for in this many calls first, one by one: what many calls said is found there,
and the index of words would give all of them, each to be read. What few said takes the index.
"""
_PLACE = re.compile(r"(-?\d{1,17})-(CA[0-9a-f]{32})\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = (
    "call_id, started_at, ended_at, outcome, caller, called, direction, channel, assistant, "
    "length_ms, cost_usd, response_ms, tools, last_words"
)
_ORDER = "ORDER BY started_at DESC, call_id DESC"


class Place(Struct, frozen=True):
    """Where a page ended."""

    started_at: datetime
    call_id: str

    def __str__(self) -> str:
        return f"{(self.started_at - _EPOCH) // timedelta(microseconds=1)}-{self.call_id}"

    @classmethod
    def read(cls, text: str) -> "Place | None":
        """What ``str`` gave; None for anything else."""
        match = _PLACE.match(text)
        if match is None:
            return None
        try:
            return cls(_EPOCH + timedelta(microseconds=int(match[1])), match[2])
        except OverflowError:
            return None


class Found(Struct, frozen=True):
    """A call of the history; numbers are as they came. ``score`` is SVG of ours."""

    call_id: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    caller: str
    called: str
    direction: str
    channel: str
    assistant: str
    length_ms: int
    cost_usd: float
    response_ms: list[int]
    tools: list[str]
    last_words: str
    score: str = ""

    @property
    def place(self) -> Place:
        return Place(self.started_at, self.call_id)


class Excerpt(Struct, frozen=True):
    """Words of ``party``, in pieces: (text, is it what was looked for)."""

    party: str
    pieces: tuple[tuple[str, bool], ...]


class Facets(Struct, frozen=True):
    """How many calls of each outcome and length are among the newest COUNTED of those found.
    ``more``: there are others that were not counted.
    """

    outcomes: Mapping[str, int]
    lengths: Mapping[str, int]
    total: int
    more: bool


class Finder:
    """The history, seen through one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = sql.load("dashboard.history", "search.sql")

    async def page(
        self, asked: Question, after: Place | None, *, most: int = PAGE, scores: bool = True
    ) -> tuple[list[Found], Place | None]:
        """Calls older than ``after``, newest first, and where the next page begins."""
        await self._connection.fetchval(self._sql["plan"])
        rows: Sequence[Mapping[str, Any]] = ()
        if asked.words:
            newest = listing(asked, after, most=most, scores=scores, newest=NEWEST)
            rows = await self._connection.fetch(newest[0], *newest[1])
        if len(rows) <= most:
            statement, values = listing(asked, after, most=most, scores=scores)
            rows = await self._connection.fetch(statement, *values)
        found = [Found(**dict(row)) for row in rows[:most]]
        return found, found[-1].place if len(rows) > most else None

    async def facets(self, asked: Question) -> Facets:
        """Counts for ``asked`` without the outcome and length chosen."""
        await self._connection.fetchval(self._sql["plan"])
        rows: Sequence[Mapping[str, Any]] = ()
        if asked.words:
            newest = counting(asked, newest=NEWEST)
            rows = await self._connection.fetch(newest[0], *newest[1])
        if sum(row["calls"] for row in rows) <= COUNTED:
            statement, values = counting(asked)
            rows = await self._connection.fetch(statement, *values)
        outcomes: dict[str, int] = {}
        lengths: dict[str, int] = dict.fromkeys(LENGTHS, 0)
        total = 0
        for row in rows:
            outcome = row["outcome"] or "going_on"
            outcomes[outcome] = outcomes.get(outcome, 0) + row["calls"]
            total += row["calls"]
            if row["outcome"]:
                lengths[row["length"]] += row["calls"]
        more = total > COUNTED
        return Facets(outcomes, lengths, min(total, COUNTED), more)

    async def excerpts(self, calls: Sequence[Found], words: str) -> dict[str, Excerpt]:
        """For each of ``calls`` the first utterance that holds the words, if one does."""
        if not words or not calls:
            return {}
        ids = [call.call_id for call in calls]
        rows = await self._connection.fetch(self._sql["excerpts"], ids, words)
        return {row["call_id"]: Excerpt(row["party"], _pieces(row["excerpt"])) for row in rows}

    async def assistants(self) -> list[str]:
        """The names of all assistants that calls were with."""
        rows = await self._connection.fetch(self._sql["assistants"])
        return [row["assistant"] for row in rows]


def listing(
    asked: Question,
    after: Place | None,
    *,
    most: int,
    scores: bool = True,
    newest: int | None = None,
) -> tuple[str, list[Any]]:
    """The statement that finds a page and one more, and its values. ``newest``: words are looked
    for in so many calls alone.
    """
    where, values = _conditions(asked, facets=True)
    if after is not None:
        values += [after.started_at, after.call_id]
        where.append(f"(started_at, call_id) < (${len(values) - 1}, ${len(values)})")
    table, where = _searched(asked, where, values, newest)
    values.append(most + 1)
    columns = f"{_COLUMNS}, score" if scores else _COLUMNS
    return (
        f"SELECT {columns} FROM {table}{_where(where)} {_ORDER} LIMIT ${len(values)}",  # noqa: S608
        values,
    )


def counting(asked: Question, *, newest: int | None = None) -> tuple[str, list[Any]]:
    """The statement that counts facets, and its values; ``newest`` as for a listing."""
    where, values = _conditions(asked, facets=False)
    table, where = _searched(asked, where, values, newest)
    values.append(COUNTED + 1)
    cases = " ".join(f"WHEN length_ms < {below} THEN '{n}'" for n, (_, _, below) in LENGTHS.items())
    found = f"SELECT outcome, length_ms FROM {table}{_where(where)} {_ORDER} LIMIT ${len(values)}"  # noqa: S608
    return (
        f"SELECT outcome, CASE {cases} ELSE 'longest' END AS length, count(*) AS calls "  # noqa: S608
        f"FROM ({found}) AS found GROUP BY 1, 2",
        values,
    )


def _searched(
    asked: Question, where: list[str], values: list[Any], newest: int | None
) -> tuple[str, list[str]]:
    """What is searched, and the conditions on it, with the words among them."""
    if not asked.words:
        return "calls", where
    values.append(asked.words)
    words = f"words @@ websearch_to_tsquery('simple', ${len(values)})"
    if newest is None:
        return "calls", [*where, words]
    values.append(newest)
    inner = f"SELECT * FROM calls{_where(where)} {_ORDER} LIMIT ${len(values)}"  # noqa: S608
    return f"({inner}) AS newest", [words]


def _conditions(asked: Question, *, facets: bool) -> tuple[list[str], list[Any]]:
    """Conditions of fixed text and the values for their placeholders in order; not the words."""
    where: list[str] = []
    values: list[Any] = []

    def add(condition: str, value: Any) -> None:
        values.append(value)
        where.append(condition.replace("?", f"${len(values)}"))

    if asked.call_id:
        add("call_id = ?", asked.call_id)
    if asked.number.startswith("+") and asked.exact:
        add("digits = ?", asked.digits)
    elif asked.number.startswith("+"):
        add("digits LIKE ?", asked.digits + "%")
    elif asked.number:
        end = asked.digits.lstrip("0") or asked.digits
        add("digits_reversed LIKE ?", end[::-1] + "%")
    if asked.tool:
        add("tools @> ARRAY[?]::text[]", asked.tool)
    if asked.since is not None:
        add("started_at >= ?", asked.since)
    if asked.until is not None:
        add("started_at < ?", asked.until)
    if asked.assistant:
        add("assistant = ?", asked.assistant)
    if facets and asked.outcome:
        add("outcome = ?", "" if asked.outcome == "going_on" else asked.outcome)
    if facets and asked.length is not None:
        _, least, below = LENGTHS[asked.length]
        add("length_ms >= ?", least)
        add("length_ms < ?", below)
        where.append("outcome <> ''")
    return where, values


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _pieces(marked: str) -> tuple[tuple[str, bool], ...]:
    pieces: list[tuple[str, bool]] = []
    for part in marked.split("\x02"):
        hit, mark, rest = part.partition("\x03")
        pieces += [(hit, True), (rest, False)] if mark else [(hit, False)]
    return tuple((text, hit) for text, hit in pieces if text)
