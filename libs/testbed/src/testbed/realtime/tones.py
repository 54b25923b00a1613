"""Synthetic assistant speech for exact tests: noise that names its text and its position.

Deterministic in the text, never silent, never repeating: any few bytes of it, wherever a test
meets them, tell which utterance they belong to and at which ms.
"""

from __future__ import annotations

import random

from testbed.realtime.formats import BYTES_PER_MS

# mu-law codes of about +-2,000 to +-8,000: clearly audible, far from clipping
_CODES = bytes([*range(0xA0, 0xC0), *range(0x20, 0x40)])


def tone(text: str, ms: int) -> bytes:
    """`ms` of mu-law 8 kHz that stands for `text` spoken; longer ones begin like shorter ones."""
    source = random.Random(f"tone:{text}")
    return bytes(_CODES[byte & 0x3F] for byte in source.randbytes(ms * BYTES_PER_MS))


def position_ms(text: str, excerpt: bytes, ms: int = 60_000) -> float | None:
    """Where `excerpt` (8 bytes or more) lies in `tone(text, ms)`; None if it is not part of it."""
    at = tone(text, ms).find(excerpt)
    return None if at < 0 else at / BYTES_PER_MS
