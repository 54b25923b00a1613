"""The state of one simulated call: who, since when, what was heard, what happened.

Shared by the call, its program, its callbacks and its media stream. Ticked by the pump: it plays
out what is due and passes the caller's voice on. Never talks HTTP and never runs TwiML.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from testbed.twilio.ear import Ear
from testbed.twilio.faults import Faults
from testbed.twilio.forms import FINAL_STATUSES, CallFacts
from testbed.twilio.media_stream import MediaStream
from testbed.twilio.mouth import FRAME_MS, Mouth


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened, at a time of the call clock (ms since the call was dialled)."""

    at_ms: float
    what: str
    detail: str


class Leg:
    """One telephone call as Twilio sees it."""

    def __init__(self, facts: CallFacts, faults: Faults) -> None:
        self.facts = facts
        self.faults = replace(faults)
        self.ear = Ear()
        self.mouth = Mouth()
        self.log: list[Entry] = []
        self.documents: list[str] = []
        self.statuses: list[str] = []
        self.streams: list[MediaStream] = []
        self.stream: MediaStream | None = None
        self.answered_ms: float | None = None
        self.ended_ms: float | None = None
        self.caller_gone = False
        self.last_said_ms = -1.0
        self._loop = asyncio.get_running_loop()
        self.created = datetime.now(UTC)
        self._dialled = self._loop.time()
        self._next_frame_ms: float | None = None

    @property
    def status(self) -> str:
        """The call status as REST shows it."""
        return self.statuses[-1]

    @property
    def over(self) -> bool:
        """A final status was reached."""
        return self.status in FINAL_STATUSES

    def now_ms(self) -> float:
        """The call clock: milliseconds since the call was dialled."""
        return (self._loop.time() - self._dialled) * 1000

    def note(self, what: str, detail: str = "") -> None:
        """Add to the log."""
        self.log.append(Entry(self.now_ms(), what, detail))

    def set_status(self, status: str) -> None:
        """Move to a status; the same one twice counts once."""
        if self.statuses and self.status == status:
            return
        self.statuses.append(status)
        self.note("status", status)
        if status == "in-progress":
            self.answered_ms = self.now_ms()
        elif status in FINAL_STATUSES:
            self.ended_ms = self.now_ms()
            self.mouth.fall_silent()

    def duration_s(self) -> float:
        """Seconds between answer and end, 0 if it never was answered."""
        if self.answered_ms is None or self.ended_ms is None:
            return 0.0
        return (self.ended_ms - self.answered_ms) / 1000

    def open_stream(self, stream: MediaStream) -> None:
        """From now on the caller is connected with this stream."""
        self.streams.append(stream)
        self.stream = stream

    def close_stream(self) -> None:
        """The caller is connected with no stream."""
        self.stream = None

    def tick(self) -> None:
        """Play what is due and send every caller frame that is due; late ticks catch up.

        A caller waits with the first word until a stream has started. What is said later, while
        no stream is open, is lost, as on a real line.
        """
        now_ms = self.now_ms()
        stream = self.stream
        if stream is not None:
            stream.advance(now_ms)
        if self._next_frame_ms is None:
            if stream is None or stream.started_ms is None:
                return
            self._next_frame_ms = stream.started_ms + FRAME_MS
        while self._next_frame_ms <= now_ms:
            if not self.mouth.idle:
                self.last_said_ms = now_ms
            frame = self.mouth.take()
            if stream is not None:
                stream.send_frame(frame, self._next_frame_ms - FRAME_MS)
            self._next_frame_ms += FRAME_MS
