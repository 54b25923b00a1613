"""The pure fold of a call's events into its score: what was said, heard, cut, done and lost, when.

Line time comes from the events that carry it. Events without it are placed by their clock time
from where the leg began, so they may be off by what the services' clocks differ.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct, field

from dashboard.score.parts import clamp
from protocol import events as e
from protocol.ids import EventId, ItemId

MS = timedelta(milliseconds=1)
_ALIVE_MS = 5000
"""A worker that spoke this long before it was replaced is taken to have been there until then."""


class Turn(Struct):
    """What the caller said. Not drawn before its place is known."""

    from_ms: int = 0
    to_ms: int = 0
    text: str = ""


class Spoken(Struct):
    """What the assistant said. ``ended_ms`` is the line time at which ``heard_ms`` was settled."""

    at: datetime
    text: str = ""
    generated_ms: int = 0
    heard_ms: int | None = None
    ended_ms: int = 0
    cut: bool = False


class Tool(Struct):
    """A tool call; without an outcome it has not returned."""

    at: datetime
    name: str
    outcome: str = ""
    took_ms: int = 0


class Rule(Struct, frozen=True):
    """A moment with a name: a mode, an operator's act, a limit. ``line_ms`` where the log says it
    exactly.
    """

    key: EventId
    at: datetime
    label: str
    words: str
    tone: str = ""
    line_ms: int | None = None


class Taken(Struct):
    """``operator`` spoke in the assistant's place; without ``to_ms`` they still do. ``silent``: it
    ended because nothing came from them any more.
    """

    key: EventId
    operator: str
    from_ms: int
    to_ms: int | None = None
    silent: bool = False


class Gap(Struct):
    """Something was lost from ``began`` until ``ended``: clock times, or ``line_ms`` where the log
    says it exactly.
    """

    kind: str
    key: EventId
    words: str
    began: datetime
    line_ms: int | None = None
    ended: datetime | None = None
    by: str = ""
    moment: bool = False
    """The line itself stood still: the gap has a length, but no width on it."""


class Score(Struct):
    """What is drawn of one call. ``apply`` wants each event once (``CallState.apply`` tells)."""

    legs: list[tuple[datetime, int]] = field(default_factory=list[tuple[datetime, int]])
    turns: dict[ItemId, Turn] = field(default_factory=dict[ItemId, Turn])
    spoken: dict[ItemId, Spoken] = field(default_factory=dict[ItemId, Spoken])
    tools: dict[EventId, Tool] = field(default_factory=dict[EventId, Tool])
    keys: list[e.KeyPressed] = field(default_factory=list[e.KeyPressed])
    rules: list[Rule] = field(default_factory=list[Rule])
    gaps: list[Gap] = field(default_factory=list[Gap])
    whispers: list[e.Whispered] = field(default_factory=list[e.Whispered])
    taken: list[Taken] = field(default_factory=list[Taken])
    answers: dict[ItemId, e.ResponseTimed] = field(default_factory=dict[ItemId, e.ResponseTimed])
    line_ms: int = 0
    last_word: datetime | None = None
    mode: str = ""
    ended: datetime | None = None

    def apply(self, event: e.AnyEvent) -> None:
        """Take in one event."""
        match event:
            case e.StreamStarted() | e.StreamStopped() | e.StreamClosing():
                self._leg(event)
            case e.TurnCommitted() | e.TurnTranscribed():
                self._turn(event)
            case e.Said() | e.Heard() | e.BargedIn():
                self._said(event)
            case e.ToolCalled():
                tool = self.tools.setdefault(event.id, Tool(event.at, event.name))
                tool.at, tool.name = event.at, event.name
            case e.ToolReturned():
                tool = self.tools.setdefault(event.called, Tool(event.at, "tool"))
                tool.outcome, tool.took_ms = event.outcome, clamp(event.took_ms)
            case e.KeyPressed():
                self.keys.append(event)
                self._reached(event.line_ms)
            case e.ResponseTimed():
                self.answers[event.item_id] = event
            case e.Assigned() | e.HandingOver() | e.SessionOpened() | e.SessionLost():
                self._held(event)
            case e.TakenOver() | e.GivenBack():
                self._taken(event)
            case e.CallEnded():
                self.ended = event.at
            case _:
                self._rule(event)
        if isinstance(event, e.AgentEvent | e.Heard):
            # While what it had said is still heard, a caller misses nobody.
            self.last_word = max(self.last_word or event.at, event.at)

    def at(self, moment: datetime) -> int:
        """The line time of a clock time; 0 before a line was open."""
        here = (0, 0)
        for i, (began, line_ms) in enumerate(self.legs):
            if i == 0 or began <= moment:
                after = clamp((moment - began) / MS)
                limit = self.legs[i + 1][1] if i + 1 < len(self.legs) else None
                here = (line_ms + after, limit)
        return clamp(here[0] if here[1] is None else min(here[0], here[1]))

    def _reached(self, line_ms: int) -> None:
        self.line_ms = max(self.line_ms, clamp(line_ms))

    def _leg(self, event: e.StreamStarted | e.StreamStopped | e.StreamClosing) -> None:
        self._reached(event.line_ms)
        match event:
            case e.StreamStarted():
                self._restored("line", event.at, event.ingress)
                self.legs.append((event.at, clamp(event.line_ms)))
                self.legs.sort()
            case e.StreamStopped(reason=reason) if reason not in {"stop", "closed"}:
                self.gaps.append(
                    Gap("line", event.id, f"Line lost ({reason})", event.at, event.line_ms)
                )
                self.gaps[-1].moment = True
            case _:
                pass

    def _turn(self, event: e.TurnCommitted | e.TurnTranscribed) -> None:
        turn = self.turns.setdefault(event.item_id, Turn())
        match event:
            case e.TurnCommitted():
                turn.from_ms = clamp(event.from_ms)
                turn.to_ms = clamp(event.to_ms, turn.from_ms)
                self._reached(event.to_ms)
            case e.TurnTranscribed():
                turn.text = event.text

    def _said(self, event: e.Said | e.Heard | e.BargedIn) -> None:
        said = self.spoken.setdefault(event.item_id, Spoken(event.at))
        match event:
            case e.Said():
                said.text = event.text
                said.generated_ms = max(said.generated_ms, clamp(event.generated_ms))
            case e.Heard():
                said.heard_ms, said.cut = clamp(event.heard_ms), event.cut
                said.generated_ms = max(said.generated_ms, clamp(event.sent_ms))
                said.ended_ms = clamp(event.line_ms)
                self._reached(event.line_ms)
            case e.BargedIn():
                said.cut = True
                if said.heard_ms is None:
                    said.heard_ms, said.ended_ms = clamp(event.heard_ms), clamp(event.line_ms)
                self._reached(event.line_ms)

    def _held(self, event: e.Assigned | e.HandingOver | e.SessionOpened | e.SessionLost) -> None:
        match event:
            case e.Assigned(reason="takeover"):
                self._restored("handover", event.at, event.worker)
                alive = self.last_word is not None and (event.at - self.last_word) / MS
                began = self.last_word if alive and 0 <= alive <= _ALIVE_MS else None
                gap = Gap("agent", event.id, "Agent lost", began or event.at, by=event.worker)
                self.gaps.append(gap)
            case e.Assigned():
                self._restored("handover", event.at, event.worker)
            case e.HandingOver():
                words = f"Handed over to {event.successor}"
                self.gaps.append(Gap("handover", event.id, words, event.at, event.line_ms))
                self._reached(event.line_ms)
            case e.SessionLost():
                words = f"Model session lost ({event.reason})"
                self.gaps.append(Gap("session", event.id, words, event.at))
            case e.SessionOpened():
                self._restored("session", event.at, "")
                self._restored("agent", event.at, event.worker)

    def _taken(self, event: e.TakenOver | e.GivenBack) -> None:
        self._reached(event.line_ms)
        ms = clamp(event.line_ms)
        going = [span for span in self.taken if span.to_ms is None]
        for span in going:
            span.to_ms = max(span.from_ms, ms)
        if isinstance(event, e.TakenOver):
            self.taken.append(Taken(event.id, event.operator, ms))
        elif going:
            going[-1].silent = event.reason == "silent"

    def _restored(self, kind: str, at: datetime, by: str) -> None:
        for gap in self.gaps:
            if gap.kind == kind and gap.ended is None:
                gap.ended, gap.by = at, by or gap.by

    def _rule(self, event: e.AnyEvent) -> None:
        at, key = event.at, event.id
        match event:
            case e.ModeChanged():
                why = f" ({event.reason})" if event.reason else ""
                self.rules.append(Rule(key, at, event.mode, f"Mode {event.mode}{why}"))
                self._restored("agent", at, event.worker)
            case e.OperatorActed():
                said = f"{event.operator}: {event.act}"  # the detail may be a number
                label = event.act.replace("_", " ")
                self.rules.append(Rule(key, at, label, said, "operator"))
            case e.LimitReached():
                said = f"Limit reached: {event.limit} {event.detail}".strip()
                self.rules.append(Rule(key, at, f"limit {event.limit}", said, "bad"))
            case e.OutputStopped():
                said = f"Output stopped by rule {event.rule}"
                self.rules.append(Rule(key, at, "output stopped", said, "bad"))
            case e.Whispered():
                # The act was written before it, without its words.
                act = f"{event.by}: whisper"
                self.rules = [rule for rule in self.rules if rule.words != act]
                said = f"{event.by} whispered: {event.text}"
                self.rules.append(Rule(key, at, "whisper", said, "operator"))
                self.whispers.append(event)
            case e.RecordingStarted():
                words = "Recorded from here on" + (", as announced" if event.announced else "")
                self.rules.append(Rule(key, at, "recording", words, line_ms=event.line_ms))
            case e.Transferred():
                self.rules.append(Rule(key, at, "transfer", "Transferred"))
            case e.PinAccepted():
                self.rules.append(Rule(key, at, "PIN accepted", "PIN accepted"))
            case e.PinRejected():
                said = f"PIN rejected, {event.tries_left} tries left"
                self.rules.append(Rule(key, at, "PIN rejected", said, "bad"))
            case _:
                pass


def score_of(events: Iterable[e.AnyEvent]) -> Score:
    """The score of a whole log; events that came twice count once."""
    score = Score()
    seen: set[EventId] = set()
    for event in events:
        if event.id not in seen:
            seen.add(event.id)
            score.apply(event)
    return score
