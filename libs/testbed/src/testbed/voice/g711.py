"""The G.711 code tables in plain Python: what each mu-law and A-law byte stands for.

Used where numpy may be missing (the simulated Realtime session) and by `mulaw`, its fast form.
Bytes are 8 kHz mono, 8 bytes = 1 ms; linear values are signed 16-bit.
"""

from __future__ import annotations

_BIAS = 0x84
_CLIP = 32_635


def _mulaw_value(code: int) -> int:
    inverted = ~code & 0xFF
    magnitude = (((inverted & 0x0F) << 3) + _BIAS) << ((inverted & 0x70) >> 4)
    return _BIAS - magnitude if inverted & 0x80 else magnitude - _BIAS


def _alaw_value(code: int) -> int:
    toggled = code ^ 0x55
    segment = (toggled & 0x70) >> 4
    magnitude = ((toggled & 0x0F) << 4) + (0x108 if segment else 0x08)
    magnitude <<= max(0, segment - 1)
    return magnitude if toggled & 0x80 else -magnitude


def mulaw_code(sample: int) -> int:
    """The mu-law byte for a signed 16-bit sample (ITU-T G.711; clipped at 32,635)."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | (exponent << 4) | mantissa) & 0xFF


MULAW_TO_LINEAR: tuple[int, ...] = tuple(_mulaw_value(code) for code in range(256))
"""Signed 16-bit value of each mu-law byte."""

ALAW_TO_LINEAR: tuple[int, ...] = tuple(_alaw_value(code) for code in range(256))
"""Signed 16-bit value of each A-law byte."""

ALAW_TO_MULAW: bytes = bytes(mulaw_code(value) for value in ALAW_TO_LINEAR)
"""For bytes.translate: A-law to the nearest mu-law."""

MULAW_TO_ALAW: bytes = bytes(
    min(range(256), key=lambda code: abs(ALAW_TO_LINEAR[code] - value)) for value in MULAW_TO_LINEAR
)
"""For bytes.translate: mu-law to the nearest A-law."""

MULAW_SILENCE = 0xFF
"""The mu-law byte of a zero sample, as telephone lines send it."""
