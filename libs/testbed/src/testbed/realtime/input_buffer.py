"""The input audio buffer of a session: appended audio, its clock in ms, and the turns in it. Pure.

The clock counts audio that was appended, not time: gaps that were not sent do not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.realtime.errors import commit_empty
from testbed.realtime.formats import BYTES_PER_MS
from testbed.realtime.vad import (
    ONSET_MS,
    WINDOW_BYTES,
    SpeechStarted,
    SpeechStopped,
    TurnDetector,
    VadSettings,
)

MIN_COMMIT_MS = 100


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The detector closed a turn: its audio (mu-law) from padding to the end of the silence."""

    audio_end_ms: int
    audio: bytes


class InputBuffer:
    """Uncommitted caller audio. While a detector listens to silence only its padding is kept."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._first_byte = 0  # position of _audio[0] on the session's audio clock
        self._examined = 0  # position up to which the detector has looked
        self._turn_start_ms = 0
        self._detector: TurnDetector | None = None

    @property
    def clock_ms(self) -> int:
        """ms of audio appended in this session."""
        return (self._first_byte + len(self._audio)) // BYTES_PER_MS

    @property
    def speaking(self) -> bool:
        """Whether a turn is open."""
        return self._detector is not None and self._detector.speaking

    def detect_turns(self, settings: VadSettings | None) -> None:
        """Change the turn detection; a turn in progress goes on under the new settings."""
        if settings is None:
            self._detector = None
        elif self._detector is not None:
            self._detector.settings = settings
        else:
            self._examined = self._first_byte + len(self._audio)
            self._detector = TurnDetector(settings, self._examined // BYTES_PER_MS)

    def append(self, mulaw: bytes) -> list[SpeechStarted | TurnEnded]:
        """Add audio of any length; the turns it started and ended, in order."""
        self._audio += mulaw
        detector = self._detector
        if detector is None:
            return []
        changes: list[SpeechStarted | TurnEnded] = []
        while self._examined + WINDOW_BYTES <= self._first_byte + len(self._audio):
            at = self._examined - self._first_byte
            change = detector.feed(bytes(self._audio[at : at + WINDOW_BYTES]))
            self._examined += WINDOW_BYTES
            match change:
                case SpeechStarted(start_ms):
                    self._turn_start_ms = max(start_ms, self._first_byte // BYTES_PER_MS)
                    changes.append(SpeechStarted(self._turn_start_ms))
                case SpeechStopped(end_ms):
                    changes.append(TurnEnded(end_ms, self._cut(self._examined)))
                case None:
                    pass
        if not detector.speaking:
            self._keep_padding(detector.settings.prefix_padding_ms)
        return changes

    def commit(self) -> bytes:
        """All uncommitted audio, as the client asked for; ApiError below 100 ms."""
        buffered_ms = len(self._audio) / BYTES_PER_MS
        if buffered_ms < MIN_COMMIT_MS:
            raise commit_empty(buffered_ms)
        audio = bytes(self._audio)
        self.clear()
        return audio

    def clear(self) -> None:
        """Throw away what is uncommitted; the clock goes on."""
        self._first_byte += len(self._audio)
        self._audio.clear()
        self._examined = self._first_byte
        if self._detector is not None:
            self._detector = TurnDetector(self._detector.settings, self._examined // BYTES_PER_MS)

    def _cut(self, end: int) -> bytes:
        start = self._turn_start_ms * BYTES_PER_MS - self._first_byte
        stop = end - self._first_byte
        audio = bytes(self._audio[start:stop])
        del self._audio[:stop]
        self._first_byte = end
        return audio

    def _keep_padding(self, padding_ms: int) -> None:
        surplus = len(self._audio) - (padding_ms + ONSET_MS) * BYTES_PER_MS - WINDOW_BYTES
        if surplus > 0:
            del self._audio[:surplus]
            self._first_byte += surplus
