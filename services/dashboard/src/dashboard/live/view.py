"""What a call looks like: the words, marks and figures that the templates place (pure).

Made from a row of the board, the same for a page, a live update and a call read from the log.
"""

from datetime import datetime
from statistics import median
from typing import Literal

import msgspec
from msgspec import Struct

from dashboard.live.board import KEEP_PARTIAL, Row
from dashboard.live.figures import BAD_ENDS
from dashboard.masking import mask
from protocol import codec
from protocol import events as e
from protocol.call import CallState, ToolUse
from protocol.errors import DecodeError
from protocol.line import LiveTranscript
from protocol.utterance import Utterance

Tone = Literal["ringing", "active", "ended", "failed"]

_REASONS = {
    "caller_hung_up": "caller hung up",
    "assistant_hung_up": "assistant hung up",
    "no_answer": "no answer",
}
_LONG = 240
"""Characters of a tool's result that are shown at once; the rest unfolds."""


class Mark(Struct, frozen=True):
    """One line of a call's timeline: words of a party, a tool call, or that an operator spoke."""

    kind: Literal["caller", "assistant", "tool", "operator"]
    at: datetime | None
    text: str
    key: str
    live: bool = False
    """Still being said, or a tool that has not returned."""
    dim: bool = False
    """``text`` is a remark of the desk, not words of the party."""
    cut: str = ""
    unheard: str = ""
    outcome: str = ""
    result: str = ""
    took_ms: int | None = None

    @property
    def long(self) -> bool:
        return len(self.result) > _LONG

    @property
    def short_result(self) -> str:
        return self.result[: _LONG - 1].rstrip() + "…" if self.long else self.result


class CallView(Struct, frozen=True):
    """A call as shown. ``elapsed_ms`` is its length at the moment of rendering."""

    call_id: str
    order: int
    tone: Tone
    status: str
    reason: str
    caller: str
    called: str
    channel: str
    direction: str
    assistant: str
    mode: str
    worker: str
    model: str
    started_at: datetime | None
    ended_at: datetime | None
    elapsed_ms: int
    cost_usd: float
    response_ms: int | None
    slowest_ms: int | None
    responses: int
    keys: tuple[str, ...]
    last: Mark | None

    @property
    def ticking(self) -> bool:
        return self.ended_at is None and self.started_at is not None and self.status != "ended"

    @property
    def found_by(self) -> str:
        """What the text of a filter is looked for in."""
        last = self.last.text if self.last else ""
        parts = (self.status, self.reason, self.caller, self.called, self.assistant, self.mode)
        return " ".join((*parts, self.worker, last)).lower()


def view(row: Row, now: datetime) -> CallView:
    """``row`` as it is shown at ``now`` (UTC)."""
    state = row.state
    end = state.ended_at or now
    begin = state.started_at or end
    return CallView(
        call_id=state.call_id,
        order=row.first_sequence,
        tone=_tone(state),
        status="starting" if state.phase == "unknown" else state.phase,
        reason=_reason(state.end_reason),
        caller=mask(state.caller),
        called=mask(state.called),
        channel=state.channel,
        direction=state.direction,
        assistant=state.session.profile if state.session else "",
        mode=state.mode or "",
        worker=state.worker or "",
        model=state.session.model if state.session else "",
        started_at=state.started_at,
        ended_at=state.ended_at,
        elapsed_ms=max(0, round((end - begin).total_seconds() * 1000)),
        cost_usd=state.cost_usd,
        response_ms=round(median(state.response_ms)) if state.response_ms else None,
        slowest_ms=max(state.response_ms, default=None),
        responses=len(state.response_ms),
        keys=tuple(k.digit for k in state.keys),
        last=_last_words(row),
    )


def timeline(row: Row) -> tuple[Mark, ...]:
    """The transcript of ``row`` with its tool calls."""
    pending = dict(row.partial)
    spoken = [_spoken(u, pending.pop(u.item_id, None)) for u in row.state.utterances]
    spoken += [Mark(p.party, None, p.text, p.item_id, live=True) for p in pending.values()]
    between = [_tool(use) for use in row.state.tools]
    between += [_whispered(event) for event in row.score.whispers]
    if row.score.whispers:
        between.sort(key=lambda mark: (mark.at is not None, mark.at))
    return _with_tools(spoken, between)


def _last_words(row: Row) -> Mark | None:
    """The last mark that holds words of a party; looked for from the end, as calls may be long."""
    known = {u.item_id for u in row.state.utterances[-KEEP_PARTIAL:]}
    for words in reversed(row.partial.values()):
        if words.item_id not in known:
            return Mark(words.party, None, words.text, words.item_id, live=True)
    for said in reversed(row.state.utterances):
        mark = _spoken(said, row.partial.get(said.item_id))
        if not mark.dim:
            return mark
    return None


def _tone(state: CallState) -> Tone:
    if state.phase == "ended":
        return "failed" if state.end_reason in BAD_ENDS else "ended"
    return "active" if state.phase == "active" else "ringing"


def _reason(reason: str | None) -> str:
    return "" if reason is None else _REASONS.get(reason, reason)


def _with_tools(spoken: list[Mark], tools: list[Mark]) -> tuple[Mark, ...]:
    """Utterances keep the order of the conversation; a tool stands before the first utterance that
    began after it.
    """
    merged: list[Mark] = []
    waiting = list(tools)
    for mark in spoken:
        while waiting and (mark.at is None or _before(waiting[0], mark)):
            merged.append(waiting.pop(0))
        merged.append(mark)
    return (*merged, *waiting)


def _before(tool: Mark, mark: Mark) -> bool:
    return tool.at is not None and mark.at is not None and tool.at < mark.at


def _spoken(said: Utterance, partial: LiveTranscript | None) -> Mark:
    text = said.text
    if partial is not None and len(partial.text) > len(text):
        text = partial.text
    dim, live, cut, unheard = False, not said.done, "", ""
    if said.cut:
        live = False
        cut = f"cut after {said.heard_ms / 1000:.1f} s"
        text = said.heard_text()
        unheard = said.text[len(text.removesuffix("…")) :].strip()
    if said.item_id.startswith("local:"):
        text, dim, live = f"announcement: {said.item_id.removeprefix('local:')}", True, False
    elif said.item_id.startswith("operator:"):
        words = text or "spoke in the assistant's place"
        return Mark("operator", said.at, words, said.item_id, dim=not text)
    elif not text:
        text, dim = ("not understood", True) if said.done else ("…", True)
    return Mark(
        said.party, said.at, text, said.item_id, live=live, dim=dim, cut=cut, unheard=unheard
    )


def _whispered(event: e.Whispered) -> Mark:
    return Mark("operator", event.at, f"{event.by} whispered: {event.text}", event.id, dim=True)


def _tool(use: ToolUse) -> Mark:
    return Mark(
        "tool",
        use.called_at,
        f"{use.name}({arguments(use.arguments)})",
        use.key,
        live=use.outcome is None,
        outcome=use.outcome or "waiting",
        result=arguments(use.result),
        took_ms=use.took_ms if use.outcome is not None else None,
    )


def arguments(text: str) -> str:
    """JSON text of a tool's arguments or result as ``name: value`` for people; what is no JSON
    object is given as it is.
    """
    if not text:
        return ""
    try:
        values = codec.decode(dict[str, object], text.encode())
    except DecodeError:
        return text
    return ", ".join(f"{name}: {_value(value)}" for name, value in values.items())


def _value(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
