"""A call of the history as its row shows it (pure)."""

from datetime import datetime
from statistics import median
from typing import Literal

from markupsafe import Markup
from msgspec import Struct

from dashboard.history.finder import Excerpt, Found
from dashboard.history.search import OUTCOMES
from dashboard.live.figures import BAD_ENDS

Tone = Literal["active", "ended", "failed"]


class Shown(Struct, frozen=True):
    """The words and figures of one row. ``number`` is masked, unless it was revealed."""

    call_id: str
    number: str
    tone: Tone
    outcome: str
    started_at: datetime
    length_ms: int | None
    assistant: str
    direction: str
    channel: str
    cost_usd: float
    response_ms: int | None
    tools: tuple[str, ...]
    words: str
    excerpt: Excerpt | None
    score: Markup


def shown(call: Found, number: str, excerpt: Excerpt | None, score: Markup) -> Shown:
    """``call`` as a row."""
    tone: Tone = "active" if not call.outcome else "ended"
    if call.outcome in BAD_ENDS:
        tone = "failed"
    return Shown(
        call_id=call.call_id,
        number=number,
        tone=tone,
        outcome=OUTCOMES.get(call.outcome or "going_on", call.outcome),
        started_at=call.started_at,
        length_ms=call.length_ms if call.outcome else None,
        assistant=call.assistant,
        direction=call.direction,
        channel=call.channel,
        cost_usd=call.cost_usd,
        response_ms=round(median(call.response_ms)) if call.response_ms else None,
        tools=tuple(call.tools),
        words=call.last_words,
        excerpt=excerpt,
        score=score,
    )
