"""A call that changes hands is one trace and counts as one restore, whoever holds it."""

import pytest
from agent_world import Tools, assigned, worker
from line_end import SILENCE, line_end
from prometheus_client import REGISTRY

from runtime import micro, spans, tracing
from runtime.bus import connect
from runtime.held_spans import Span
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from runtime.tracing import Answered
from testbed.realtime import (
    CallTool,
    OnResponse,
    OnSpeech,
    RealtimeServer,
    Say,
    Script,
    Scripts,
    expect_output,
)

GREETING = OnResponse(Say("Hello.", audio_ms=200))


class Sent:
    """An exporter that keeps what it gets."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.answers: list[Answered] = []

    def send(self, span: Span) -> None:
        self.spans.append(span)

    def answered(self, span: Answered) -> None:
        self.answers.append(span)

    def stop(self) -> None:
        pass


@pytest.fixture
def sent():
    exporter = Sent()
    tracing.use(exporter)
    yield exporter
    tracing.use(None)


@pytest.fixture
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        yield found


def restores(how: str) -> float:
    return REGISTRY.get_sample_value("trunkline_restores_total", {"how": how}) or 0


async def test_both_holders_of_a_call_and_its_tool_are_in_its_trace(
    bus, nats_server, sent, tmp_path
):
    script = Script(
        OnSpeech("go on", CallTool("get_tasks", {})),
        expect_output(),
        OnResponse(Say("Gladly.", audio_ms=200)),
    )
    before = {how: restores(how) for how in ("handover", "takeover", "session")}
    async with (
        micro.serving(bus, name="tools", description="d", endpoints=Tools().endpoints()),
        RealtimeServer(Scripts(Script(GREETING), script)) as model,
        line_end(bus) as end,
    ):
        async with worker(nats_server, tmp_path / "new", model) as new:
            async with worker(nats_server, tmp_path / "old", model, agent_drain_s=30) as old:
                reply = await assigned(end, old)
                await end.speak(20, SILENCE)
                await end.event("said", done=True)
            taken = await end.event("assigned", count=2)
            await end.event("session_opened", count=2)
            await end.turn()
            await script.finished()
            called = await end.event("tool_called")
            await end.event("tool_returned")
        assert (taken["worker"], taken["reason"]) == (new, "handover")

    first, second = [span for span in sent.spans if span.name == "assignment"]
    assert [first.attributes["trunkline.worker"], second.attributes["trunkline.worker"]] == [
        old,
        new,
    ]
    assert (first.key, second.key) == (
        f"assignment.{reply.epoch}",
        f"assignment.{taken['sequence']}",
    )
    assert first.parent == second.parent == spans.CALL
    assert {span.call for span in sent.spans} == {end.call}
    offered = [moment.name for span in sent.spans for moment in span.moments]
    assert offered.count("handing_over") == 1
    (tool,) = [span for span in sent.spans if span.name == "execute_tool get_tasks"]
    assert tool.parent == f"session.{taken['sequence']}.2"
    (answer,) = [span for span in sent.answers if span.subject == "tools.get_tasks"]
    asked = spans.ids(end.call, spans.tool_key(called["id"]))
    assert (answer.trace, answer.parent) == (asked.trace, asked.span)
    assert restores("handover") == before["handover"] + 1
    assert restores("takeover") == before["takeover"]
    assert restores("session") == before["session"] + 1
