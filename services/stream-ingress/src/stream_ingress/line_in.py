"""Caller to agent: every frame and key is put on the line's clock, ringed, and told, frames in
batches, once an agent holds the call.

connection calls it for what comes from the socket. Before ``go_live`` nothing is told: the agent
asks replay for what the ring holds. Keys are never logged.
"""

from collections.abc import Callable
from functools import partial

from protocol import line, subjects
from protocol.ids import CallId, Leg
from stream_ingress.line_clock import LineClock
from stream_ingress.metrics import Tally
from stream_ingress.ring import Ring
from stream_ingress.twilio_messages import DtmfBody, MediaBody
from stream_ingress.uplink import Uplink


class LineIn:
    """The caller's side of one leg, from ``start`` on; ``begins_ms`` from the token,
    ``batch_bytes`` of mu-law (8 a ms) make a message.
    """

    def __init__(
        self, uplink: Uplink, call: CallId, begins_ms: int, tally: Tally, *, batch_bytes: int
    ) -> None:
        self._uplink = uplink
        self._batch_bytes = batch_bytes
        self._batch = bytearray()
        self._batched = 0
        self._call = call
        self._tally = tally
        self._clock = LineClock(begins_ms)
        self._audio_subject = self._clock_subject = self._dtmf_subject = ""
        self.ring = Ring(begins_ms)
        self.frames = 0
        self.dropped = 0
        self.ear: Callable[[int, bytes], None] | None = None
        """Gets every frame with its line_ms while somebody listens or the call is recorded."""

    @property
    def now_ms(self) -> int:
        """The time on the line: line_ms of the next byte of audio."""
        return self._clock.next_ms

    def go_live(self, leg: Leg) -> None:
        """An agent holds the call: tell it from the next frame on, the clock first."""
        self._audio_subject = subjects.in_audio(self._call, leg)
        self._clock_subject = subjects.in_clock(self._call, leg)
        self._dtmf_subject = subjects.in_dtmf(self._call, leg)
        self._clock.unsay()

    def retell(self) -> None:
        """NATS was away, or the holder is new: tell the time before the next frame."""
        self._clock.unsay()

    def audio(self, media: MediaBody) -> None:
        """One frame of the caller."""
        payload = media.payload
        if not payload:
            return
        clock = self._clock
        gaps = clock.gaps
        line_ms = clock.place(media.timestamp, len(payload))
        self.ring.audio(line_ms, payload)
        self.frames += 1
        self._tally.frames_in += 1
        if self.ear is not None:
            self.ear(line_ms, payload)
        if clock.gaps != gaps and self.frames > 1:
            self._tally.gaps += 1
        if not self._audio_subject:
            return
        # Where nothing demands it, the time is told between batches: cut, one makes two messages.
        if (clock.unsaid or not self._batch) and clock.due(line_ms):
            self.end_batch()
            self._uplink.put(self._clock_subject, line.Clock(line_ms), clock.unsay)
        self._batch += payload
        self._batched += 1
        if len(self._batch) >= self._batch_bytes:
            self.end_batch()

    def end_batch(self) -> None:
        """What was batched is told now: it is full, or something must come behind it."""
        if self._batch:
            dropped = partial(self._dropped, self._batched)
            self._uplink.put(self._audio_subject, bytes(self._batch), dropped)
            self._batch.clear()
            self._batched = 0

    def key(self, dtmf: DtmfBody) -> None:
        """One key of the caller; Twilio gives it no time, so it gets the line's."""
        line_ms = self.now_ms
        self.ring.key(line_ms, dtmf.digit)
        if self._dtmf_subject:
            self.end_batch()  # a key that NATS does not take stays in the ring, for a replay
            self._uplink.put(self._dtmf_subject, line.Dtmf(dtmf.digit, line_ms))

    def _dropped(self, frames: int) -> None:
        self._clock.unsay()
        self.dropped += frames
        self._tally.dropped_in += frames
