"""The offline provider: espeak-ng from the wheel of the extra ``ai-agent[espeak]``, by ctypes, in
one worker thread.

libespeak-ng and its data are GPL-3.0: loaded at run time and only if installed. The library keeps
one global state, so a process has one engine and one thread for it. Its C code runs without the
GIL; the filter after it is Python and gives the GIL up every 5 ms.
"""

import asyncio
import ctypes
import functools
import importlib
import importlib.util
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ai_agent.speaker.phone_audio import PhoneAudio
from ai_agent.speaker.provider import Report, VoiceFailed
from ai_agent.speaker.sentence import Sentence

WHEEL = "espeakng_loader"
WORDS_PER_MINUTE = 165
VOLUME = 60
"""Percent of espeak-ng's own: as loud as a model's voice."""
LANGUAGES = {"en": "en-us"}
"""espeak-ng's name of a language where it is not the code itself."""

# espeak-ng/speak_lib.h
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_PARAMETER_RATE = 1
_PARAMETER_VOLUME = 2
_BUFFER_MS = 100
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)
Take = Callable[[bytes], bool]
"""Gets PCM as it is made; False ends the synthesis."""


def available() -> bool:
    """Whether the wheel is installed."""
    return importlib.util.find_spec(WHEEL) is not None


class EspeakVoice:
    """espeak-ng. ``variant`` is one of its voice variants (m3, f3, ...), empty for none."""

    name = "espeak"

    def __init__(self, variant: str) -> None:
        self._variant = variant
        self.version = variant

    async def speak(self, sentence: Sentence, report: Report) -> AsyncGenerator[bytes]:
        """See Provider."""
        name = LANGUAGES.get(sentence.language, sentence.language)
        voice = f"{name}+{self._variant}" if self._variant else name
        work = _Work(asyncio.get_running_loop())
        done = asyncio.get_running_loop().run_in_executor(_thread(), work.run, sentence.text, voice)
        done.add_done_callback(_retrieved)
        try:
            while (piece := await work.pieces.get()) is not None:
                yield piece
            await done
        finally:
            work.wanted = False  # the thread notices with the next buffer


class _Work:
    """One sentence on its way through the thread. Its queue is bound by the text: the engine is
    far faster than speech and cannot wait.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.wanted = True
        self._loop = loop

    def run(self, text: str, voice: str) -> None:
        """In the thread. Raises VoiceFailed."""
        try:
            if not self.wanted:
                return
            engine = _engine()
            audio = PhoneAudio(engine.rate)

            def take(pcm: bytes) -> bool:
                self._put(audio.feed(pcm))
                return self.wanted

            engine.speak(text, voice, take)
            self._put(audio.finish())
        finally:
            self._tell(None)

    def _put(self, piece: bytes) -> None:
        if piece:
            self._tell(piece)

    def _tell(self, piece: bytes | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.pieces.put_nowait, piece)


class _Engine:
    """libespeak-ng, initialised once a process; used from one thread only."""

    def __init__(self) -> None:
        loader = importlib.import_module(WHEEL)
        try:
            self._library: Any = ctypes.CDLL(loader.get_library_path())
        except OSError as error:
            raise VoiceFailed("libespeak-ng cannot be loaded", permanent=True) from error
        self.rate: int = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS,
            _BUFFER_MS,
            str(loader.get_data_path()).encode(),
            _INITIALIZE_DONT_EXIT,
        )
        if self.rate <= 0:
            raise VoiceFailed("libespeak-ng did not find its data", permanent=True)
        self._take: Take = _nobody
        self._callback = _CALLBACK(self._give)  # kept: ctypes holds no reference

    def speak(self, text: str, voice: str, take: Take) -> None:
        """Synthesize; ``take`` gets signed 16-bit samples of ``rate`` Hz. Raises VoiceFailed."""
        # Set for each text: the settings belong to the library, not to this object.
        self._library.espeak_SetSynthCallback(self._callback)
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise VoiceFailed("espeak-ng has no such voice")
        self._library.espeak_SetParameter(_PARAMETER_RATE, WORDS_PER_MINUTE, 0)
        self._library.espeak_SetParameter(_PARAMETER_VOLUME, VOLUME, 0)
        encoded = text.encode() + b"\0"
        self._take = take
        try:
            status = self._library.espeak_Synth(
                encoded, ctypes.c_size_t(len(encoded)), 0, 0, 0, _CHARS_UTF8, None, None
            )
        finally:
            self._take = _nobody
        if status != 0:
            raise VoiceFailed(f"espeak-ng failed with status {status}")

    def _give(self, samples: Any, count: int, _events: int) -> int:
        """espeak-ng's callback: 0 to go on, 1 to stop."""
        if not samples or count <= 0:
            return 0
        return 0 if self._take(ctypes.string_at(samples, 2 * count)) else 1


def _retrieved(done: asyncio.Future[None]) -> None:
    """Take the error of a sentence that nobody waits for any more."""
    if not done.cancelled():
        done.exception()


def _nobody(_pcm: bytes) -> bool:
    return False


@functools.cache
def _engine() -> _Engine:
    return _Engine()


@functools.cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="espeak")
