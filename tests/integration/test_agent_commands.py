"""Commands to a running call: who answers, who stays silent, what is refused."""

import asyncio

import pytest
from agent_world import PROFILE, Tools, assigned, worker
from line_end import SILENCE, line_end

from protocol import subjects
from protocol.commands import Command, Done, Refused, Reply, UpdateSession
from protocol.events import Assigned
from protocol.ids import Epoch
from runtime import micro
from runtime.bus import connect
from runtime.errors import NoAnswer
from runtime.outbox import take
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import OnResponse, RealtimeServer, Say, Script, Scripts

UPDATE = UpdateSession("ops", instructions="Be kind.")
GREETING = OnResponse(Say("Hello Ada.", audio_ms=400))


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        service = Tools()
        serving = micro.serving(found, name="tools", description="d", endpoints=service.endpoints())
        async with serving:
            yield found


async def told(bus, end, command: Command = UPDATE, timeout: float = 10) -> Reply:
    return await bus.request(subjects.command(end.call), command, Reply, timeout=timeout)


async def silent(bus, end) -> None:
    """Nobody listens any more, at once or soon."""
    async with asyncio.timeout(10):
        while True:
            try:
                await told(bus, end, timeout=0.5)
            except NoAnswer as error:
                if error.nobody:
                    return
            await asyncio.sleep(0.02)


async def test_an_update_is_in_force_and_written_when_it_is_answered(bus, nats_server, tmp_path):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("said", done=True)
        assert await told(bus, end) == Done()
        (updated,) = [e for e in await end.events() if e["event"] == "session_updated"]
        session = model.connections[0].session
        assert session is not None
        assert session.config["instructions"] == updated["instructions"]
        assert updated["instructions"].startswith("Be kind.\n\nToday is ")
        assert "The caller's name is Ada." in updated["instructions"]
        await end.hang_up()
        await silent(bus, end)


async def test_what_the_model_refuses_is_not_written(bus, nats_server, tmp_path):
    """A tool whose name is longer than the model allows."""
    name_of_tool = "t" * 65

    async def never(_: micro.Request) -> bytes:
        raise AssertionError("never asked")

    meta = {"description": "d", "schema": '{"type":"object"}'}
    endpoint = micro.Endpoint(name_of_tool, f"tools.{name_of_tool}", never, meta)
    async with (
        micro.serving(bus, name="odd-tools", description="d", endpoints=[endpoint]),
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("said", done=True)
        reply = await told(bus, end, UpdateSession("ops", tools=(name_of_tool,)))
        assert isinstance(reply, Refused)
        assert reply.code == "not_applied"
        assert "session_updated" not in {e["event"] for e in await end.events()}
        assert await told(bus, end) == Done(), "and the session goes on"


async def test_where_no_session_is_open_it_is_said_so(bus, nats_server, tmp_path):
    menu = '\nmode = "keypad"\n[[menu]]\nkey = "1"\nlabel = "today"\ntool = "get_tasks"\n'
    async with (
        RealtimeServer(Scripts()) as model,
        worker(nats_server, tmp_path, model, profile=PROFILE + menu) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("mode_changed", mode="keypad")
        reply = await told(bus, end)
        assert isinstance(reply, Refused)
        assert (reply.code, model.connections) == ("no_session", [])


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"type":"fly","by":"ops"}', b'{"by":7}'])
async def test_what_is_no_command_is_refused(bus, nats_server, tmp_path, payload):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("said", done=True)
        data = await bus.request_raw(subjects.command(end.call), payload, timeout=10)
        assert b'"unreadable"' in data


async def test_a_worker_whose_call_was_taken_says_nothing(bus, nats_server, tmp_path):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        reply = await assigned(end, name)
        await end.event("said", done=True)
        await end.speak(20, SILENCE)
        taken = Assigned(
            **end.stamp("ai-agent"), leg=end.leg, previous_epoch=reply.epoch, reason="takeover"
        )
        assert await take(bus, taken, expected=Epoch(reply.epoch))
        with pytest.raises(NoAnswer):
            await told(bus, end, timeout=1)
        await silent(bus, end)
        assert "session_updated" not in {e["event"] for e in await end.events()}
