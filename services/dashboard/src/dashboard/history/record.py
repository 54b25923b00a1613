"""What the history keeps of a call: the columns of its rows, from the fold of its events (pure)."""

import re
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from dashboard.live.board import Row, row_of
from dashboard.score.reading import parts_of
from dashboard.score.svg import tiny
from protocol import events as e
from protocol.ids import CallId

MOST_WORDS = 200_000
"""Letters of a call that can be searched: PostgreSQL takes a bounded number of words a row."""
MOST_TEXT = 20_000
"""Letters of one utterance, argument or result that are kept; the raw events hold all."""
MOST_SCORE = 32_000
PREVIEW = 160
MOST_MS = 2_000_000_000
_NOT_A_DIGIT = re.compile(r"[^0-9]")


class Said(Struct, frozen=True):
    party: str
    at: datetime | None
    text: str


class Used(Struct, frozen=True):
    """A tool call. ``outcome`` is empty while it has not returned."""

    name: str
    at: datetime
    outcome: str
    took_ms: int
    arguments: str
    result: str


class Record(Struct, frozen=True):
    """A call as rows. ``outcome`` is empty while it goes on, ``score`` is SVG."""

    call_id: CallId
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str
    caller: str
    called: str
    direction: str
    channel: str
    assistant: str
    length_ms: int
    cost_usd: float
    response_ms: tuple[int, ...]
    said: tuple[Said, ...]
    used: tuple[Used, ...]
    score: str

    @property
    def digits(self) -> str:
        """The digits of the caller's number; empty for a name or an address."""
        return _NOT_A_DIGIT.sub("", self.caller) if self.caller.startswith("+") else ""

    @property
    def tools(self) -> tuple[str, ...]:
        return tuple(sorted({use.name for use in self.used}))

    @property
    def last_words(self) -> str:
        last = next((s.text for s in reversed(self.said)), "")
        return last if len(last) <= PREVIEW else last[: PREVIEW - 1].rstrip() + "…"

    @property
    def words(self) -> str:
        """Everything that was said, for the search."""
        return "\n".join(s.text for s in self.said)[:MOST_WORDS]


def record(call: CallId, entries: Iterable[tuple[int, e.AnyEvent]]) -> Record:
    """The rows of a call, from its events in order of the log."""
    row = row_of(call, entries)
    state = row.state
    end = state.ended_at
    length = 0
    if end is not None and state.started_at is not None:
        length = round((end - state.started_at).total_seconds() * 1000)
    return Record(
        call_id=call,
        started_at=state.started_at,
        ended_at=end,
        outcome=state.end_reason or "",
        caller=_clean(state.caller, 200),
        called=_clean(state.called, 200),
        direction=_clean(state.direction, 32),
        channel=state.channel,
        assistant=_clean(state.session.profile, 200) if state.session else "",
        length_ms=_ms(length),
        cost_usd=state.cost_usd,
        response_ms=tuple(_ms(ms) for ms in state.response_ms),
        said=tuple(Said(u.party, u.at, _clean(u.text)) for u in state.utterances if u.text.strip()),
        used=tuple(
            Used(
                _clean(use.name, 200),
                use.called_at,
                use.outcome or "",
                _ms(use.took_ms),
                _clean(use.arguments),
                _clean(use.result),
            )
            for use in state.tools
        ),
        score=_score(row),
    )


def _score(row: Row) -> str:
    if row.state.ended_at is None:
        return ""  # it would be old at once
    drawn = str(tiny(parts_of(row.score, row.state.ended_at))).replace("\0", "")
    return drawn if len(drawn) <= MOST_SCORE else ""


def _clean(text: str, most: int = MOST_TEXT) -> str:
    """``text`` as PostgreSQL takes it."""
    return text[:most].replace("\0", "")


def _ms(value: int) -> int:
    return min(max(value, 0), MOST_MS)
