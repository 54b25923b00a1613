"""The waveform behind a score: the least and the greatest sample of each column (pure).

A recording is first reduced to the extremes of every 20 ms, once; each picture is made from those.
"""

from msgspec import Struct

from dashboard.score.layout import Band, Size
from dashboard.sound.wav import linear
from protocol.audio import BYTES_PER_MS

STEP_MS = 20
_STEP = STEP_MS * BYTES_PER_MS
_MIDDLE = 128
_QUIETEST = 1
"""Extremes of silence."""

_LEVELS = bytes(min(255, max(0, _MIDDLE + round(linear(byte) / 256))) for byte in range(256))
"""A mu-law byte's sample as 0 to 255, so that slices of bytes have a least and a greatest."""


class Side(Struct, frozen=True):
    """One track: for every STEP_MS the least and the greatest sample, 0 to 255 around 128."""

    low: bytes
    high: bytes


class Waveform(Struct, frozen=True):
    """A recording's extremes; it begins at ``start_ms`` of the line."""

    start_ms: int
    caller: Side
    assistant: Side

    @property
    def end_ms(self) -> int:
        return self.start_ms + STEP_MS * max(len(self.caller.low), len(self.assistant.low))


def side_of(mulaw: bytes) -> Side:
    """The extremes of a track."""
    levels = mulaw.translate(_LEVELS)
    steps = [levels[at : at + _STEP] for at in range(0, len(levels), _STEP)]
    return Side(bytes(map(min, steps)), bytes(map(max, steps)))


def waveform_of(start_ms: int, caller: bytes, assistant: bytes) -> Waveform:
    """The extremes of a whole recording."""
    return Waveform(start_ms, side_of(caller), side_of(assistant))


def paths(wave: Waveform, size: Size, from_ms: int, to_ms: int) -> tuple[str, str]:
    """The path (SVG) of each stave for [from_ms, to_ms) in a picture of ``size``: caller,
    assistant. One closed shape a run of sound; silence draws nothing.
    """
    begin = wave.start_ms
    return (
        _path(wave.caller, begin, size.caller, size.width, from_ms, to_ms),
        _path(wave.assistant, begin, size.assistant, size.width, from_ms, to_ms),
    )


def _path(side: Side, start_ms: int, band: Band, width: float, from_ms: int, to_ms: int) -> str:
    columns = max(1, round(width))
    a_column = max(1, to_ms - from_ms) / columns
    made: list[str] = []
    run: list[tuple[int, int, int]] = []
    for x in range(columns):
        first = int((from_ms + x * a_column - start_ms) // STEP_MS)
        last = max(first + 1, int((from_ms + (x + 1) * a_column - start_ms) // STEP_MS))
        low, high = side.low[max(0, first) : max(0, last)], side.high[max(0, first) : max(0, last)]
        if low and (min(low) < _MIDDLE - _QUIETEST or max(high) > _MIDDLE + _QUIETEST):
            run.append((x, min(low), max(high)))
        elif run:
            made.append(_shape(run, band))
            run = []
    if run:
        made.append(_shape(run, band))
    return "".join(made)


def _shape(run: list[tuple[int, int, int]], band: Band) -> str:
    half = band.h / 2

    def y(level: int) -> str:
        return f"{band.mid - (level - _MIDDLE) / _MIDDLE * half:.1f}".removesuffix(".0")

    there = "".join(f"L{x} {y(high)}" for x, _, high in run)
    end = f"H{run[-1][0] + 1}"
    back = "".join(f"L{x} {y(low)}" for x, low, _ in reversed(run))
    return f"M{there[1:]}{end}{back}z"
