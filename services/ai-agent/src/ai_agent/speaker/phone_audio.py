"""PCM as synthesizers give it (16-bit little-endian, mono) to telephone audio, piece by piece
(pure).

Called by the providers that do not speak mu-law themselves; one PhoneAudio a sentence.
"""

import sys
from array import array

from ai_agent.speaker import mulaw
from ai_agent.speaker.resampler import Resampler

PHONE_RATE = 8_000


class PhoneAudio:
    """From PCM of ``rate`` Hz to mu-law 8 kHz. A piece may end in the middle of a sample."""

    def __init__(self, rate: int) -> None:
        self._resampler = Resampler(rate, PHONE_RATE)
        self._odd = b""

    def feed(self, pcm: bytes) -> bytes:
        """The mu-law of what has come so far, but for the last 2 ms."""
        pcm = self._odd + pcm
        whole = len(pcm) // 2 * 2
        self._odd = pcm[whole:]
        samples = array("h", pcm[:whole])
        if sys.byteorder == "big":
            samples.byteswap()
        return mulaw.encode(self._resampler.feed(samples))

    def finish(self) -> bytes:
        """The rest; half a sample at the very end is dropped."""
        return mulaw.encode(self._resampler.finish())
