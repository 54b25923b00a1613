"""A call's line goes and another comes: the holder hears the new one, what was missed meanwhile
included, and says nothing into the void.
"""

import asyncio

import pytest
from agent_world import Tools, assigned, worker
from line_end import SILENCE, SPEECH, line_end
from line_moves import attach, holds, new_line, stop_line, takeover

from ai_agent.dialogue import Dialogue
from protocol import line
from protocol.events import Heard
from protocol.ids import ItemId
from protocol.placement import Accepted, Declined, Replay, RingedAudio, RingedKey
from runtime import micro
from runtime.bus import connect
from runtime.outbox import publish
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.nats_server import NatsServer
from testbed.realtime import OnResponse, OnSpeech, RealtimeServer, Say, Script, Scripts

GREETING = OnResponse(Say("Hello.", audio_ms=200))


@pytest.fixture
async def own_server(tmp_path):
    """A NATS server that a test may restart."""
    server = await NatsServer.start(tmp_path / "nats")
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        yield found


@pytest.fixture(scope="module")
async def tool_service(bus):
    service = Tools()
    async with micro.serving(bus, name="tools", description="d", endpoints=service.endpoints()):
        yield service


@pytest.fixture
def told(monkeypatch):
    """The ledgers with which the conversation was told that the line moved."""
    ledgers = []
    really = Dialogue.on_line_moved

    async def moved(self, ledger):
        ledgers.append(ledger)
        await really(self, ledger)

    monkeypatch.setattr(Dialogue, "on_line_moved", moved)
    return ledgers


class Storyteller:
    """A model that greets, answers the first turn with a long story and all else with a word."""

    def __init__(self) -> None:
        self._answers = iter((Say("Hello.", audio_ms=200), Say("A long story.", audio_ms=60_000)))

    def attach(self, controls) -> None:
        pass

    def observe(self, event) -> None:
        pass

    async def hear(self, item) -> str:
        return "words"

    async def reply(self, request):
        return (next(self._answers, Say("Yes.", audio_ms=100)),)

    def response_done(self, response) -> None:
        pass

    def detach(self) -> None:
        pass


async def test_the_turn_begun_on_the_old_line_goes_on_on_the_new_one(
    bus, nats_server, tool_service, tmp_path, told
):
    """Half a turn live on the old leg, the middle only in the new ingress's ring, the rest live:
    the model hears one turn.
    """
    script = Script(GREETING, OnSpeech("one turn", Say("I see.", audio_ms=400)))
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        reply = await assigned(end, name)
        await end.speak(20, SILENCE)
        await end.event("said", done=True)
        await end.until(lambda: "done" in end.kinds, "the greeting was sent and heard")
        await end.speak(600)
        before = await new_line(end, 640)
        end.ring = Replay((RingedAudio(640, SPEECH * 20),), ())
        end.line_ms = 1040
        answer = await attach(end, name, reply.epoch, before=before, ring_from_ms=640)
        assert answer == Accepted(reply.epoch)
        await end.until(lambda: told == [()], "the word that the line moved")
        await end.speak(400)
        await end.speak(800, SILENCE)
        await script.finished()
        turn = await end.event("turn_committed")
        assert turn["from_ms"] < 100
        assert turn["to_ms"] >= 1440
        await end.until(lambda: len(end.audio) == 2, "the answer on the new line")
        assert end.epochs == {reply.epoch}


async def test_what_was_lost_on_a_line_that_stands_comes_from_the_ring(
    bus, nats_server, tool_service, tmp_path, told
):
    """The clock jumps: NATS dropped frames without anybody's connection having noticed."""
    script = Script(GREETING, OnSpeech("one turn", Say("I see.", audio_ms=400)))
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.speak(20, SILENCE)
        await end.event("said", done=True)
        await end.speak(480, SILENCE)
        end.ring = Replay((RingedAudio(500, SPEECH * 50),), ())
        end.line_ms = 1500
        await end.speak(800, SILENCE)
        await script.finished()
        turn = await end.event("turn_committed")
        assert turn["from_ms"] <= 500
        assert turn["to_ms"] >= 1500
        assert told == []


async def test_keys_that_only_the_ring_has_are_pressed_once(
    bus, nats_server, tool_service, tmp_path, told
):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        reply = await assigned(end, name)
        await end.speak(20, SILENCE)
        await end.event("said", done=True)
        await end.until(lambda: "done" in end.kinds, "the greeting was sent and heard")
        before = await new_line(end, 100)
        end.ring = Replay((), (RingedKey("4", 100), RingedKey("5", 120)))
        end.line_ms = 140
        assert await attach(end, name, reply.epoch, before=before, ring_from_ms=100)
        await end.key("5")
        end.line_ms = 120
        await end.key("5")
        end.line_ms = 140
        await end.speak(100, SILENCE)
        await end.event("key_pressed", digit="4")
        pressed = [(e["digit"], e["line_ms"]) for e in await end.events() if "digit" in e]
        assert sorted(pressed) == [("4", 100), ("5", 120), ("5", 140)]


async def test_who_does_not_hold_the_call_says_so_and_an_old_line_is_refused(
    bus, nats_server, tool_service, tmp_path, told
):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        assert (await assigned(end, name)).epoch
        epoch = (await end.event("assigned"))["sequence"]
        await end.event("said", done=True)
        await end.until(lambda: "done" in end.kinds, "the greeting is heard to its end")
        first = await new_line(end, 1000)
        second = end.leg
        assert await attach(end, name, epoch + 1) == Declined("not_held")
        assert await attach(end, name, epoch) == Accepted(epoch)
        assert await attach(end, name, epoch) == Accepted(epoch), "asked again"
        end.leg = first
        assert await attach(end, name, epoch) == Declined("taken")
        end.leg = second
        await end.until(lambda: told == [()], "one move")
        await end.key("9")
        assert (await end.event("key_pressed"))["digit"] == "9"
        assert await takeover(end, name, epoch) == Accepted(epoch)


async def test_an_ingress_that_was_cut_off_asks_what_of_the_words_to_it_was_lost(
    bus, nats_server, tool_service, tmp_path, told
):
    """It attaches to the leg that it has; asking for the same leg otherwise is a mere repeat."""
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        reply = await assigned(end, name)
        await end.event("said", done=True)
        await end.until(lambda: "done" in end.kinds, "the greeting was sent and heard")
        assert await attach(end, name, reply.epoch) == Accepted(reply.epoch)
        assert told == []
        answer = await attach(end, name, reply.epoch, before=end.leg)
        assert answer == Accepted(reply.epoch)
        await end.until(lambda: told == [()], "the word that something was lost")


async def test_the_last_words_of_the_old_line_are_its_ledger(
    bus, nats_server, tool_service, tmp_path, told
):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus, hears=False) as end,
    ):
        reply = await assigned(end, name)
        item = ItemId((await end.event("said", done=True))["item_id"])
        await publish(
            bus,
            Heard(
                **end.stamp("stream-ingress"),
                leg=end.leg,
                item_id=item,
                heard_ms=120,
                sent_ms=200,
                cut=True,
                line_ms=140,
            ),
        )
        await stop_line(end)
        before = await new_line(end, 200)
        await attach(end, name, reply.epoch, before=before)
        await end.until(lambda: len(told) == 1, "the move")
        assert told == [(line.Playhead(item, 120, done=False, sent_ms=200),)]


async def test_a_call_without_a_line_is_kept_for_the_next_one_and_then_left(
    bus, nats_server, tool_service, tmp_path, told
):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model, agent_line_wait_s=1.5) as name,
        line_end(bus) as end,
    ):
        reply = await assigned(end, name)
        await end.event("session_opened")
        await stop_line(end)
        before = await new_line(end, 100)
        assert await attach(end, name, reply.epoch, before=before) == Accepted(reply.epoch)
        await asyncio.sleep(2.5)  # the first line's wait is over
        assert await holds(end, name, reply.epoch)
        await stop_line(end)
        await asyncio.sleep(0.5)
        assert await holds(end, name, reply.epoch), "kept for a while"
        async with asyncio.timeout(10):
            while await holds(end, name, reply.epoch):
                await asyncio.sleep(0.05)
        await end.until(lambda: model.open_sockets == 0, "the session's end")


async def test_what_the_caller_said_while_nats_was_away_is_heard_and_what_was_lost_is_told(
    own_server, tmp_path, told
):
    """NATS restarts while the caller speaks and the assistant does, too."""
    settings = CommonSettings(nats_url=own_server.url)
    service = Tools()
    async with (
        connect(settings, "test", Shutdown()) as bus,
        RealtimeServer(Storyteller) as model,
    ):
        await provision(bus, wait_s=5, shutdown=Shutdown())
        async with (
            micro.serving(bus, name="tools", description="d", endpoints=service.endpoints()),
            worker(own_server, tmp_path, model) as name,
            line_end(bus, hears=False) as end,
        ):
            reply = await assigned(end, name)
            await end.speak(20, SILENCE)
            await end.event("said", done=True)
            await end.turn()
            await end.until(lambda: len(end.audio) == 2, "the answer begins")
            missed_ms = end.line_ms
            await own_server.restart()
            await end.until(lambda: bus.connected, "the reconnect")
            end.ring = Replay((RingedAudio(missed_ms, SPEECH * 50),), ())
            end.line_ms += 1000
            async with asyncio.timeout(20):
                while not told:
                    await end.speak(20, SILENCE)
                    await asyncio.sleep(0.05)
            await end.speak(800, SILENCE)
            await end.until(lambda: bool(end.clears), "asked how far it was heard")
            await end.cleared(max(end.clears))
            turn = await end.event("turn_committed", count=2)
            assert missed_ms - 400 <= turn["from_ms"] <= missed_ms + 400
            assert turn["to_ms"] >= missed_ms + 900
            assert told == [()]
            assert await holds(end, name, reply.epoch)
