"""The board: every call of the last day as the fold of its events (pure).

The feed gives it the log's entries and the partial words; the pages read it. It holds nothing
that a replay of the log would not give, but for the partial words, which the final ones replace.
"""

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct, field

from dashboard.live.cost import Bill
from dashboard.live.figures import Figures
from dashboard.live.fleet import Fleet
from dashboard.score.score import Score
from protocol import events as e
from protocol.call import CallState
from protocol.ids import CallId, ItemId
from protocol.line import LiveTranscript

KEEP_ENDED = 200
KEEP_OPEN = 1000
"""Calls without an end that are kept: far above what can be open at once, so it only bounds what
broken logs could pile up.
"""
KEEP_PARTIAL = 16
"""Items of one call that may have partial words without final ones."""

_OVER = {"completed", "busy", "failed", "no-answer", "canceled"}


class Row(Struct):
    """A call with all that is folded from its log: state, score and bill. ``first_sequence`` orders
    calls: where its log begins.
    """

    first_sequence: int
    state: CallState
    score: Score = field(default_factory=Score)
    bill: Bill = field(default_factory=Bill)
    partial: dict[ItemId, LiveTranscript] = field(default_factory=dict[ItemId, LiveTranscript])

    @property
    def call_id(self) -> CallId:
        return self.state.call_id

    @property
    def ended(self) -> bool:
        return self.state.phase == "ended"

    def apply(self, sequence: int, event: e.AnyEvent) -> bool:
        """Take in one entry of the call's log. False when it came before."""
        if not self.state.apply(sequence, event):
            return False
        self.score.apply(event)
        self.bill.apply(event)
        return True


def row_of(call: CallId, entries: Iterable[tuple[int, e.AnyEvent]]) -> Row:
    """A call from its whole log, as (sequence, event)."""
    row = Row(0, CallState(call))
    for sequence, event in entries:
        row.first_sequence = row.first_sequence or sequence
        row.apply(sequence, event)
    return row


class Changes(Struct, frozen=True):
    """What is different since the last look. ``listing``: calls came, went or changed their phase,
    so the order of the list may differ; ``phases`` are those calls.
    """

    calls: frozenset[CallId]
    listing: bool
    phases: tuple[CallId, ...]

    def __bool__(self) -> bool:
        return bool(self.calls) or self.listing


class Board:
    """Calls by id, bounded: the newest ``keep_ended`` ended ones and all others up to a bound.
    Beside them the day's ``figures``, which count more calls than are kept, and the ``fleet``.
    """

    def __init__(self, *, keep_ended: int = KEEP_ENDED, keep_open: int = KEEP_OPEN) -> None:
        self._rows: dict[CallId, Row] = {}
        self._keep_ended = keep_ended
        self._keep_open = keep_open
        self._changed: set[CallId] = set()
        self._phases: dict[CallId, None] = {}
        self._listing = False
        self.last_sequence = 0
        self.figures = Figures()
        self.fleet = Fleet()

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, call: CallId) -> Row | None:
        return self._rows.get(call)

    def rows(self) -> list[Row]:
        """Calls that go on first, then the ended ones; each newest first."""
        return sorted(self._rows.values(), key=lambda r: (r.ended, -r.first_sequence))

    def held(self) -> Counter[str]:
        """How many calls each worker holds, as the log says."""
        going = (row.state.worker for row in self._rows.values() if not row.ended)
        return Counter(worker for worker in going if worker)

    def apply(self, sequence: int, event: e.AnyEvent) -> bool:
        """Take in one entry of the log. False when it changed nothing (a repeat, or a late word
        about a call that the board no longer holds or never saw begin).
        """
        self.last_sequence = max(self.last_sequence, sequence)
        row = self._rows.get(event.call_id)
        if row is None:
            if not _begins(event):
                return False
            row = self._rows[event.call_id] = Row(sequence, CallState(event.call_id))
            self._listing = True
        phase = row.state.phase
        if not row.apply(sequence, event):
            return False
        self.figures.apply(event)
        self._changed.add(row.call_id)
        self._drop_final(row)
        if row.state.phase != phase:
            self._listing = True
            self._phases[row.call_id] = None
            if row.ended:
                row.partial.clear()
            self._bound()
        return True

    def hear(self, call: CallId, words: LiveTranscript) -> bool:
        """Take in partial words. False when they are not wanted: the call is over or not known, or
        the item has its final words.
        """
        row = self._rows.get(call)
        if row is None or row.ended:
            return False
        spoken = row.state.utterance(words.item_id)
        if spoken is not None and spoken.done:
            return False
        if row.partial.get(words.item_id) == words:
            return False
        row.partial[words.item_id] = words
        while len(row.partial) > KEEP_PARTIAL:
            del row.partial[next(iter(row.partial))]
        self._changed.add(call)
        return True

    def drop(self, call: CallId) -> None:
        """Forget a call: nothing of it is shown any more."""
        if self._rows.pop(call, None) is not None:
            self._listing = True

    def take_changes(self) -> Changes:
        """What changed since the last take."""
        changes = Changes(
            frozenset(c for c in self._changed if c in self._rows),
            self._listing,
            tuple(c for c in self._phases if c in self._rows),
        )
        self._changed.clear()
        self._phases.clear()
        self._listing = False
        return changes

    def _drop_final(self, row: Row) -> None:
        for item in [i for i in row.partial if (u := row.state.utterance(i)) and u.done]:
            del row.partial[item]

    def _bound(self) -> None:
        ended = [r for r in self._rows.values() if r.ended]
        still_open = [r for r in self._rows.values() if not r.ended]
        for rows, keep in ((ended, self._keep_ended), (still_open, self._keep_open)):
            rows.sort(key=lambda r: r.first_sequence)
            for row in rows[: max(0, len(rows) - keep)]:
                del self._rows[row.call_id]


def _begins(event: e.AnyEvent) -> bool:
    """Can ``event`` be the first that is known of a call? Whatever may also come after the end
    cannot: it would bring back a call that was dropped, without its beginning.
    """
    match event:
        case e.Ringing() | e.StreamStarted() | e.Assigned():
            return True
        case e.StatusChanged():
            return event.status not in _OVER
        case _:
            return False


class SaidSummary(Struct, frozen=True):
    item_id: str
    party: str
    text: str
    heard: str
    done: bool
    cut: bool


class ToolSummary(Struct, frozen=True):
    tool_call_id: str
    name: str
    arguments: str
    outcome: str | None
    result: str


class CallSummary(Struct, frozen=True):
    """What ``/board.json`` says of a call; two folds of one log give equal ones."""

    call_id: str
    phase: str
    end_reason: str | None
    epoch: int
    leg: int
    mode: str | None
    utterances: tuple[SaidSummary, ...]
    tools: tuple[ToolSummary, ...]
    keys: str
    response_ms: tuple[int, ...]
    cost_usd: float
    last_sequence: int


def summary(state: CallState) -> CallSummary:
    """``state`` without numbers, partial words and clock times."""
    return CallSummary(
        state.call_id,
        state.phase,
        state.end_reason,
        state.epoch,
        state.leg,
        state.mode,
        tuple(
            SaidSummary(u.item_id, u.party, u.text, u.heard_text(), u.done, u.cut)
            for u in state.utterances
        ),
        tuple(
            ToolSummary(t.tool_call_id, t.name, t.arguments, t.outcome, t.result)
            for t in state.tools
        ),
        "".join(k.digit for k in state.keys),
        tuple(state.response_ms),
        round(state.cost_usd, 9),
        state.last_sequence,
    )


def summaries(rows: Iterable[Row]) -> list[CallSummary]:
    return [summary(row.state) for row in rows]
