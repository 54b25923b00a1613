"""mu-law bytes <-> int16 samples by numpy tables (`audioop` left Python 3.13).

Called by the speaker and the hearing; never touches files or devices.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from testbed.voice.g711 import MULAW_TO_LINEAR, mulaw_code

Samples = npt.NDArray[np.int16]

_DECODE: Samples = np.array(MULAW_TO_LINEAR, dtype=np.int16)
_ENCODE: npt.NDArray[np.uint8] = np.array(
    [mulaw_code(sample) for sample in range(-32_768, 32_768)], dtype=np.uint8
)


def decode(mulaw: bytes) -> Samples:
    """mu-law bytes to signed 16-bit samples, one for each byte."""
    return _DECODE[np.frombuffer(mulaw, dtype=np.uint8)]


def encode(samples: npt.NDArray[np.generic]) -> bytes:
    """Samples on the 16-bit scale (any numeric dtype, clipped) to mu-law bytes."""
    clipped = np.clip(np.rint(samples.astype(np.float64)), -32_768, 32_767).astype(np.int32)
    return _ENCODE[clipped + 32_768].tobytes()
