"""The Speaker's own rules with providers by hand: order, falling through, breaking off, keeping."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from ai_agent.speaker import shipped
from ai_agent.speaker.cache import SpeechCache
from ai_agent.speaker.memory import BRIEFLY_MS, Memory, key
from ai_agent.speaker.provider import ReadDifferently, Report, VoiceFailed
from ai_agent.speaker.rest import PERMANENT_MS
from ai_agent.speaker.sentence import Sentence
from ai_agent.speaker.speaker import AGAIN, Speaker, SpeakerFailed
from protocol.buckets import BucketDefinition
from runtime.bus import Bus, connect
from runtime.errors import NatsAway
from runtime.objects import Objects
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from runtime.tasks import Tasks

HELLO = Sentence("Hello there", "marin", "en", personal=False)
TODOS = Sentence("You have two todos", "marin", "en", personal=True)


class Voice:
    """A provider that does as told: gives pieces, waits, fails."""

    version = "1"

    def __init__(self, name: str, *pieces: bytes, failure: Exception | None = None) -> None:
        self.name = name
        self.pieces = pieces or (name.encode() * 4,)
        self.failure = failure
        self.begin, self.go_on = asyncio.Event(), asyncio.Event()
        self.begin.set()
        self.go_on.set()
        self.asked = 0
        self.ended = 0

    async def speak(self, sentence: Sentence, report: Report) -> AsyncGenerator[bytes]:
        self.asked += 1
        try:
            await self.begin.wait()
            for piece in self.pieces:
                yield piece
                await self.go_on.wait()
            if self.failure is not None:
                raise self.failure
        finally:
            self.ended += 1


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.ms = 0

    def __call__(self) -> int:
        return self.ms


class Room:
    """Makes Speakers of given voices, all in one block."""

    def __init__(self, tasks: Tasks) -> None:
        self.clock = Clock()
        self._tasks = tasks

    def speaker(
        self, *voices: Voice, objects: Objects | None = None, first_s: float = 20
    ) -> Speaker:
        cache = SpeechCache(Memory(), objects, self.clock)
        return Speaker(
            voices,
            shipped.load(),
            cache,
            self._tasks,
            first_audio_s=first_s,
            now_ms=self.clock,
        )


@pytest.fixture
async def room():
    async with Tasks("test") as tasks:
        yield Room(tasks)


@pytest.fixture
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        yield found


async def heard(speaker: Speaker, sentence: Sentence = HELLO) -> bytes:
    return b"".join([piece async for piece in speaker.speak(sentence)])


def failing(name: str, *, permanent: bool = False) -> Voice:
    voice = Voice(name, failure=VoiceFailed("told to", permanent=permanent))
    voice.pieces = ()
    return voice


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await true():
            await asyncio.sleep(0.005)


async def gone(voice: Voice) -> bool:
    return voice.ended == voice.asked


async def test_the_first_provider_speaks(room: Room) -> None:
    first, second = Voice("first"), Voice("second")
    assert await heard(room.speaker(first, second)) == b"first" * 4
    assert second.asked == 0


async def test_pieces_come_while_the_rest_is_made(room: Room) -> None:
    voice = Voice("a", b"one", b"two")
    voice.go_on.clear()
    async with contextlib.aclosing(room.speaker(voice).speak(HELLO)) as speech:
        assert await anext(speech) == b"one"
        voice.go_on.set()
        assert await anext(speech) == b"two"


async def test_a_failed_provider_is_followed_by_the_next(room: Room) -> None:
    a, b = failing("a"), Voice("b")
    assert await heard(room.speaker(a, b)) == b"bbbb"


async def test_a_provider_that_hangs_is_left_after_the_bound(room: Room) -> None:
    a, b = Voice("a"), Voice("b")
    a.begin.clear()
    assert await heard(room.speaker(a, b, first_s=0.05)) == b"bbbb"
    await until(lambda: gone(a))


async def test_a_provider_that_says_nothing_has_failed(room: Room) -> None:
    silent = Voice("a")
    silent.pieces = (b"",)
    assert await heard(room.speaker(silent, Voice("b"))) == b"bbbb"


async def test_a_defect_of_a_provider_harms_nobody_else(room: Room) -> None:
    a = Voice("a", b"x", failure=ZeroDivisionError())
    assert await heard(room.speaker(a, Voice("b"))) == b"x" + AGAIN + b"bbbb"


async def test_one_that_breaks_off_is_followed_by_the_whole_sentence(room: Room) -> None:
    a = Voice("a", b"Hel", failure=VoiceFailed("cut"))
    assert await heard(room.speaker(a, Voice("b"))) == b"Hel" + AGAIN + b"bbbb"


async def test_permanent_errors_switch_a_provider_off_for_a_while(room: Room) -> None:
    a, b = failing("a", permanent=True), Voice("b")
    speaker = room.speaker(a, b)
    for n in range(3):
        await heard(speaker, Sentence(f"{n}", "v", "en", personal=False))
    assert a.asked == 1
    room.clock.ms += PERMANENT_MS
    await heard(speaker, Sentence("later", "v", "en", personal=False))
    assert a.asked == 2


async def test_passing_errors_do_not(room: Room) -> None:
    a, b = failing("a"), Voice("b")
    speaker = room.speaker(a, b)
    for n in range(2):
        await heard(speaker, Sentence(f"{n}", "v", "en", personal=False))
    assert a.asked == 2


async def test_with_nobody_left_it_fails_and_prompts_are_still_heard(room: Room) -> None:
    for speaker in (room.speaker(), room.speaker(failing("a", permanent=True))):
        for _ in range(2):
            with pytest.raises(SpeakerFailed):
                await heard(speaker)
        for name in shipped.NAMES:
            expected = shipped.load().audio(name, "en")
            assert await heard(speaker, Sentence.fixed(name, "en")) == expected


async def test_words_that_are_shipped_are_heard_with_nobody_left(room: Room) -> None:
    words = Sentence("I am switching to the keypad.", "marin", "en", personal=False)
    prompt = shipped.load().audio("keypad", "en")
    assert await heard(room.speaker(failing("a")), words) == prompt
    cut = Voice("a", b"I am", failure=VoiceFailed("cut"))
    assert await heard(room.speaker(cut), words) == b"I am" + AGAIN + prompt
    assert await heard(room.speaker(Voice("a")), words) == b"aaaa"  # a living voice is better


async def test_half_a_sentence_and_nobody_left_is_a_failure(room: Room) -> None:
    speech = room.speaker(Voice("a", b"Hel", failure=VoiceFailed("cut"))).speak(HELLO)
    assert await anext(speech) == b"Hel"
    with pytest.raises(SpeakerFailed, match="broke off"):
        await anext(speech)


async def test_the_second_time_comes_from_memory(room: Room) -> None:
    a = Voice("a")
    speaker = room.speaker(a)
    assert [await heard(speaker), await heard(speaker)] == [b"aaaa", b"aaaa"]
    room.clock.ms += 100 * BRIEFLY_MS
    await heard(speaker)
    assert a.asked == 1


@pytest.mark.parametrize("sentence", [HELLO, TODOS], ids=["second best", "personal"])
async def test_what_is_kept_briefly_is_made_again_after_a_minute(
    room: Room, sentence: Sentence
) -> None:
    voices = [failing("a"), Voice("b")] if sentence is HELLO else [Voice("b")]
    speaker = room.speaker(*voices)
    await heard(speaker, sentence)
    await heard(speaker, sentence)
    assert voices[-1].asked == 1
    room.clock.ms += BRIEFLY_MS
    await heard(speaker, sentence)
    assert voices[-1].asked == 2


async def test_only_whole_sentences_are_kept(room: Room) -> None:
    a = Voice("a", b"one", b"two")
    a.go_on.clear()
    speaker = room.speaker(a)
    async with contextlib.aclosing(speaker.speak(HELLO)) as speech:
        await anext(speech)
    a.go_on.set()
    assert await heard(speaker) == b"onetwo"
    assert a.asked == 2


async def test_a_sentence_that_nobody_hears_any_more_is_given_up(room: Room) -> None:
    a = Voice("a", b"one", b"two")
    a.go_on.clear()
    async with contextlib.aclosing(room.speaker(a).speak(HELLO)) as speech:
        await anext(speech)
        assert not await gone(a)
    await until(lambda: gone(a))


async def test_other_words_than_written_are_heard_but_not_kept(room: Room) -> None:
    a, b = Voice("a", b"Howdy", failure=ReadDifferently("told to")), Voice("b")
    speaker = room.speaker(a, b)
    assert [await heard(speaker), await heard(speaker)] == [b"Howdy", b"Howdy"]
    assert (a.asked, b.asked) == (2, 0)


async def test_nothing_to_say_is_nothing(room: Room) -> None:
    a = Voice("a")
    assert await heard(room.speaker(a), Sentence("  ", "v", "en", personal=False)) == b""
    assert a.asked == 0


def bucket() -> BucketDefinition:
    return BucketDefinition(f"T{secrets.token_hex(4)}", "test", 3_600, 8 * 1024**2)


async def test_another_worker_hears_it_from_the_store(room: Room, bus: Bus) -> None:
    definition = bucket()
    objects = Objects(bus, definition)
    audio = secrets.token_bytes(40_000)
    await heard(room.speaker(Voice("a", audio[:30_000], audio[30_000:]), objects=objects))
    other = Voice("a")
    fresh = room.speaker(other, objects=Objects(bus, definition))

    async def written() -> bool:
        return await objects.get(key("a:1", HELLO), timeout=10) is not None

    await until(written)  # beside the speaking
    assert [await heard(fresh), await heard(fresh)] == [audio, audio]
    assert other.asked == 0


async def stored(bus: Bus, definition: BucketDefinition) -> int:
    """Objects in a bucket, after everything that runs beside has had its chance."""
    sentinel = Objects(bus, definition)
    await sentinel.put("sentinel", b"x", timeout=10)
    info = await bus.jetstream.stream_info(f"OBJ_{definition.name}")
    return info.state.messages // 2 - 1  # a chunk and a name each


async def test_personal_and_second_best_audio_never_reaches_the_store(room: Room, bus: Bus) -> None:
    definition = bucket()
    objects = Objects(bus, definition)
    await heard(room.speaker(Voice("a"), objects=objects), TODOS)
    await heard(room.speaker(failing("a"), Voice("b"), objects=objects))
    different = Voice("a", b"Howdy", failure=ReadDifferently("told to"))
    await heard(room.speaker(different, objects=objects))
    await asyncio.sleep(0.05)
    assert await stored(bus, definition) == 0
    whole = Voice("a")
    await heard(room.speaker(whole, objects=objects))

    async def one() -> bool:
        return await stored(bus, definition) == 1

    await until(one)


async def test_other_models_do_not_find_each_others_audio(room: Room, bus: Bus) -> None:
    objects = Objects(bus, bucket())
    old, new = Voice("a", b"old"), Voice("a", b"new")
    new.version = "2"
    await heard(room.speaker(old, objects=objects))
    assert await heard(room.speaker(new, objects=objects)) == b"new"


async def test_a_store_that_hangs_is_waited_for_once(room: Room, bus: Bus) -> None:
    class Hanging(Objects):
        asked = 0

        async def get(self, name: str, *, timeout: float) -> bytes | None:
            self.asked += 1
            raise NatsAway("hangs")

    objects = Hanging(bus, bucket())
    speaker = room.speaker(Voice("a"), objects=objects)
    await heard(speaker, TODOS)
    assert objects.asked == 0  # personal ones are not even looked for
    for n in range(3):
        assert await heard(speaker, Sentence(f"{n}", "v", "en", personal=False)) == b"aaaa"
    assert objects.asked == 1
