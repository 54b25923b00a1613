"""Stamped audio: a sequence number and the monotonic clock in the first bytes of a mu-law block.

Audio passes the system as bytes, so a stamp arrives as it was written. All processes of a machine
share the clock.
"""

import struct
import time

_HEAD = struct.Struct("<4sQq")
_MAGIC = b"TRNK"
_PLACES = 64
"""Blocks are told apart by their padding too, so that nothing on the way can fold equal ones."""


WHO = 1 << 32
"""A sequence number is the caller's number times this, plus the frame's."""


def block(sequence: int, size: int) -> bytes:
    """`size` bytes (mu-law, 8 a ms) that hold `sequence` and the present moment."""
    head = _HEAD.pack(_MAGIC, sequence, time.monotonic_ns())
    return head + bytes([0x20 + sequence % _PLACES]) * (size - len(head))


def read(audio: bytes, offset: int = 0) -> tuple[int, float] | None:
    """(sequence, ms since it was stamped) of the block at `offset`; None where none begins."""
    if not audio.startswith(_MAGIC, offset):
        return None
    _, sequence, stamped = _HEAD.unpack_from(audio, offset)
    return sequence, (time.monotonic_ns() - stamped) / 1e6
