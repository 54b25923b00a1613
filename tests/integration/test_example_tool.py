"""examples/opening_hours: the tool service of another business, found, offered and called."""

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest

from ai_agent import menu_words
from ai_agent.toolbox import Toolbox
from protocol.ids import EventId, new_call_id
from runtime.assistants import load
from runtime.bus import connect
from runtime.errors import NoAnswer
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.layout import example_tools, tool_environment

ROOT = Path(__file__).parents[2]
(NAME, PROGRAM), *_ = example_tools(ROOT).items()


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        # The first request opens the inbox of all requests: a task of the connection, not ours.
        with pytest.raises(NoAnswer):
            await found.request_raw("nobody.listens", b"", timeout=1)
        yield found


@pytest.fixture
async def box(bus, nats_server):
    program = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), env=tool_environment(nats_server.url)
    )
    try:
        box = Toolbox(bus)
        until = time.monotonic() + 30
        while "opening_hours" not in box.names():
            assert program.returncode is None, "the example ended"
            assert time.monotonic() < until, "the example serves nothing"
            await box.refresh()
        yield box
    finally:
        program.terminate()
        await program.wait()


async def ask(box, arguments):
    return await box.call(
        "opening_hours",
        arguments,
        call=new_call_id(),
        caller=None,
        key=EventId("key"),
        deadline_ms=10_000,
    )


async def test_the_example_serves_every_tool_of_its_profile(box):
    assert NAME == "tool-opening-hours"
    profile = next(
        loaded.assistant
        for loaded in load(ROOT / "assistants").all()
        if loaded.assistant.name == "front-desk"
    )
    (tool,) = box.offered(profile.tools)
    assert tool.description
    assert json.loads(tool.parameters)["properties"]["day"]["enum"] == ["today", "tomorrow"]
    for item in profile.menu:
        result = await ask(box, json.dumps(item.arguments))
        assert result.outcome == "ok"
        spoken = menu_words.answer(item, result.output)
        assert spoken is not None
        assert spoken.startswith(f"{item.arguments['day'].capitalize()} we are ")


@pytest.mark.parametrize("arguments", ["{}", '{"day":"never"}', '{"day":7}', '{"day":["today"]}'])
async def test_arguments_that_cannot_be_are_an_honest_failure(box, arguments):
    result = await ask(box, arguments)
    assert result.outcome == "failed"
    assert "day must be" in json.loads(result.output)["message"]
