"""A recording as a WAV file: stereo (caller left, assistant right), 8 kHz, PCM of 16 bits (pure).

mu-law would be half as large and the very bytes of the line, but PCM opens everywhere; as every
mu-law byte is one of 256 values of 16 bits, nothing is lost.
"""

import struct
from collections.abc import Iterator

from msgspec import Struct

from protocol.audio import BYTES_PER_MS, SILENCE

HEADER_BYTES = 44
_FRAME = 4
"""Bytes of a sample of both sides."""
_CHUNK = 16_384
"""Samples that are made at once."""


class Slice(Struct, frozen=True):
    """Bytes [begin, end) of a file."""

    begin: int
    end: int


def size_of(caller: bytes, assistant: bytes) -> int:
    """Bytes of the whole file; the shorter side is filled with silence."""
    return HEADER_BYTES + _FRAME * max(len(caller), len(assistant))


def sliced(asked: str, size: int) -> Slice | None:
    """The part that a ``Range`` header asks for; all of it when it asks for nothing that is
    understood; None when it lies outside of the file.
    """
    unit, _, rest = asked.partition("=")
    begin, dash, end = rest.strip().partition("-")
    numbers = all(
        text.isascii() and text.isdigit() and len(text) < 16 for text in (begin, end) if text
    )
    if unit.strip() != "bytes" or not dash or not numbers or not (begin or end):
        return Slice(0, size)
    if not begin:
        return Slice(max(0, size - int(end)), size) if int(end) else None
    first, last = int(begin), min(int(end), size - 1) if end else size - 1
    return Slice(first, last + 1) if first <= last else None


def chunks(caller: bytes, assistant: bytes, part: Slice) -> Iterator[bytes]:
    """``part`` of the file, piece by piece."""
    samples = max(len(caller), len(assistant))
    if part.begin < HEADER_BYTES:
        yield _header(samples)[part.begin : part.end]
    begin, end = max(part.begin, HEADER_BYTES) - HEADER_BYTES, part.end - HEADER_BYTES
    for first in range(begin // _FRAME, -(-end // _FRAME), _CHUNK):
        last = min(first + _CHUNK, samples)
        both = _interleaved(caller[first:last], assistant[first:last], last - first)
        yield both[max(0, begin - first * _FRAME) : end - first * _FRAME]


def _interleaved(caller: bytes, assistant: bytes, samples: int) -> bytes:
    made = bytearray(samples * _FRAME)
    for at, side in ((0, caller), (2, assistant)):
        filled = side.ljust(samples, SILENCE)
        made[at::_FRAME] = filled.translate(_LOW)
        made[at + 1 :: _FRAME] = filled.translate(_HIGH)
    return bytes(made)


def _header(samples: int) -> bytes:
    rate, data = BYTES_PER_MS * 1000, samples * _FRAME
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, rate, rate * _FRAME, _FRAME, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + data, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", data)
    )


def linear(byte: int) -> int:
    """A mu-law byte as a sample of 16 bits (G.711)."""
    code = ~byte & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


_LOW = bytes(linear(byte) & 0xFF for byte in range(256))
_HIGH = bytes(linear(byte) >> 8 & 0xFF for byte in range(256))
