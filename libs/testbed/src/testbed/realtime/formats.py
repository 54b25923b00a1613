"""The three audio formats of the Realtime API, turned into the one the simulation works in.

Inside, all audio is mu-law 8 kHz (8 bytes = 1 ms). `audio/pcm` is 24 kHz signed 16-bit little
endian; a client that forgot to ask for `audio/pcmu` really gets it, as from the real API.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from typing import Any

from testbed.voice.g711 import (
    ALAW_TO_MULAW,
    MULAW_TO_ALAW,
    MULAW_TO_LINEAR,
    mulaw_code,
)

BYTES_PER_MS = 8
"""mu-law 8 kHz."""

_PCM_GROUP = 6  # three 24 kHz samples of two bytes make one 8 kHz sample


def encode(mulaw: bytes, audio_format: Mapping[str, Any]) -> bytes:
    """mu-law 8 kHz to the session's output format."""
    match audio_format["type"]:
        case "audio/pcmu":
            return mulaw
        case "audio/pcma":
            return mulaw.translate(MULAW_TO_ALAW)
        case _:
            return _to_pcm24(mulaw)


class InputDecoder:
    """Appended audio in any format to mu-law; keeps a split sample for the next chunk."""

    def __init__(self) -> None:
        self._rest = b""

    def decode(self, chunk: bytes, audio_format: Mapping[str, Any]) -> bytes:
        """One appended chunk to mu-law 8 kHz bytes."""
        match audio_format["type"]:
            case "audio/pcmu":
                return chunk
            case "audio/pcma":
                return chunk.translate(ALAW_TO_MULAW)
            case _:
                data = self._rest + chunk
                whole = len(data) - len(data) % _PCM_GROUP
                self._rest = data[whole:]
                return _from_pcm24(data[:whole])


def _to_pcm24(mulaw: bytes) -> bytes:
    samples = array("h")
    for code, following in zip(mulaw, mulaw[1:] + mulaw[-1:], strict=True):
        here, there = MULAW_TO_LINEAR[code], MULAW_TO_LINEAR[following]
        samples.extend((here, (2 * here + there) // 3, (here + 2 * there) // 3))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def _from_pcm24(pcm: bytes) -> bytes:
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return bytes(mulaw_code(sum(samples[i : i + 3]) // 3) for i in range(0, len(samples), 3))
