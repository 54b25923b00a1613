"""16-bit samples to mu-law bytes by a table, in plain Python (pure).

Called by phone_audio. ``audioop`` left Python 3.13; numpy would be a large dependency for this.
"""

from collections.abc import Sequence

_BIAS = 0x84
_CLIP = 32_635


def _code(sample: int) -> int:
    """ITU-T G.711: sign, exponent and mantissa of the biased magnitude, all bits inverted."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | exponent << 4 | mantissa) & 0xFF


_CODES = bytes(_code(sample) for sample in (*range(32_768), *range(-32_768, 0)))
"""By sample; the negative ones at the end, so that a negative index finds them."""


def encode(samples: Sequence[int]) -> bytes:
    """One mu-law byte for each signed 16-bit sample. Raises IndexError outside of 16 bits."""
    return bytes(map(_CODES.__getitem__, samples))
