"""One call as those see it who run the system: the metrics of every service, one trace through
all of them, and logs that hold nothing of the caller.
"""

import asyncio
import datetime as dt
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from metrics_page import on_the_page
from otlp_collector import Collected, Collector, collecting
from prometheus_client.parser import text_string_to_metric_families

from testbed.ports import free_ports
from testbed.realtime import (
    AnyOrder,
    CallTool,
    OnResponse,
    OnSpeech,
    Say,
    expect_output,
    expect_truncate,
    tone,
)

REPOSITORY = Path(__file__).parents[2]
CALLER = "+15550140777"
PIN = "48151623"
HELLO = Say("Welcome inside, what may I write down?", audio_ms=700)
LONG = Say("I wrote it down, and now I shall tell you a very long story. " * 6, audio_ms=8_000)
ANSWER = Say("All right, silence it is.", audio_ms=600)
PLANS = "please remember the surprise party"
STOP = "stop it please"
TODO = "buy forty balloons"
PERSONAL = (CALLER, CALLER[1:], CALLER[2:], PIN, PLANS, STOP, TODO, HELLO.text, ANSWER.text)
PROFILE = """
name = "watched"
numbers = ["*"]
instructions = "Be brief."
greeting = "Greet the caller."
tools = ["create_task", "offered_by_nobody"]
[pin]
required = true
reminder_s = 60
[prices]
since = 2026-11-22
text_in = 4.0
audio_in = 32.0
text_out = 24.0
audio_out = 64.0
"""
SERVICES = {
    "webhooks": "webhooks_admin",
    "stream-ingress": "ingress_admin",
    "ai-agent": "agent_admin",
    "tool-runner": "tool_runner_admin",
    "dashboard": "dashboard_admin",
}
Samples = dict[str, dict[str, float]]
"""By service: `name{label=value}` -> value."""


class Watched(NamedTuple):
    """A call that is over, and what was seen of it."""

    world: Any
    sid: str
    events: list[dict[str, Any]]
    families: dict[str, set[str]]
    samples: Samples
    spans: list[Collected]
    collector: Collector
    lines: list[tuple[str, str]]


async def scraped(world) -> tuple[dict[str, set[str]], Samples]:
    """The families and samples of every service."""
    families: dict[str, set[str]] = {}
    samples: Samples = {}
    async with httpx.AsyncClient(timeout=world.patience_s) as client:
        for service, port in SERVICES.items():
            number = getattr(world.stack.config.ports, port)
            answer = await client.get(f"http://127.0.0.1:{number}/metrics/")
            answer.raise_for_status()
            families[service], samples[service] = set(), {}
            for family in text_string_to_metric_families(answer.text):
                suffix = "_total" if family.type == "counter" else ""
                families[service].add(family.name + suffix)
                for sample in family.samples:
                    labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
                    key = f"{sample.name}{{{labels}}}" if labels else sample.name
                    samples[service][key] = sample.value
    return families, samples


async def settled(world, holds: Callable[[Samples], bool]) -> tuple[dict[str, set[str]], Samples]:
    """Scrape until it ``holds``: gauges and tallies follow within a second."""
    async with asyncio.timeout(world.patience_s):
        while True:
            families, samples = await scraped(world)
            if holds(samples):
                return families, samples
            await asyncio.sleep(0.2)


async def pin_is_set(world) -> None:
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tool_runner.set_pin", "--number", CALLER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"DATABASE_URL": world.stack.database_url},
    )
    await command.communicate(f"{PIN}\n".encode())
    assert command.returncode == 0


async def the_call(world) -> str:
    """PIN, a todo, an interruption, hung up; its id."""
    day = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=3)
    script = world.script(
        OnResponse(HELLO),
        OnSpeech(PLANS, CallTool("create_task", {"date": day.isoformat(), "description": TODO})),
        expect_output(),
        OnResponse(LONG),
        AnyOrder(expect_truncate(1, LONG.audio_ms), OnSpeech(STOP, ANSWER)),
    )

    async def heard_last(audio: bytes) -> None:
        await call.wait_until(lambda c: c.ear.audio().endswith(audio), world.patience_s)

    call = await world.twilio.dial(CALLER)
    await world.logged(call, "pin_requested")
    await call.wait_until(lambda c: c.ear.heard_ms() > 0, world.patience_s)
    assert call.press(PIN)
    await heard_last(tone(HELLO.text, HELLO.audio_ms))
    before_ms = call.ear.heard_ms()
    assert await call.say(tone(PLANS, 900))
    await call.wait_until(lambda c: c.ear.heard_ms() > before_ms + 600, world.patience_s)
    assert await call.say(tone(STOP, 600))
    await heard_last(tone(ANSWER.text, ANSWER.audio_ms))
    await script.finished()
    await world.logged(call, "barged_in", "response_timed")
    await world.hung_up(call)
    refused = await world.client.request(
        "calls.hang_up", json.dumps({"call": call.sid}).encode(), timeout=world.patience_s
    )
    assert json.loads(refused.data)["type"] == "refused"
    return call.sid


@pytest.fixture(scope="module")
async def watched(new_system, tmp_path_factory) -> AsyncIterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    (folder / "watched.toml").write_text(PROFILE)
    with collecting() as collector:
        every = {
            "LOG_LEVEL": "debug",
            "ASSISTANTS_DIR": str(folder),
            "SPEAKER_PROVIDERS": "espeak",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        names = [service.replace("-", "_") for service in SERVICES]
        async with new_system(**dict.fromkeys(names, every)) as world:
            await pin_is_set(world)
            world.begin()
            sid = await the_call(world)
            events = list(world.follower.events[sid])
            families, samples = await settled(
                world,
                lambda found: (
                    found["ai-agent"]["trunkline_agent_calls"] == 0
                    and found["stream-ingress"]["trunkline_ingress_legs"] == 0
                    and found["stream-ingress"]["trunkline_ingress_frames_in_total"] > 0
                ),
            )
            last = {"call", "stream", "assignment", "calls.hang_up", "tools.create_task"}
            await world.until(
                lambda: last <= {span.name for span in collector.spans}, f"spans {last}"
            )
            # The processes of a service that may run several times are numbered.
            lines = [(re.sub(r"-\d+$", "", name), line) for name, line in world.stack.lines]
            await world.settle()
            spans = collector.spans
            yield Watched(world, sid, events, families, samples, spans, collector, lines)


# -- metrics


async def test_every_service_shows_what_the_page_says(watched: Watched) -> None:
    for service, families in watched.families.items():
        documented = {metric.name for metric in on_the_page() if service in metric.services}
        assert len(documented) > 8
        assert documented - families == set(), service
        ours = {
            name
            for name in families
            if name.startswith("trunkline_") and not name.endswith("_created")
        }
        assert ours - documented == set(), service


async def test_the_figures_of_one_call_make_sense(watched: Watched) -> None:
    webhooks, ingress, agent, tools, desk = (watched.samples[name] for name in SERVICES)
    names = [event["event"] for event in watched.events]

    assert webhooks["trunkline_events_written_total{event=ringing}"] == 1
    ended = "trunkline_calls_ended_total{reason=caller_hung_up}"
    assert webhooks[ended] + ingress[ended] == 1
    assert webhooks["trunkline_webhooks_request_seconds_count{endpoint=voice}"] == 1
    assert webhooks["trunkline_request_seconds_count{subject=calls.hang_up}"] == 1

    assert ingress["trunkline_ingress_legs"] == 0
    assert ingress["trunkline_ingress_legs_ended_total{reason=stop}"] == 1
    assert ingress["trunkline_ingress_placed_ms_count"] == 1
    assert ingress["trunkline_ingress_frames_in_total"] > 50
    assert ingress["trunkline_ingress_audio_out_bytes_total"] > 8 * HELLO.audio_ms
    assert ingress["trunkline_ingress_lost_total{loss=gone}"] == 0

    timed = [e["response_ms"] / 1000 for e in watched.events if e["event"] == "response_timed"]
    assert agent["trunkline_response_seconds_count"] == len(timed) >= 1
    assert agent["trunkline_response_seconds_sum"] == pytest.approx(sum(timed))
    cuts = names.count("barged_in")
    assert cuts == 1
    assert agent["trunkline_barge_in_seconds_count"] >= 1
    assert agent["trunkline_barge_in_seconds_sum"] < watched.world.patience_s
    assert agent["trunkline_agent_sessions"] == 0
    assert agent["trunkline_agent_slots_free"] > 0
    assert agent["trunkline_agent_calls"] == 0
    assert agent["trunkline_tool_seconds_count{outcome=ok,tool=create_task}"] == 1
    cost = sum(e["cost_usd"] or 0 for e in watched.events if e["event"] == "usage_reported")
    assert cost > 0
    spent = [
        agent[f"trunkline_cost_usd_total{{source={s}}}"] for s in ("response", "transcription")
    ]
    assert spent[0] > 0
    assert sum(spent) == pytest.approx(cost)
    for how in ("takeover", "handover", "session"):
        assert agent[f"trunkline_restores_total{{how={how}}}"] == 0

    assert tools["trunkline_tool_requests_total{outcome=ok,tool=create_task}"] == 1
    assert tools["trunkline_pin_verdicts_total{verdict=accepted}"] == 1
    assert tools["trunkline_request_seconds_count{subject=tools.create_task}"] == 1
    assert tools["trunkline_database_up"] == desk["trunkline_database_up"] == 1
    for service, samples in watched.samples.items():
        assert samples["trunkline_nats_connected"] == 1, service
        assert samples["trunkline_nats_slow_consumer_total"] == 0, service
        errors = [key for key in samples if key.startswith("trunkline_task_failures_total{")]
        assert errors == [], service


async def test_no_figure_holds_anything_of_the_caller(watched: Watched) -> None:
    told = repr(watched.samples)
    assert [words for words in (*PERSONAL, watched.sid) if words in told] == []


@pytest.fixture
async def prometheus(watched: Watched, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A real Prometheus with our rules that scrapes the system; a client of its API."""
    command = shutil.which("prometheus")
    if command is None:
        pytest.skip("no prometheus on PATH: it is Debian's package of that name")
    ports = [getattr(watched.world.stack.config.ports, port) for port in SERVICES.values()]
    ours = REPOSITORY / "deploy/monitoring"
    config = (ours / "prometheus.local.yml").read_text("utf-8").replace("15s", "1s")
    for default, port in zip(range(9081, 9086), ports, strict=True):
        assert f"127.0.0.1:{default}" in config
        config = config.replace(f'"127.0.0.1:{default}"', f'"127.0.0.1:{port}"')
    (tmp_path / "prometheus.yml").write_text(config, "utf-8")
    shutil.copy(ours / "rules.yml", tmp_path)
    (listen,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        *(command, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/d"),
        f"--web.listen-address=127.0.0.1:{listen}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listen}/api/v1") as client:
            yield client
    finally:
        process.terminate()
        await process.wait()


async def test_prometheus_itself_takes_the_figures_and_the_rules(
    watched: Watched, prometheus: httpx.AsyncClient
) -> None:
    async def asked(path: str, **query: str) -> Any:
        try:
            return (await prometheus.get(path, params=query)).json().get("data")
        except (httpx.HTTPError, ValueError):
            return None  # it has only been started

    async def becomes(expr: str, wanted: float) -> None:
        found: Any = None
        async with asyncio.timeout(watched.world.patience_s):
            while found != wanted:
                data = await asked("/query", query=expr)
                found = float(data["result"][0]["value"][1]) if data and data["result"] else None
                await asyncio.sleep(0.2)

    await becomes('sum(up{job="trunkline"})', len(SERVICES))
    await becomes("sum(trunkline_agent_calls)", 0)
    await becomes('sum(trunkline_calls_ended_total{reason="caller_hung_up"})', 1)
    rules = [rule for group in (await asked("/rules"))["groups"] for rule in group["rules"]]
    assert len(rules) > 20
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


# -- traces


async def test_one_call_is_one_trace_through_all_services(watched: Watched) -> None:
    of_call = {s.trace_id for s in watched.spans if s.attributes.get("trunkline.call_id")}
    assert len(of_call) == 1
    spans = [span for span in watched.spans if span.trace_id in of_call]
    assert spans == watched.spans, "nothing else is traced"
    assert {s.service for s in spans} >= {"webhooks", "stream-ingress", "ai-agent", "tool-runner"}
    named = {
        s.attributes["trunkline.call_id"] for s in spans if "trunkline.call_id" in s.attributes
    }
    assert named == {watched.sid}
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans), "no span came twice"

    def path(span: Collected) -> tuple[str, ...]:
        above = path(by_id[span.parent_id]) if span.parent_id else ()
        return (*above, f"{span.service}:{span.name}")

    tree = {path(span) for span in spans}
    (root,) = [span for span in spans if not span.parent_id]
    top = f"{root.service}:call"
    assert root.name == "call"
    assert root.service in ("webhooks", "stream-ingress")
    session = (top, "ai-agent:assignment", "ai-agent:session")
    tool = (*session, "ai-agent:execute_tool create_task")
    assert {
        (top,),
        (top, "webhooks:ringing"),
        (top, "webhooks:status_changed"),
        (top, "webhooks:calls.hang_up"),
        (top, "stream-ingress:stream"),
        (top, "ai-agent:assignment"),
        session,
        (*session, "ai-agent:response"),
        (*session, "ai-agent:response_time"),
        tool,
        (*tool, "tool-runner:tools.create_task"),
    } <= tree


async def test_spans_lie_where_things_happened(watched: Watched) -> None:
    def one(name: str) -> Collected:
        (span,) = [span for span in watched.spans if span.name == name]
        return span

    call, stream, session = one("call"), one("stream"), one("session")
    for span in watched.spans:
        assert span.began_ns <= span.ended_ns, span.name
        assert span.began_ns >= call.began_ns, span.name
    assert call.ended_ns >= stream.began_ns
    assert session.began_ns >= one("assignment").began_ns
    asked, done = one("execute_tool create_task"), one("tools.create_task")
    assert asked.began_ns <= done.began_ns <= done.ended_ns <= asked.ended_ns
    assert "barged_in" in session.moments
    assert call.attributes["trunkline.reason"] == "caller_hung_up"
    assert not any(span.failed for span in watched.spans), "a refusal by answer is no failure"
    spoken = [s for s in watched.spans if s.name == "response"]
    cost = sum(span.attributes["trunkline.cost_usd"] for span in spoken)
    usage = [e for e in watched.events if e["event"] == "usage_reported"]
    usage = [e for e in usage if e["source"] == "response"]
    assert len(spoken) == len(usage)
    assert cost == pytest.approx(sum(e["cost_usd"] for e in usage))
    assert sorted(span.attributes["trunkline.status"] for span in spoken)[0] == "cancelled"


async def test_audio_makes_no_spans_and_nothing_personal_leaves(watched: Watched) -> None:
    assert len(watched.spans) < 60
    sent = b"".join(watched.collector.bodies)
    assert [words for words in PERSONAL if words.encode() in sent] == []
    assert watched.sid.encode() in sent


# -- logs


async def test_no_log_of_any_service_holds_anything_of_the_caller(watched: Watched) -> None:
    found = [
        (service, words)
        for service, line in watched.lines
        for words in PERSONAL
        if words.casefold() in line.casefold()
    ]
    assert found == []
    assert {service for service, _ in watched.lines} >= SERVICES.keys()


async def test_every_line_about_the_call_can_be_found_by_its_id(watched: Watched) -> None:
    about: dict[str, int] = {}
    for service, line in watched.lines:
        if service not in SERVICES:
            continue
        told = json.loads(line)
        assert {"event", "level", "service", "timestamp"} <= told.keys(), line
        assert told["service"] == service
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", told["timestamp"])
        if watched.sid in line:
            assert told.get("call_id") == watched.sid, line
            about[service] = about.get(service, 0) + 1
    assert about.keys() >= {"webhooks", "stream-ingress", "ai-agent", "tool-runner"}


async def test_a_line_written_far_below_the_call_has_its_id_too(watched: Watched) -> None:
    told = [json.loads(line) for service, line in watched.lines if service == "ai-agent"]
    missing = [line for line in told if line["event"] == "tools not offered by any service"]
    assert watched.sid in [line.get("call_id") for line in missing]
