"""The two providers that ask OpenAI: a short Realtime session, and the speech API."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ai_agent.realtime.connection import Client, SessionFailed
from ai_agent.realtime.events import Usage
from ai_agent.realtime.reading import OtherWords, read_aloud
from ai_agent.realtime.speech_api import RATE, speech
from ai_agent.speaker.phone_audio import PhoneAudio
from ai_agent.speaker.provider import ReadDifferently, Report, Used, VoiceFailed
from ai_agent.speaker.sentence import Sentence
from ai_agent.usage import tokens_of


class RealtimeVoice:
    """A Realtime model told to read: the voices of the conversation, mu-law as it comes."""

    name = "openai-realtime"

    def __init__(self, client: Client, model: str, *, timeout: float) -> None:
        self._client, self._model, self._timeout = client, model, timeout
        self.version = model

    async def speak(self, sentence: Sentence, report: Report) -> AsyncGenerator[bytes]:
        """See Provider. To be iterated and closed in one task."""

        def used(usage: Usage) -> None:
            report(Used(self._model, tokens_of(usage)))

        try:
            async with aclosing(
                read_aloud(
                    self._client,
                    sentence.text,
                    model=self._model,
                    voice=sentence.voice,
                    language=sentence.language,
                    timeout=self._timeout,
                    report=used,
                )
            ) as pieces:
                async for piece in pieces:
                    yield piece
        except SessionFailed as error:
            raise VoiceFailed(error.reason, permanent=error.permanent) from error
        except OtherWords as error:
            raise ReadDifferently("other words were read") from error


class SpeechVoice:
    """The speech API: 24 kHz PCM, filtered down to the telephone's band here."""

    name = "openai-speech"

    def __init__(self, client: Client, model: str, voice: str, *, timeout: float) -> None:
        self._client, self._model, self._voice = client, model, voice
        self._timeout = timeout
        self.version = f"{model}/{voice}"

    async def speak(self, sentence: Sentence, report: Report) -> AsyncGenerator[bytes]:
        """See Provider. The API tells no usage of streamed audio, so nothing is reported."""
        audio = PhoneAudio(RATE)
        voice = self._voice or sentence.voice
        try:
            async with aclosing(
                speech(
                    self._client,
                    sentence.text,
                    model=self._model,
                    voice=voice,
                    timeout=self._timeout,
                )
            ) as pieces:
                async for pcm in pieces:
                    if piece := audio.feed(pcm):
                        yield piece
                    # Pieces that are there already would keep the loop from everybody else.
                    await asyncio.sleep(0)
        except SessionFailed as error:
            raise VoiceFailed(error.reason, permanent=error.permanent) from error
        if rest := audio.finish():
            yield rest
