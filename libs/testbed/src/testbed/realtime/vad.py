"""Server VAD on the energy of real audio: windows in, speech started / stopped out. Pure.

The simulation's `threshold` is a level: 0 = -60 dBFS, 1 = -20 dBFS, so the default 0.5 hears
everything above -40 dBFS. The real server uses a model; the clock and padding rules are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.voice.g711 import MULAW_TO_LINEAR

WINDOW_MS = 20
WINDOW_BYTES = WINDOW_MS * 8
ONSET_MS = 60
"""Energy must last this long to count as speech: clicks do not start a turn."""

_SQUARES = tuple(value * value for value in MULAW_TO_LINEAR)


@dataclass(frozen=True, slots=True)
class VadSettings:
    """server_vad as a session.update sets it."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 200


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech began; `audio_start_ms` includes the prefix padding."""

    audio_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Speech ended; `audio_end_ms` is where the silence had lasted long enough."""

    audio_end_ms: int


def is_loud(window: bytes, threshold: float) -> bool:
    """Whether the mean power of mu-law bytes lies above the level that `threshold` stands for."""
    power = sum(map(_SQUARES.__getitem__, window)) / len(window)
    floor_db = -60.0 + 40.0 * threshold
    return power >= (32_768.0**2) * 10 ** (floor_db / 10)


class TurnDetector:
    """Finds turns in consecutive windows of WINDOW_MS; times are ms of audio fed since 0."""

    def __init__(self, settings: VadSettings, clock_ms: int = 0) -> None:
        self.settings = settings
        self.speaking = False
        self._clock_ms = clock_ms
        self._loud_ms = 0
        self._quiet_ms = 0

    def feed(self, window: bytes) -> SpeechStarted | SpeechStopped | None:
        """One window of mu-law (WINDOW_BYTES); what it brought about, if anything."""
        loud = is_loud(window, self.settings.threshold)
        self._clock_ms += WINDOW_MS
        self._loud_ms = self._loud_ms + WINDOW_MS if loud else 0
        self._quiet_ms = 0 if loud else self._quiet_ms + WINDOW_MS
        if not self.speaking and self._loud_ms >= ONSET_MS:
            self.speaking = True
            onset = self._clock_ms - self._loud_ms
            return SpeechStarted(max(0, onset - self.settings.prefix_padding_ms))
        if self.speaking and self._quiet_ms >= self.settings.silence_duration_ms:
            self.speaking = False
            return SpeechStopped(self._clock_ms)
        return None
