"""Words of a running call for screens: not one message a word, and never without the last."""

import asyncio

import msgspec
import pytest
from agent_world import Tools, assigned, worker
from line_end import line_end

from protocol import subjects
from protocol.line import LiveTranscript
from runtime import micro
from runtime.bus import connect
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import OnResponse, OnSpeech, RealtimeServer, Say, Script, Scripts

QUESTION = "what is it that you would say if somebody asked you for a good many words"
ANSWER = " ".join(f"word {n}" for n in range(200))


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        yield found


async def test_the_words_of_both_reach_the_screens_to_the_last_in_few_messages(
    bus, nats_server, tmp_path
):
    shown: list[LiveTranscript] = []

    async def words(message):
        shown.append(msgspec.json.decode(message.data, type=LiveTranscript))

    script = Script(
        OnResponse(Say("Hello.", audio_ms=200)),
        OnSpeech(QUESTION),
        OnResponse(Say(ANSWER, audio_ms=12_000)),
    )
    tools = Tools()
    async with (
        micro.serving(bus, name="tools", description="d", endpoints=tools.endpoints()),
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        watching = await bus.subscribe(subjects.live_transcript(end.call), words)
        await bus.settle()
        await assigned(end, name)
        await end.event("said", done=True)
        await end.turn()
        await script.finished()
        heard = await end.event("turn_transcribed")
        said = await end.event("said", count=2, done=True)

        def last(item_id):
            texts = [each.text for each in shown if each.item_id == item_id]
            return texts[-1] if texts else ""

        async with asyncio.timeout(20):
            while (last(said["item_id"]), last(heard["item_id"])) != (ANSWER, QUESTION):
                await asyncio.sleep(0.02)
        await watching.stop()
        (connection,) = model.connections
    deltas = [e["type"] for e in connection.sent if e["type"].endswith("transcript.delta")]
    assert len(deltas) > 50
    assert len(shown) < len(deltas) / 2
