"""The Speaker: says a sentence with what can say it now. Used by the gate, the keypad tier and
every spoken notice outside of a Realtime conversation.

    async with speaker.running(settings, bus, client) as spoken:  # once a process
        async with aclosing(spoken.speak(sentence)) as speech:
            async for piece in speech: ...                        # mu-law 8 kHz

Order: a shipped prompt; the cache; the providers as configured; a shipped prompt of the same
words; SpeakerFailed.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ai_agent.realtime.connection import Client
from ai_agent.realtime.speech_api import load
from ai_agent.speaker import espeak, memory, metrics, shipped
from ai_agent.speaker.cache import SpeechCache
from ai_agent.speaker.memory import Memory
from ai_agent.speaker.openai_voices import RealtimeVoice, SpeechVoice
from ai_agent.speaker.provider import Provider, ReadDifferently, Report, Used, VoiceFailed
from ai_agent.speaker.pump import pumped
from ai_agent.speaker.rest import Rest
from ai_agent.speaker.sentence import Sentence
from ai_agent.speaker.settings import SpeakerSettings
from ai_agent.speaker.shipped import Prompts
from protocol.audio import BYTES_PER_MS, SILENCE
from protocol.buckets import SPEECH
from runtime import clock, logging
from runtime.bus import Bus
from runtime.errors import ServiceError
from runtime.objects import Objects
from runtime.tasks import Tasks

_log = logging.get("speaker")

PROVIDERS = ("openai-realtime", "openai-speech", "espeak")
PIECE_BYTES = 200 * BYTES_PER_MS
"""In which audio that is there already is handed over."""
NEXT_AUDIO_S = 4.0
"""How long a provider that has begun may pause."""
AGAIN = SILENCE * (400 * BYTES_PER_MS)
"""Between a sentence that broke off and the same one from its beginning in another voice."""
EXPIRE_S = 15.0


class SpeakerFailed(Exception):
    """No provider could say the sentence (to its end)."""


class Speech(Protocol):
    """A sentence being spoken: mu-law 8 kHz pieces of any size. Close it when it is not played to
    its end.
    """

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None: ...


class Speaker:
    """Says sentences; any number at once. Made by ``running``."""

    def __init__(
        self,
        providers: Sequence[Provider],
        prompts: Prompts,
        cache: SpeechCache,
        tasks: Tasks,
        *,
        first_audio_s: float,
        now_ms: Callable[[], int] = clock.monotonic_ms,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._best = providers[0].name if providers else ""
        self._identity = ",".join(f"{p.name}:{p.version}" for p in providers)
        self._prompts = prompts
        self._cache = cache
        self._tasks = tasks
        self._first_audio_s = first_audio_s
        self._now_ms = now_ms
        self._rest = Rest([provider.name for provider in providers])

    def words(self, sentence: Sentence) -> str:
        """The words of a sentence, also of a shipped one ("" for an own recording)."""
        if sentence.prompt is None:
            return sentence.text
        return self._prompts.words(sentence.prompt, sentence.language)

    async def speak(
        self, sentence: Sentence, report: Report | None = None
    ) -> AsyncGenerator[bytes]:
        """mu-law 8 kHz of the sentence as it is made. ``report`` is told what it cost, if
        anything.

        A provider that breaks off is followed by the next one, which says the whole sentence
        again after a short silence. Raises SpeakerFailed, after some audio only if the last one
        broke off.
        """
        if sentence.prompt is not None:
            for piece in _cut(self._prompts.audio(sentence.prompt, sentence.language)):
                yield piece
            metrics.SPOKEN.labels("shipped").inc()
            return
        if not sentence.text.strip():
            return
        key = memory.key(self._identity, sentence)
        if (found := await self._cache.find(key, shared=not sentence.personal)) is not None:
            audio, source = found
            for piece in _cut(audio):
                yield piece
            metrics.SPOKEN.labels(source).inc()
            return
        async with contextlib.aclosing(self._made(key, sentence, report or _unheeded)) as made:
            async for piece in made:
                yield piece

    async def _made(self, key: str, sentence: Sentence, report: Report) -> AsyncGenerator[bytes]:
        broken = False
        for name in self._rest.order(self._now_ms()):
            spoken = bytearray()
            began_ms = self._now_ms()
            try:
                async with contextlib.aclosing(self._attempt(name, sentence, report)) as pieces:
                    async for piece in pieces:
                        if not spoken:
                            waited_s = (self._now_ms() - began_ms) / 1000
                            metrics.FIRST_AUDIO_SECONDS.labels(name).observe(waited_s)
                            if broken:
                                yield AGAIN
                        spoken += piece
                        yield piece
            except VoiceFailed as error:
                if isinstance(error, ReadDifferently) and spoken:
                    metrics.READ_DIFFERENTLY.inc()
                    self._spoke(name)
                    return
                self._failed(name, error, broke_off=bool(spoken))
                broken = broken or bool(spoken)
                continue
            self._spoke(name)
            self._keep(key, sentence, bytes(spoken), name)
            return
        audio = self._prompts.saying(sentence.text, sentence.language)
        if audio is None:
            metrics.SPEECHLESS.inc()
            raise SpeakerFailed("broke off" if broken else "no provider could say it")
        if broken:
            yield AGAIN
        for piece in _cut(audio):
            yield piece
        metrics.SPOKEN.labels("shipped").inc()

    def _attempt(self, name: str, sentence: Sentence, report: Report) -> AsyncGenerator[bytes]:
        return pumped(
            self._providers[name].speak(sentence, report),
            first_s=self._first_audio_s,
            next_s=NEXT_AUDIO_S,
            tasks=self._tasks,
        )

    def _spoke(self, name: str) -> None:
        self._rest.spoke(name)
        metrics.SPOKEN.labels(name).inc()

    def _failed(self, name: str, error: VoiceFailed, *, broke_off: bool) -> None:
        metrics.FAILED.labels(name).inc()
        rest_ms = self._rest.failed(name, self._now_ms(), permanent=error.permanent)
        _log.warning(
            "provider failed",
            provider=name,
            reason=error.reason,
            permanent=error.permanent,
            broke_off=broke_off,
            rest_ms=rest_ms,
        )

    def _keep(self, key: str, sentence: Sentence, audio: bytes, name: str) -> None:
        # A second-best voice must not stay for a month: it is kept for as long as an outage lasts.
        briefly = sentence.personal or name != self._best
        self._cache.keep(key, audio, briefly=briefly)
        if not briefly:
            self._tasks.isolate(self._cache.share(key, audio), "share")


@contextlib.asynccontextmanager
async def running(
    settings: SpeakerSettings, bus: Bus | None, client: Client | None
) -> AsyncGenerator[Speaker]:
    """A Speaker for the block; on leaving, what it still does is cancelled.

    ``bus`` None: no shared cache. ``client`` None: there is no key, OpenAI is not asked. Raises
    ServiceError for a provider that does not exist or prompts that are missing.
    """
    own = settings.speaker_prompts_dir
    prompts = shipped.load(Path(own) if own else None)
    found = providers(settings, client)
    if client is not None and any(isinstance(provider, SpeechVoice) for provider in found):
        await load(client)
    objects = None if bus is None else Objects(bus, SPEECH)
    cache = SpeechCache(Memory(), objects, clock.monotonic_ms)
    async with Tasks("speaker") as tasks:
        tasks.spawn(_expire(cache), "expire")
        try:
            yield Speaker(
                found, prompts, cache, tasks, first_audio_s=settings.speaker_first_audio_s
            )
        finally:
            await asyncio.sleep(0)  # what was spawned last begins, so that it can be cancelled


def providers(settings: SpeakerSettings, client: Client | None) -> list[Provider]:
    """Those of SPEAKER_PROVIDERS that can be used here, in its order; what is left out is logged.

    Raises ServiceError for a name that is none.
    """
    found: list[Provider] = []
    timeout = settings.speaker_first_audio_s
    for name in settings.speaker_providers:
        if name not in PROVIDERS:
            known = ", ".join(PROVIDERS)
            raise ServiceError(f"SPEAKER_PROVIDERS: {name!r} is none of {known}")
        if name == "espeak":
            if espeak.available():
                found.append(espeak.EspeakVoice(settings.espeak_voice))
            else:
                _log.info("provider left out", provider=name, reason="extra espeak not installed")
        elif client is None:
            _log.info("provider left out", provider=name, reason="no key")
        elif name == "openai-realtime":
            model = settings.openai_speech_realtime_model
            found.append(RealtimeVoice(client, model, timeout=timeout))
        else:
            model, voice = settings.openai_speech_model, settings.openai_speech_voice
            found.append(SpeechVoice(client, model, voice, timeout=timeout))
    _log.info("speaking by", providers=[provider.name for provider in found])
    return found


async def _expire(cache: SpeechCache) -> None:
    while True:
        await asyncio.sleep(EXPIRE_S)
        cache.expire()


def _cut(audio: bytes) -> Iterator[bytes]:
    return (audio[at : at + PIECE_BYTES] for at in range(0, len(audio), PIECE_BYTES))


def _unheeded(_used: Used) -> None:
    """Nobody counts the cost."""
