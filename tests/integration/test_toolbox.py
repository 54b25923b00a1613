"""Tools found on the bus and called: discovery, double names, retries, answers that are garbage."""

import asyncio
import json

import pytest

from ai_agent.toolbox import Toolbox
from protocol import tools
from protocol.ids import CallerId, EventId, new_call_id
from runtime import micro
from runtime.bus import connect
from runtime.errors import NoAnswer, Refused
from runtime.service import Shutdown
from runtime.settings import CommonSettings

META = {"description": "does it", "schema": '{"type":"object"}'}


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        # The first request opens the inbox of all requests: a task of the connection, not ours.
        with pytest.raises(NoAnswer):
            await found.request_raw("nobody.listens", b"", timeout=1)
        yield found


def serving(bus, handler, *, service="alien", tool="alien_tool", metadata=META):
    endpoint = micro.Endpoint(tool, f"tools.{tool}", handler, metadata)
    return micro.serving(bus, name=service, description="d", endpoints=[endpoint])


async def answer(request):
    return b'{"status":"done"}'


async def ask(box, name="alien_tool", arguments="{}", deadline_ms=1_000):
    return await box.call(
        name,
        arguments,
        call=new_call_id(),
        caller=CallerId("c1"),
        key=EventId("key"),
        deadline_ms=deadline_ms,
    )


async def test_a_tool_of_any_service_is_found_with_its_schema_and_called(bus):
    async with serving(bus, answer):
        box = Toolbox(bus)
        await box.refresh()
        (tool,) = box.offered(("alien_tool", "missing"))
        assert (tool.name, tool.description, tool.parameters) == (
            "alien_tool",
            "does it",
            '{"type":"object"}',
        )
        result = await ask(box)
        assert (result.outcome, json.loads(result.output)) == ("ok", {"status": "done"})


async def test_one_name_from_two_services_is_refused_but_replicas_are_not(bus):
    box = Toolbox(bus)
    async with serving(bus, answer, tool="twice"):
        async with serving(bus, answer, tool="twice"):
            await box.refresh()
            assert "twice" in box.names()
        async with serving(bus, answer, service="other", tool="twice"):
            await box.refresh()
            assert "twice" not in box.names()
        await box.refresh()
        assert "twice" in box.names()


@pytest.mark.parametrize("schema", ["", "no json", "[]"])
async def test_an_endpoint_without_a_usable_schema_is_no_tool(bus, schema):
    async with serving(bus, answer, tool="odd", metadata={"description": "d", "schema": schema}):
        box = Toolbox(bus)
        await box.refresh()
        assert "odd" not in box.names()


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"[1]", b'"text"', b"{"])
async def test_garbage_is_a_failure_that_the_model_can_tell(bus, garbage):
    async def speak_garbage(request):
        return garbage

    async with serving(bus, speak_garbage):
        box = Toolbox(bus)
        await box.refresh()
        result = await ask(box)
    assert result.outcome == "failed"
    assert json.loads(result.output)["status"] == "failed"


async def test_a_service_that_is_away_is_asked_again_under_the_same_key(bus):
    keys = []

    async def back_soon(request):
        keys.append(request.headers[tools.IDEMPOTENCY_KEY])
        if len(keys) < 3:
            raise Refused(503, "the database is away")
        return b"{}"

    async with serving(bus, back_soon):
        box = Toolbox(bus)
        await box.refresh()
        result = await ask(box, deadline_ms=5_000)
    assert result.outcome == "ok"
    assert keys == ["key"] * 3


async def test_nobody_listening_is_waited_out_until_the_deadline(bus):
    box = Toolbox(bus)
    async with serving(bus, answer):
        await box.refresh()
    asking = asyncio.ensure_future(ask(box, deadline_ms=3_000))
    await asyncio.sleep(0.3)
    async with serving(bus, answer):
        assert (await asking).outcome == "ok"
    late = await ask(box, deadline_ms=400)
    assert late.outcome == "timeout"
    assert "not known" in json.loads(late.output)["message"]


@pytest.mark.parametrize("arguments", ["{oops", "[]", "null"])
async def test_arguments_that_are_no_object_do_not_reach_the_tool(bus, arguments):
    asked = []

    async def record(request):
        asked.append(request)
        return b"{}"

    async with serving(bus, record):
        box = Toolbox(bus)
        await box.refresh()
        assert (await ask(box, arguments=arguments)).outcome == "failed"
        assert (await ask(box, name="unheard_of")).outcome == "failed"
    assert asked == []
