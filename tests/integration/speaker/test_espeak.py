"""The offline provider, and which providers there are."""

import asyncio
import contextlib

import pytest

from ai_agent.realtime.connection import client
from ai_agent.speaker import espeak
from ai_agent.speaker.sentence import Sentence
from ai_agent.speaker.settings import SpeakerSettings
from ai_agent.speaker.speaker import Speaker, SpeakerFailed, providers, running
from runtime.errors import ServiceError
from testbed.voice.g711 import MULAW_TO_LINEAR
from testbed.voice.hearing import Hearing
from testbed.voice.speaker import synthesize

WORDS = "you have two todos for today"
GRAMMAR = f"#JSGF V1.0; grammar t; public <s> = {WORDS} | please call again later | nothing at all;"


@pytest.fixture
async def offline():
    settings = SpeakerSettings(speaker_providers=("espeak",), speaker_first_audio_s=30)
    async with running(settings, None, None) as speaker:
        yield speaker


async def heard(speaker: Speaker, text: str = WORDS, language: str = "en") -> bytes:
    sentence = Sentence(text, "marin", language, personal=False)
    return b"".join([piece async for piece in speaker.speak(sentence)])


async def test_the_words_can_be_understood(offline: Speaker) -> None:
    audio = await heard(offline)
    async with Hearing(GRAMMAR) as hearing:
        assert await hearing.hear(audio) == WORDS


async def test_it_is_loud_but_never_at_the_limit(offline: Speaker) -> None:
    loudest = max(abs(MULAW_TO_LINEAR[code]) for code in await heard(offline))
    assert 6_000 < loudest < 32_000


async def test_first_audio_comes_before_the_last(offline: Speaker) -> None:
    sentence = Sentence(" ".join([WORDS] * 5), "marin", "en", personal=False)
    pieces = [piece async for piece in offline.speak(sentence)]
    assert len(pieces) > 10
    assert max(map(len, pieces)) <= 300 * 8


async def test_many_at_once_are_not_mixed_up(offline: Speaker) -> None:
    texts = [f"{WORDS} and {n} more" * n for n in range(1, 6)]
    alone = [len(await heard(offline, text)) for text in texts]
    settings = SpeakerSettings(speaker_providers=("espeak",), speaker_first_audio_s=30)
    async with running(settings, None, None) as fresh, asyncio.TaskGroup() as group:
        made = [group.create_task(heard(fresh, text)) for text in texts]
        for task in made:
            await task
    # Its noise is random, its timing is not.
    assert [len(task.result()) for task in made] == pytest.approx(alone, rel=0.02)
    assert sorted(set(alone)) == alone


async def test_a_text_that_nobody_hears_any_more_ends(offline: Speaker) -> None:
    endless = Sentence(" ".join([WORDS] * 500), "marin", "en", personal=False)
    async with contextlib.aclosing(offline.speak(endless)) as speech:
        await anext(speech)
    # The one thread is free again long before the endless text could have been made.
    async with asyncio.timeout(10):
        assert await heard(offline)


async def test_a_language_that_it_has_not_is_a_failure(offline: Speaker) -> None:
    with pytest.raises(SpeakerFailed):
        await heard(offline, language="xx")
    assert await heard(offline, "guten Tag", "de")


async def test_others_of_this_process_may_use_the_library_too(offline: Speaker) -> None:
    before = synthesize("hello", "en-us+f3")
    assert await heard(offline, "good morning")
    assert len(synthesize("hello", "en-us+f3")) == pytest.approx(len(before), rel=0.02)


async def test_without_a_key_only_the_offline_voice_is_left() -> None:
    assert [provider.name for provider in providers(SpeakerSettings(), None)] == ["espeak"]


async def test_with_a_key_the_default_order_holds() -> None:
    async with client("sk-test", "") as openai:
        names = [provider.name for provider in providers(SpeakerSettings(), openai)]
    assert names == ["openai-realtime", "openai-speech", "espeak"]


async def test_without_the_wheel_it_is_left_out(monkeypatch) -> None:
    monkeypatch.setattr(espeak, "WHEEL", "no_such_wheel")
    settings = SpeakerSettings()
    assert providers(settings, None) == []
    async with running(settings, None, None) as speaker:
        with pytest.raises(SpeakerFailed):
            await heard(speaker)
        prompt = [piece async for piece in speaker.speak(Sentence.fixed("goodbye", "en"))]
        assert b"".join(prompt)


def test_a_provider_that_does_not_exist_is_named() -> None:
    settings = SpeakerSettings(speaker_providers=("espeak", "festival"))
    with pytest.raises(ServiceError, match="'festival' is none of openai-realtime"):
        providers(settings, None)
