"""Calls of the history as CSV, row by row (pure)."""

import csv
import io
from collections.abc import Iterable
from statistics import median

from dashboard.history.finder import Found
from dashboard.masking import mask

HEADER = (
    *("call_id", "started_at", "ended_at", "outcome", "caller", "called", "direction", "channel"),
    *("assistant", "length_s", "cost_usd", "response_ms", "tools", "last_words"),
)
MOST_ROWS = 50_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def header() -> bytes:
    """The first line, after a mark by which spreadsheets know UTF-8."""
    return b"\xef\xbb\xbf" + _lines([HEADER])


def lines(calls: Iterable[Found], *, reveal: bool) -> bytes:
    """A line for each call; numbers masked unless ``reveal``."""
    return _lines(_row(call, reveal=reveal) for call in calls)


def cut() -> bytes:
    """The last line when there are more calls than are given."""
    return _lines([(f"Only the first {MOST_ROWS} calls; narrow the search for the others.",)])


def guarded(cell: str) -> str:
    """``cell`` so that no spreadsheet takes it for a formula."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


def _row(call: Found, *, reveal: bool) -> tuple[str, ...]:
    caller, called = (n if reveal else mask(n) for n in (call.caller, call.called))
    return (
        call.call_id,
        call.started_at.isoformat(timespec="seconds"),
        call.ended_at.isoformat(timespec="seconds") if call.ended_at else "",
        call.outcome,
        caller,
        called,
        call.direction,
        call.channel,
        call.assistant,
        f"{call.length_ms / 1000:.1f}",
        f"{call.cost_usd:.6f}",
        str(round(median(call.response_ms))) if call.response_ms else "",
        " ".join(call.tools),
        call.last_words,
    )


def _lines(rows: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([guarded(c) for c in row] for row in rows)
    return text.getvalue().encode()
