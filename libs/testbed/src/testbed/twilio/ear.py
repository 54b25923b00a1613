"""What the caller's ear heard during one call, over all its media streams. Pure.

Written by the play-out buffers and the TwiML program, read by tests and the demo to assert on what
a person would have heard. Never decides when anything is played.
"""

from dataclasses import dataclass

BYTES_PER_MS = 8  # mu-law, 8 kHz, mono
SILENCE = 0xFF


@dataclass(slots=True)
class Sound:
    """Audio heard without a break: mu-law bytes from `start_ms` (call clock) on."""

    start_ms: float
    audio: bytearray
    stream_sid: str

    @property
    def end_ms(self) -> float:
        """Call time at which the last byte had been heard."""
        return self.start_ms + len(self.audio) / BYTES_PER_MS


@dataclass(frozen=True, slots=True)
class Spoken:
    """A `<Say>` or `<Play>` by Twilio itself: text or address, no audio is made of it."""

    at_ms: float
    verb: str
    content: str


class Ear:
    """The record of one call; all times are milliseconds of the call clock (0 = dialled)."""

    def __init__(self) -> None:
        self.sounds: list[Sound] = []
        """Every unbroken stretch of audio, oldest first; never overlapping."""
        self.spoken: list[Spoken] = []
        """What Twilio said or played by itself, oldest first."""

    def hear(self, start_ms: float, audio: bytes, stream_sid: str) -> None:
        """Append audio that begins at `start_ms`; joins the last sound if there is no gap."""
        last = self.sounds[-1] if self.sounds else None
        joins = last is not None and abs(start_ms - last.end_ms) < 0.5 / BYTES_PER_MS
        if last is not None and joins and last.stream_sid == stream_sid:
            last.audio += audio
        else:
            self.sounds.append(Sound(start_ms, bytearray(audio), stream_sid))

    @property
    def last_heard_ms(self) -> float:
        """When the last byte of audio was heard; -1 if none ever was."""
        return self.sounds[-1].end_ms if self.sounds else -1.0

    def heard_ms(self, from_ms: float = 0.0, to_ms: float = float("inf")) -> float:
        """How many milliseconds of audio were heard between two moments."""
        return sum(max(0.0, min(s.end_ms, to_ms) - max(s.start_ms, from_ms)) for s in self.sounds)

    def audio(self, from_ms: float = 0.0, to_ms: float = float("inf")) -> bytes:
        """The mu-law bytes heard between two moments, gaps left out."""
        return b"".join(self._slice(s, from_ms, to_ms) for s in self.sounds)

    def bursts(self, gap_ms: float = 300.0) -> list[Sound]:
        """Sounds joined over gaps of at most `gap_ms`: roughly one entry an utterance."""
        joined: list[Sound] = []
        for sound in self.sounds:
            if joined and sound.start_ms - joined[-1].end_ms <= gap_ms:
                gap = round((sound.start_ms - joined[-1].end_ms) * BYTES_PER_MS)
                joined[-1].audio += bytes([SILENCE]) * max(0, gap) + sound.audio
            else:
                joined.append(Sound(sound.start_ms, bytearray(sound.audio), sound.stream_sid))
        return joined

    def silences(
        self, longer_than_ms: float, from_ms: float = 0.0, to_ms: float | None = None
    ) -> list[tuple[float, float]]:
        """Gaps (start, end) without audio longer than a bound.

        Without `to_ms` only gaps up to the last sound count, so that the quiet after the end of a
        conversation is none.
        """
        end = self.last_heard_ms if to_ms is None else to_ms
        gaps: list[tuple[float, float]] = []
        quiet_since = from_ms
        for sound in self.sounds:
            if sound.end_ms <= from_ms:
                continue
            if sound.start_ms >= end:
                break
            gaps.append((quiet_since, sound.start_ms))
            quiet_since = sound.end_ms
        gaps.append((quiet_since, end))
        return [(a, b) for a, b in gaps if b - a > longer_than_ms]

    def rendered(self, from_ms: float = 0.0, to_ms: float | None = None) -> bytes:
        """The same as one mu-law recording in real time, silence where nothing was heard."""
        end = self.last_heard_ms if to_ms is None else to_ms
        out = bytearray([SILENCE]) * max(0, round((end - from_ms) * BYTES_PER_MS))
        for sound in self.sounds:
            at = round((sound.start_ms - from_ms) * BYTES_PER_MS)
            piece = sound.audio[max(0, -at) : max(0, len(out) - at)]
            out[max(0, at) : max(0, at) + len(piece)] = piece
        return bytes(out)

    @staticmethod
    def _slice(sound: Sound, from_ms: float, to_ms: float) -> bytes:
        first = max(0, round((from_ms - sound.start_ms) * BYTES_PER_MS))
        if to_ms >= sound.end_ms:
            return bytes(sound.audio[first:])
        return bytes(sound.audio[first : max(0, round((to_ms - sound.start_ms) * BYTES_PER_MS))])
