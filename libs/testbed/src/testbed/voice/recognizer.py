"""Speech recognition by grammar with pocketsphinx, and the worker process that runs it.

`python -m testbed.voice.recognizer` reads frames (4 bytes length, then bytes) from stdin: first
the JSGF grammar, then utterances as mu-law 8 kHz; it answers each with a frame of UTF-8 text and
ends when stdin closes. pocketsphinx holds the GIL while it decodes (about 0.1 s an utterance),
hence a process: `hearing` owns it.
"""

from __future__ import annotations

import signal
import struct
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from pocketsphinx import Decoder  # pyright: ignore[reportUnknownVariableType] # no stubs

from testbed.voice import mulaw

RATE = 16_000
NOISE = 0.002
"""White noise added, of full scale: digital silence and the empty upper band ruin the features."""
_PADDING = RATE // 5  # 0.2 s before and after
_HALF_TAPS = 24
_SEED = 20_000
_LENGTH = struct.Struct(">I")


class Recognizer:
    """Understands the sentences of one JSGF grammar; the same audio always gives the same text."""

    def __init__(self, grammar: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "grammar.jsgf"
            path.write_text(grammar, encoding="utf-8")
            self._decoder: Any = Decoder(
                jsgf=str(path),
                bestpath=False,
                beam=1e-120,
                wbeam=1e-100,
                pbeam=1e-120,
                topn=8,
                loglevel="FATAL",
            )

    def recognize(self, utterance: bytes) -> str:
        """The sentence in mu-law 8 kHz audio; "" if none was found."""
        self._decoder.start_utt()
        self._decoder.process_raw(_prepare(utterance), False, True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return "" if hypothesis is None else str(hypothesis.hypstr)


def _prepare(utterance: bytes) -> bytes:
    """mu-law 8 kHz to padded, slightly noisy 16 kHz PCM."""
    wide = np.zeros(2 * len(utterance))
    wide[::2] = mulaw.decode(utterance)
    taps = np.arange(-_HALF_TAPS, _HALF_TAPS + 1)
    kernel = np.sinc(taps / 2) * np.blackman(taps.size)
    smooth: npt.NDArray[np.float64] = np.convolve(wide, kernel)[_HALF_TAPS:-_HALF_TAPS]
    padded = np.pad(smooth, _PADDING)
    noise = np.random.default_rng(_SEED).standard_normal(padded.size) * (NOISE * 32_768)
    return np.clip(padded + noise, -32_768, 32_767).astype("<i2").tobytes()


def _read_frame(stream: IO[bytes]) -> bytes | None:
    header = stream.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(header)
    return stream.read(length)


def main() -> None:
    """The worker: grammar, then utterances, until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; stdin decides
    grammar = _read_frame(sys.stdin.buffer)
    if grammar is None:
        return
    recognizer = Recognizer(grammar.decode())
    while (utterance := _read_frame(sys.stdin.buffer)) is not None:
        text = recognizer.recognize(utterance).encode()
        sys.stdout.buffer.write(_LENGTH.pack(len(text)) + text)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
