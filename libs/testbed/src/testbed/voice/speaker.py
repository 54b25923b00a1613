"""Speech synthesis: text to telephone audio with espeak-ng, in one worker thread, cached.

libespeak-ng and its data come from the wheel `espeakng-loader` and are licensed GPL-3.0; they are
loaded at run time and only with the extra `testbed[voice]`. The library keeps one global state and
is not thread-safe: one thread a process, whatever the number of Speakers.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import espeakng_loader
import numpy as np
import numpy.typing as npt

from testbed.voice import mulaw

CALLER_VOICE = "en-us+f3"
ASSISTANT_VOICE = "en-us+m3"
"""espeak-ng voice names: language + variant."""

PHONE_RATE = 8_000
WORDS_PER_MINUTE = 165
CACHE_ENTRIES = 256
_PEAK = 0.5  # of full scale: about -20 dBFS RMS for speech
_CUTOFF_HZ = 3_500.0
_HALF_TAPS = 96

# espeak-ng/speak_lib.h
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_PARAMETER_RATE = 1
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)

Signal = npt.NDArray[np.float64]


class SpeechError(Exception):
    """espeak-ng refused a voice or a text, or could not be loaded."""


class Speaker:
    """Speaks with a cache over the process's one synthesis thread."""

    def __init__(self, cache_entries: int = CACHE_ENTRIES) -> None:
        self._cache: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._cache_entries = cache_entries

    async def speak(self, text: str, voice: str = ASSISTANT_VOICE) -> bytes:
        """mu-law 8 kHz of `text`; SpeechError if the voice does not exist."""
        key = (voice, text)
        if key not in self._cache:
            loop = asyncio.get_running_loop()
            self._cache[key] = await loop.run_in_executor(_thread(), synthesize, text, voice)
            if len(self._cache) > self._cache_entries:
                self._cache.popitem(last=False)
        self._cache.move_to_end(key)
        return self._cache[key]


def synthesize(text: str, voice: str) -> bytes:
    """mu-law 8 kHz of `text`, peak at half of full scale. Call it from one thread only."""
    engine = _engine()
    signal = np.frombuffer(engine.pcm(text, voice), dtype=np.int16).astype(np.float64)
    if not signal.size:
        return b""
    phone = resample(signal, engine.sample_rate, PHONE_RATE)
    peak = float(np.max(np.abs(phone))) or 1.0
    return mulaw.encode(phone * (_PEAK * 32_767 / peak))


def resample(signal: Signal, rate: int, to_rate: int) -> Signal:
    """Band-limited to 3.5 kHz (windowed sinc) and read at the new rate."""
    taps = np.arange(-_HALF_TAPS, _HALF_TAPS + 1)
    kernel = np.sinc(2 * _CUTOFF_HZ / rate * taps) * np.blackman(taps.size)
    smooth = np.convolve(signal, kernel / kernel.sum(), mode="full")[_HALF_TAPS:-_HALF_TAPS]
    positions = np.arange(0, signal.size - 1, rate / to_rate)
    read: Signal = np.interp(positions, np.arange(signal.size), smooth[: signal.size]).astype(
        np.float64
    )
    return read


class _Engine:
    """libespeak-ng, initialised once a process."""

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        data = str(espeakng_loader.get_data_path()).encode()
        self.sample_rate: int = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _INITIALIZE_DONT_EXIT
        )
        if self.sample_rate <= 0:
            raise SpeechError("libespeak-ng could not be initialised with the data of its wheel")
        self._pcm = bytearray()
        self._callback = _CALLBACK(self._take)  # kept: ctypes does not hold a reference

    def pcm(self, text: str, voice: str) -> bytes:
        """Signed 16-bit native-endian samples at `sample_rate`."""
        # For each text: callback and rate belong to the library, which others of this process
        # may use too.
        self._library.espeak_SetSynthCallback(self._callback)
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SpeechError(f"espeak-ng has no voice named '{voice}'")
        self._library.espeak_SetParameter(_PARAMETER_RATE, WORDS_PER_MINUTE, 0)
        self._pcm.clear()
        encoded = text.encode() + b"\0"
        status = self._library.espeak_Synth(
            encoded, ctypes.c_size_t(len(encoded)), 0, 0, 0, _CHARS_UTF8, None, None
        )
        if status != 0:
            raise SpeechError(f"espeak-ng failed with status {status}")
        return bytes(self._pcm)

    def _take(self, samples: Any, count: int, _events: int) -> int:
        if samples and count > 0:
            self._pcm += ctypes.string_at(samples, 2 * count)
        return 0


@functools.cache
def _engine() -> _Engine:
    return _Engine()


@functools.cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="espeak")
