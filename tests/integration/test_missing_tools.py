"""A worker whose profiles name a tool that nobody serves: it starts, says so once, and has the tool
as soon as somebody serves it.
"""

import asyncio

import pytest
import structlog
from agent_world import PROFILE, Tools, assigned, worker
from line_end import line_end

from ai_agent import wanted_tools
from runtime import micro
from runtime.bus import connect
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import OnResponse, RealtimeServer, Say, Script, Scripts

MISSING = PROFILE.replace('"slow"', '"slow", "opening_hours"')
KEYPAD = (
    MISSING
    + """
[[menu]]
key = "1"
label = "our hours"
tool = "opening_hours"
"""
)
META = {"description": "d", "schema": '{"type":"object"}'}


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        yield found


@pytest.fixture
async def services(bus):
    async with micro.serving(bus, name="tools", description="d", endpoints=Tools().endpoints()):
        yield


@pytest.fixture
def logs(monkeypatch):
    monkeypatch.setattr(wanted_tools, "SOME_S", 0.4)
    monkeypatch.setattr(wanted_tools, "_log", structlog.get_logger())
    with structlog.testing.capture_logs() as found:
        yield found


def warned(logs):
    return [entry for entry in logs if "no service offers" in entry["event"]]


def opening_hours(bus):
    async def answer(request):
        return b'{"spoken":"We are open."}'

    endpoint = micro.Endpoint("opening_hours", "tools.opening_hours", answer, META)
    return micro.serving(bus, name="hours", description="d", endpoints=[endpoint])


async def offered(bus, name):
    """The tools of the session of a new call."""
    async with line_end(bus) as end:
        await assigned(end, name)
        async with asyncio.timeout(10):
            while True:
                for event in await end.events():
                    if event["event"] == "session_opened":
                        return [tool["name"] for tool in event["tools"]]
                await asyncio.sleep(0.03)


async def said(end, text, count=1):
    """Wait until the log holds these words of the assistant so often."""
    async with asyncio.timeout(15):
        while True:
            events = [e for e in await end.events() if e["event"] == "said" and e["done"]]
            if sum(text in event["text"] for event in events) >= count:
                return
            await asyncio.sleep(0.03)


async def test_a_call_goes_on_without_the_tool_and_the_next_has_it(
    bus, nats_server, services, logs, tmp_path
):
    scripts = Scripts(*(Script(OnResponse(Say("Hello.", audio_ms=200))) for _ in range(40)))
    async with (
        RealtimeServer(scripts) as model,
        worker(nats_server, tmp_path, model, profile=MISSING, slots=40) as name,
    ):
        assert await offered(bus, name) == ["get_tasks", "slow", "end_call"]
        (warning,) = warned(logs)
        assert warning["log_level"] == "warning"
        assert warning["tools"] == ["test: opening_hours"]
        async with opening_hours(bus), asyncio.timeout(20):
            while "opening_hours" not in await offered(bus, name):
                await asyncio.sleep(0.5)
        assert len(warned(logs)) == 1


async def test_a_key_whose_tool_is_missing_gets_an_honest_sentence(
    bus, nats_server, services, logs, tmp_path
):
    async with (
        RealtimeServer(Scripts()) as model,
        worker(nats_server, tmp_path, model, profile='mode = "keypad"\n' + KEYPAD) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await said(end, "Press 1 for our hours")
        await end.key("1")
        await said(end, "did not work")
        await said(end, "Press 1 for our hours", count=2)
