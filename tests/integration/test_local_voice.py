"""The local voice model with real speech: espeak-ng through mu-law, heard by pocketsphinx.

Synthesis and recognition are deterministic, so the counts do not depend on the machine.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI

from testbed.realtime import Habits, RealtimeServer, tone
from testbed.realtime.planner_mind import PlannerMind
from testbed.realtime.planner_speech import Add, grammar, sentences, understand
from testbed.voice.hearing import Hearing, HearingError
from testbed.voice.speaker import ASSISTANT_VOICE, CALLER_VOICE, Speaker, SpeechError

QUIET = b"\xff" * 8
# Measured: 40 of 40 with both voices (100 of 100 with a larger sample).
SAMPLE = 40
FLOOR = 38


@pytest.fixture(scope="module")
async def hearing() -> AsyncIterator[Hearing]:
    async with Hearing(grammar()) as running:
        yield running


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    return Speaker()


def sample() -> list[str]:
    every = list(sentences())
    adds = [sentence for sentence in every if isinstance(understand(sentence), Add)]
    others = [sentence for sentence in every if sentence not in adds]
    chosen = random.Random(22)
    return chosen.sample(adds, 24) + chosen.sample(others, SAMPLE - 24)


@pytest.mark.parametrize("voice", [CALLER_VOICE, ASSISTANT_VOICE])
async def test_spoken_sentences_are_understood(
    hearing: Hearing, speaker: Speaker, voice: str
) -> None:
    missed: list[tuple[str, str | None]] = []
    for sentence in sample():
        heard = await hearing.hear(await speaker.speak(sentence, voice))
        if understand(heard or "") != understand(sentence):
            missed.append((sentence, heard))
    print(f"{voice}: {SAMPLE - len(missed)} of {SAMPLE} understood, missed {missed}")
    assert SAMPLE - len(missed) >= FLOOR, missed


@pytest.mark.parametrize("sound", [QUIET * 1_000, tone("noise", 1_000), tone("cough", 300)])
async def test_silence_and_noise_are_no_wish(hearing: Hearing, sound: bytes) -> None:
    assert understand(await hearing.hear(sound) or "") is None


async def test_an_unknown_voice_is_refused(speaker: Speaker) -> None:
    with pytest.raises(SpeechError, match="no voice named 'martian'"):
        await speaker.speak("hello", "martian")


async def test_the_loop_runs_while_an_utterance_is_recognized(
    hearing: Hearing, speaker: Speaker
) -> None:
    utterance = await speaker.speak("add buy milk for tomorrow", CALLER_VOICE)
    turns = 0
    waiting = asyncio.create_task(hearing.hear(utterance))
    while not waiting.done():
        turns += 1
        await asyncio.sleep(0)
    assert await waiting == "add buy milk for tomorrow"
    assert turns > 100  # recognition on the loop would leave it two or three


async def test_a_caller_who_gives_up_does_not_confuse_the_next(
    hearing: Hearing, speaker: Speaker
) -> None:
    milk = await speaker.speak("add buy milk for tomorrow", CALLER_VOICE)
    bye = await speaker.speak("goodbye", CALLER_VOICE)
    waiting = asyncio.create_task(hearing.hear(milk))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await hearing.hear(bye) == "goodbye"


async def test_a_recognizer_that_dies_is_an_error() -> None:
    async with Hearing("no grammar") as broken:
        with pytest.raises(HearingError, match="ended"):
            await broken.hear(QUIET * 100)


class Caller:
    """Talks and listens through the websocket with audio; keeps a planner behind the tools."""

    def __init__(self, connection: Any, speaker: Speaker) -> None:
        self.connection = connection
        self.speaker = speaker
        self.todos = [{"id": 3, "deadline": "2026-11-22", "description": "Water the plants"}]
        self.heard_by_model: list[str] = []
        self.calls: list[str] = []

    async def say(self, sentence: str) -> str:
        """Speak a sentence and return the transcript of the answer, tools served in between."""
        audio = await self.speaker.speak(sentence, CALLER_VOICE)
        line = QUIET * 200 + audio + QUIET * 700
        for at in range(0, len(line), 320):
            payload = base64.b64encode(line[at : at + 320]).decode()
            await self.connection.input_audio_buffer.append(audio=payload)
        return await self.answer()

    async def answer(self) -> str:
        async with asyncio.timeout(30):
            async for event in self.connection:
                assert event.type != "error", event
                if event.type.endswith("input_audio_transcription.completed"):
                    self.heard_by_model.append(event.transcript)
                if event.type == "response.done":
                    output = event.response.output
                    if output[0].type == "message":
                        return output[0].content[0].transcript
                    await self.serve(output[0])
        raise AssertionError("the socket closed")

    async def serve(self, call: Any) -> None:
        arguments = json.loads(call.arguments)
        self.calls.append(call.name)
        match call.name:
            case "get_tasks":
                result: dict[str, Any] = {"todos": self.todos}
            case "create_task":
                todo = {
                    "id": 8,
                    "deadline": arguments["date"],
                    "description": arguments["description"],
                }
                self.todos.append(todo)
                result = {"status": "created", "todo": todo}
            case _:
                self.todos = [todo for todo in self.todos if todo["id"] != arguments["id"]]
                result = {"status": "completed"}
        item = {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": json.dumps(result),
        }
        await self.connection.conversation.item.create(item=item)
        await self.connection.response.create()


def session() -> dict[str, Any]:
    names = ("get_tasks", "create_task", "complete_task", "delete_task")
    pcmu = {"type": "audio/pcmu"}
    detection = {"type": "server_vad", "silence_duration_ms": 500}
    return {
        "type": "realtime",
        "instructions": "You keep a planner.\nToday is Sunday 2026-11-22.\nThe caller is Ada.",
        "tools": [
            {"type": "function", "name": name, "parameters": {"type": "object"}} for name in names
        ],
        "audio": {
            "input": {
                "format": pcmu,
                "transcription": {"model": "gpt-transcribe"},
                "turn_detection": detection,
            },
            "output": {"format": pcmu, "voice": "marin"},
        },
    }


async def converse(client: AsyncOpenAI, speaker: Speaker) -> Caller:
    """One whole call with audio only."""
    async with client.realtime.connect(model="local") as connection:
        caller = Caller(connection, speaker)
        await connection.session.update(session=session())
        await connection.response.create()
        assert (await caller.answer()).startswith("Hello Ada, I can tell you about your")
        today = await caller.say("what do i have today")
        assert today == "You have one todo for today: Water the plants."
        assert await caller.say("add buy milk for tuesday") == "I added buy milk for Tuesday."
        done = await caller.say("i have done water the plants")
        assert done == "All right, water the plants is done."
        assert "Goodbye" in await caller.say("goodbye")
        return caller


async def test_a_whole_conversation_in_speech(hearing: Hearing, speaker: Speaker) -> None:
    async with (
        RealtimeServer(
            lambda: PlannerMind(hearing, speaker, ASSISTANT_VOICE), habits=Habits(pace=0)
        ) as server,
        AsyncOpenAI(base_url=server.base_url, api_key="sk-local") as client,
    ):
        caller = await converse(client, speaker)
        assert server.connections[0].session is not None
        items = list(server.connections[0].session.conversation)
    assert caller.todos == [{"id": 8, "deadline": "2026-11-24", "description": "buy milk"}]
    assert caller.calls == ["get_tasks", "create_task", "get_tasks", "complete_task"]
    assert caller.heard_by_model[-1] == "goodbye"
    spoken = [item for item in items if item.role == "assistant"]
    assert len(spoken) == 5
    assert all(item.audio_ms > 800 for item in spoken)


async def test_twenty_conversations_at_once(hearing: Hearing, speaker: Speaker) -> None:
    async with (
        RealtimeServer(
            lambda: PlannerMind(hearing, speaker, ASSISTANT_VOICE), habits=Habits(pace=0)
        ) as server,
        AsyncOpenAI(base_url=server.base_url, api_key="sk-local") as client,
    ):
        async with asyncio.TaskGroup() as calls:
            running = [calls.create_task(converse(client, speaker)) for _ in range(20)]
        assert len(server.connections) == 20
    assert all(len(call.result().todos) == 1 for call in running)
    assert server.open_sockets == 0


async def test_the_local_voice_model_as_a_process(speaker: Speaker, hearing: Hearing) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "testbed.realtime", "--pace", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    base_url = (await process.stdout.readline()).decode().split()[-1]
    try:
        async with AsyncOpenAI(base_url=base_url, api_key="sk-local") as client:
            caller = await converse(client, speaker)
        assert caller.calls[0] == "get_tasks"
        taken = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "testbed.realtime",
            "--port",
            str(client.base_url.port),
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaint = await taken.communicate()
        assert taken.returncode == 1
        assert complaint.startswith(b"cannot listen on 127.0.0.1:")
    finally:
        process.terminate()
        assert await process.wait() == 0
