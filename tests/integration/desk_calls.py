"""Calls as the services write them, for the desk's tests and for its preview.

``Writer`` gives events of one call in order; ``whole_call`` is a call with everything on its
score, ``fresh_calls`` is a board full of calls that go on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from protocol import events as e
from protocol.ids import (
    CallId,
    Epoch,
    EventId,
    IngressId,
    ItemId,
    Leg,
    StreamId,
    ToolCallId,
    WorkerId,
)

INSTRUCTIONS = "Be brief."


def call_id(n: int) -> CallId:
    return CallId(f"CA{n:032x}")


@dataclass
class Writer:
    """Writes events of call ``n``, whose line began at ``began``; ``ms`` is the line's time."""

    n: int
    began: datetime
    base: int
    worker: str = "agent-1"
    epoch: int = 0
    entries: list[tuple[int, e.AnyEvent]] = field(default_factory=list)

    def add(self, ms: int, kind: type[e.Event], **values: object) -> EventId:
        """An event written when the line was at ``ms``."""
        sequence = self.base + len(self.entries) + 1
        event_id = EventId(f"{self.n}-{sequence}")
        if issubclass(kind, e.AgentEvent):
            values["epoch"] = Epoch(self.epoch)
        at = self.began + timedelta(milliseconds=ms)
        common = {"id": event_id, "call_id": call_id(self.n), "at": at, "service": "s"}
        self.entries.append((sequence, kind(**common, worker=self.worker, **values)))  # type: ignore[arg-type]
        return event_id

    def ring(self, caller: str = "+12125553456", direction: str = "inbound") -> None:
        self.add(-3000, e.Ringing, caller=caller, called="+15557001122", direction=direction)

    def start(self, mode: str = "conversation") -> None:
        self.leg = Leg(self.base + len(self.entries) + 1)
        stream = {"stream_id": StreamId("MZ" + "0" * 32), "ingress": IngressId("ingress-1")}
        self.add(0, e.StreamStarted, previous_leg=Leg(0), **stream)
        self.take(40, "placed")
        self.add(60, e.ModeChanged, mode=mode)

    def take(self, ms: int, reason: str) -> None:
        previous, self.epoch = self.epoch, self.base + len(self.entries) + 1
        self.add(ms, e.Assigned, leg=self.leg, previous_epoch=Epoch(previous), reason=reason)

    def session(self, ms: int, profile: str = "front-desk", generation: int = 1) -> None:
        opened = {"session_id": f"sess_{generation}", "model": "gpt-realtime", "profile": profile}
        opened |= {"profile_sha256": "0" * 64, "instructions": INSTRUCTIONS, "voice": "marin"}
        self.add(ms, e.SessionOpened, generation=generation, language="en", tools=(), **opened)

    def says(self, ms: int, item: str, text: str, length: int, heard: int | None = None) -> None:
        """The assistant speaks from ``ms``; ``heard`` ms of it, if it was cut."""
        said = {"item_id": ItemId(item), "response_id": f"r-{item}"}
        self.add(ms + 200, e.Said, text=text[:12], generated_ms=600, done=False, **said)
        self.add(ms + 700, e.Said, text=text, generated_ms=length, done=True, **said)
        stop = length if heard is None else heard
        if heard is not None:
            self.add(ms + stop, e.BargedIn, item_id=ItemId(item), heard_ms=stop, line_ms=ms + stop)
        ledger = {"heard_ms": stop, "sent_ms": length, "cut": heard is not None}
        self.add(
            ms + stop, e.Heard, leg=self.leg, item_id=ItemId(item), line_ms=ms + stop, **ledger
        )

    def asks(self, ms: int, item: str, text: str, length: int) -> None:
        """The caller speaks from ``ms``."""
        turn = ItemId(item)
        self.add(ms + length, e.TurnCommitted, item_id=turn, from_ms=ms, to_ms=ms + length)
        self.add(ms + length + 90, e.TurnTranscribed, item_id=turn, text=text)

    def tool(self, ms: int, name: str, arguments: str, took: int, outcome: str = "ok") -> None:
        use = {"tool_call_id": ToolCallId(f"tc-{ms}"), "item_id": ItemId(f"f-{ms}"), "name": name}
        called = self.add(ms, e.ToolCalled, arguments=arguments, **use)
        result = '{"todos":[{"id":7,"description":"call the dentist","deadline":"2026-11-24"}]}'
        if outcome != "ok":
            result = '{"error":"the planner did not answer in time"}'
        returned = {"tool_call_id": ToolCallId(f"tc-{ms}"), "called": called, "took_ms": took}
        self.add(ms + took, e.ToolReturned, outcome=outcome, result=result, **returned)

    def timed(self, ms: int, turn: str, item: str, took: int) -> None:
        answer = {"turn_item_id": ItemId(turn), "item_id": ItemId(item), "response_ms": took}
        self.add(ms, e.ResponseTimed, **answer)

    def used(self, ms: int, cost: float | None = 0.0123) -> None:
        tokens = e.Tokens(text_in=812, audio_in=420, cached_text_in=640, text_out=96, audio_out=310)
        report = {"source": "response", "reference": f"r-{ms}", "model": "gpt-realtime"}
        self.add(ms, e.UsageReported, tokens=tokens, cost_usd=cost, **report)

    def ends(self, ms: int, reason: str = "caller_hung_up") -> None:
        self.add(ms, e.StreamStopped, leg=self.leg, reason="stop", line_ms=ms, frames=ms // 20)
        self.add(ms + 300, e.CallEnded, reason=reason)


def whole_call(n: int, began: datetime, base: int) -> Writer:
    """Gate, keys, barge-in, tools (one fails), a worker lost, a session lost, a hand-over."""
    w = Writer(n, began, base)
    w.ring()
    w.start("gate")
    w.add(80, e.PinRequested, attempt=1)
    w.says(400, "local:pin", "", 1900)
    for i in range(4):
        w.add(2900 + 420 * i, e.KeyPressed, digit="•", masked=True, line_ms=2900 + 420 * i)
    w.add(4500, e.PinAccepted, line_ms=4500)
    w.add(4550, e.ModeChanged, mode="conversation")
    w.session(4900)
    w.says(5200, "i1", "Hello, this is the front desk. What can I do for you today?", 3600)
    w.asks(9400, "i2", "What is on my list for this week?", 2300)
    w.tool(12_100, "get_tasks", '{"period":"week"}', 180)
    w.timed(12_700, "i2", "i3", 760)
    listed = "You have three things this week: call the dentist on Tuesday, return the drill and"
    w.says(12_700, "i3", f"{listed} buy milk on Friday evening before the shop closes.", 7800, 4200)
    w.asks(17_000, "i4", "Thanks, move the dentist to Thursday.", 2400)
    w.tool(19_700, "change_task", '{"id":7,"deadline":"2026-11-26"}', 4000, "timeout")
    w.timed(24_200, "i4", "i5", 4500)
    w.says(24_200, "i5", "I could not reach the planner just now; shall I try again?", 3100)
    w.used(24_500)
    w.worker = "agent-2"
    w.take(29_500, "takeover")
    w.session(30_300, generation=2)
    w.asks(28_000, "i6", "Yes please, try again.", 1500)
    w.tool(31_000, "change_task", '{"id":7,"deadline":"2026-11-26"}', 240)
    w.timed(31_900, "i6", "i7", 2100)
    w.says(31_900, "i7", "Done: the dentist is on Thursday now. Anything else?", 3300)
    w.add(36_000, e.HandingOver, line_ms=36_000, successor=WorkerId("agent-3"))
    w.worker = "agent-3"
    w.take(36_400, "handover")
    w.session(36_500, generation=3)
    w.add(37_200, e.OperatorActed, operator="mira", act="whisper", detail="")
    w.add(38_600, e.KeyPressed, digit="5", line_ms=38_600)
    w.asks(39_400, "i8", "No, that was all. Goodbye!", 1900)
    w.timed(42_000, "i8", "i9", 700)
    w.says(42_000, "i9", "Goodbye, and have a good day.", 1800)
    w.add(44_000, e.SessionLost, generation=3, reason="closed by the model's server")
    w.used(44_100)
    return w


NAMES = ("front-desk", "clinic", "night-line")
WORDS = (
    "I would like to move my appointment to next Thursday, if there is anything in the morning.",
    "Could you read me what is left on the list?",
    "Your order left our house yesterday and should be with you tomorrow before noon.",
    "Please say that again, the line is quite bad here.",
    "Is there somebody I can talk to?",
)


def fresh_call(n: int, now: datetime, base: int) -> Writer:
    """A call that goes on, as far as it came; ``n`` decides what it is like."""
    age = 4000 + (n * 7919) % 170_000
    w = Writer(n, now - timedelta(milliseconds=age), base, worker=f"agent-{1 + n % 4}")
    w.ring(f"+1212555{1000 + n % 9000}", "outbound" if n % 9 == 4 else "inbound")
    if n % 17 == 3:
        return w
    w.start("gate" if n % 11 == 5 else "keypad" if n % 13 == 6 else "conversation")
    if n % 11 == 5:
        for i in range(n % 4):
            w.add(1500 + 500 * i, e.KeyPressed, digit="•", masked=True, line_ms=1500 + 500 * i)
        return w
    w.session(300, NAMES[n % 3])
    ms = 900
    for turn in _turns(n):
        if ms + 9000 > age:
            break
        said, asked = WORDS[(n + turn) % 5], WORDS[(n + turn + 2) % 5]
        cut = 1500 if (n + turn) % 4 == 1 else None
        w.says(ms, f"a{turn}", said, 3400, cut)
        ms += (cut or 3400) + 500
        w.asks(ms, f"c{turn}", asked, 2200)
        if (n + turn) % 3 == 0:
            failed = (n + turn) % 15 == 0
            outcome = "failed" if failed else "ok"
            w.tool(ms + 2300, "get_tasks", '{"period":"today"}', 300, outcome)
        if n % 13 == 6:
            w.add(ms + 2400, e.KeyPressed, digit=str(turn % 10), line_ms=ms + 2400)
        took = 500 + (n * 131 + turn * 57) % 900
        ms += 2200 + took
        w.timed(ms, f"c{turn}", f"a{turn + 1}", took)
        w.used(ms, 0.004)
    return w


def _turns(n: int) -> Iterator[int]:
    yield from range(40)
