"""A call as its world sees it: what is said, heard, written and done, by a random hand, and cut off
anywhere, again and again. Keeps the truth beside the log, to judge what a restore makes of it.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from ai_agent.restore import Restored
from protocol import events as e
from protocol.call import CallState, fold
from protocol.ids import CallId, Epoch, EventId, ItemId, Leg, ToolCallId
from protocol.line import Playhead

CALL = CallId("CA" + "0af1" * 8)
AT = datetime(2026, 11, 23, 9, 15, tzinfo=UTC)


class Died(Exception):
    """The worker, or its session, is gone."""


@dataclass
class Speech:
    """Something the caller really said, over [from_ms, to_ms) of the line."""

    from_ms: int
    to_ms: int
    words: str
    acted: bool = False
    committed: bool = False


@dataclass
class Sounded:
    """An item as ingress knows it."""

    text: str
    sent_ms: int = 0
    heard_ms: int = 0
    complete: bool = False
    over: bool = False


@dataclass
class DyingCall:
    """``step_budget`` is how many steps the present worker has left to live."""

    pick: Random
    log: list[tuple[int, e.AnyEvent]] = field(default_factory=list)
    speeches: list[Speech] = field(default_factory=list)
    sounded: dict[str, Sounded] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    owes: bool = False
    epoch: int = 0
    leg: int = 0
    line_ms: int = 0
    steps: int = 0
    names: int = 0

    # -- what the world holds

    def state(self) -> CallState:
        return fold(CALL, self.log)

    def ledger(self) -> tuple[Playhead, ...]:
        return tuple(
            Playhead(
                ItemId(item),
                s.heard_ms,
                s.complete and s.heard_ms == s.sent_ms,
                sent_ms=s.sent_ms,
                complete=s.complete,
            )
            for item, s in self.sounded.items()
            if not s.over
        )

    def write(self, kind: Any, **fields: Any) -> int:
        """An event in the log; the worker may die before or after it."""
        self.step()
        sequence = self._append(kind, **fields)
        return sequence

    def _append(self, kind: Any, **fields: Any) -> int:
        sequence = (len(self.log) + 1) * 3
        if issubclass(kind, e.AgentEvent):
            fields["epoch"] = Epoch(self.epoch)
        event = kind(
            id=EventId(f"e{sequence}"), call_id=CALL, at=AT, service="s", worker="w", **fields
        )
        self.log.append((sequence, event))
        return sequence

    def step(self) -> None:
        if self.steps == 0:
            raise Died
        self.steps -= 1

    def name(self, kind: str) -> str:
        self.names += 1
        return f"{kind}{self.names}"

    # -- lives

    def begin(self) -> None:
        self._append(e.Ringing, caller="+1", called="+2")
        self._open_leg()

    def _open_leg(self) -> None:
        self.leg = self._append(
            e.StreamStarted,
            stream_id="MZ",
            ingress="i1",
            previous_leg=Leg(self.leg),
            line_ms=self.line_ms,
        )

    def live(self, found: Restored, steps: int) -> None:
        """A worker takes the call, does what is owed, goes on, and dies after ``steps``."""
        self.steps = 1_000
        if self.epoch == 0 or self.pick.random() < 0.6:  # else: only the session was lost
            self.epoch = self._append(
                e.Assigned, leg=Leg(self.leg), previous_epoch=Epoch(self.epoch)
            )
        self.steps = steps
        try:
            self._open_session()
            self._make_good(found)
            while True:
                self._exchange()
        except Died:
            pass

    def lose_the_line(self) -> None:
        """Ingress dies with its ledger; what it had not reported, nobody will ever know."""
        cut = [s for s in self.sounded.values() if not s.over]
        for sounded in cut:
            sounded.over = True
        if cut:
            self.owes = True
        self._open_leg()

    def _open_session(self) -> None:
        self.write(
            e.SessionOpened,
            generation=1,
            session_id="s",
            model="m",
            profile="p",
            profile_sha256="0",
            instructions="i",
            voice="v",
            language="en",
            tools=(),
        )

    def _make_good(self, found: Restored) -> None:
        self._play_out()
        if found.owed == "greet":
            self._message()
        again = [s for s in self.speeches if s.to_ms > found.replay_from_ms]
        if found.owed == "hear" or any(not s.committed for s in again):
            for speech in again:
                self._commit(speech)
        for use in found.ask:
            self._return(use.key, use.tool_call_id)
        if found.owed in ("hear", "answer", "go_on") or found.ask or again:
            self._respond()

    # -- the talk

    def _exchange(self) -> None:
        self._speak()
        if self.pick.random() < 0.15:  # the caller adds something before any answer
            self._speak()
        self._respond()
        self._play_out()

    def _speak(self) -> None:
        self.line_ms += self.pick.randrange(400, 3_000)
        length = self.pick.randrange(300, 2_500)
        speech = Speech(self.line_ms, self.line_ms + length, f"say {self.name('w')}")
        self.speeches.append(speech)
        self.line_ms += length
        self.owes = True
        self.step()
        self._commit(speech)

    def _commit(self, speech: Speech) -> None:
        item = ItemId(self.name("u"))
        self.texts[item] = speech.words
        wobble = self.pick.randrange(-80, 80)
        self.write(
            e.TurnCommitted, item_id=item, from_ms=speech.from_ms + wobble, to_ms=speech.to_ms
        )
        speech.committed = True
        chance = self.pick.random()
        if chance < 0.6:
            self.write(e.TurnTranscribed, item_id=item, text=speech.words)
        elif chance < 0.7:
            self.write(e.TurnTranscribed, item_id=item, text="", failed=True)

    def _respond(self) -> None:
        if self.pick.random() < 0.35:
            self._use_tools()
        self._message()

    def _use_tools(self) -> None:
        response = self.name("r")
        if self.pick.random() < 0.3:
            self._message(ends_debt=False, within=response)  # "one moment"
        calls: list[tuple[str, str]] = []
        for _ in range(self.pick.choice([1, 1, 2])):
            call = self.name("call_")
            sequence = self.write(
                e.ToolCalled,
                tool_call_id=ToolCallId(call),
                item_id=ItemId(self.name("f")),
                name="create_task",
                arguments="{}",
            )
            for speech in self.speeches:
                speech.acted = speech.acted or speech.committed
            calls.append((f"e{sequence}", call))
        self._over_with(response, cancelled=False)
        if self.pick.random() < 0.3:
            self._message(ends_debt=False)
        for key, call in calls:
            self._return(key, call)

    def _return(self, key: str, call: str) -> None:
        self.write(
            e.ToolReturned,
            tool_call_id=ToolCallId(call),
            called=EventId(key),
            outcome="ok",
            result="{}",
            took_ms=1,
        )

    def _message(self, *, ends_debt: bool = True, within: str = "") -> None:
        item, response = ItemId(self.name("a")), within or self.name("r")
        words = [f"{item}word{i}" for i in range(self.pick.randrange(2, 8))]
        text, made_ms = " ".join(words), 200 * len(words)
        sounded = self.sounded[item] = Sounded(text)
        if ends_debt:
            self.owes = True  # a promise: once begun it is to be said to its end
        for i in range(len(words)):
            self.step()
            sounded.sent_ms += 200
            if i % 3 == 0:
                self._said(item, response, " ".join(words[: i + 1]), sounded.sent_ms, done=False)
            if self.pick.random() < 0.3:
                sounded.heard_ms = self.pick.randint(sounded.heard_ms, sounded.sent_ms)
        barged = not within and self.pick.random() < 0.15
        self.step()
        sounded.complete = True
        self._said(item, response, text, made_ms, done=True)
        if not within:
            self._over_with(response, cancelled=barged)
        if ends_debt:  # who speaks over an answer waives the rest of it
            self.owes = False
        if barged:
            self.write(e.BargedIn, item_id=item, heard_ms=sounded.heard_ms, line_ms=self.line_ms)
            self._over(item, cut=True)
        elif self.pick.random() < 0.5:
            self._over(item, cut=False)

    def _over_with(self, response: str, *, cancelled: bool) -> None:
        if cancelled:
            fields = {"status": "cancelled", "reason": "turn_detected"}
            self.write(e.ResponseEnded, response_id=response, **fields)
        else:
            fields = {"source": "response", "model": "m", "tokens": e.Tokens()}
            self.write(e.UsageReported, reference=response, **fields)

    def _said(self, item: str, response: str, text: str, ms: int, *, done: bool) -> None:
        self.write(
            e.Said,
            item_id=ItemId(item),
            response_id=response,
            text=text,
            generated_ms=ms,
            done=done,
        )

    def _play_out(self) -> None:
        """Twilio has played what it holds; ingress writes so, whoever holds the call."""
        for item, sounded in self.sounded.items():
            if not sounded.over:
                sounded.heard_ms = sounded.sent_ms
                self._over(item, cut=not sounded.complete)

    def _over(self, item: str, *, cut: bool) -> None:
        sounded = self.sounded[item]
        sounded.over = True
        if not cut:
            sounded.heard_ms = sounded.sent_ms
        if sounded.sent_ms:
            self._append(
                e.Heard,
                leg=Leg(self.leg),
                item_id=ItemId(item),
                heard_ms=sounded.heard_ms,
                sent_ms=sounded.sent_ms,
                cut=cut,
                line_ms=self.line_ms,
            )
