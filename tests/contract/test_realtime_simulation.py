"""The simulated Realtime server against the installed openai package.

Every event it emits is checked, strictly, with the SDK's own type of that event; the scenarios
run through the real SDK client.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, get_args

import openai.types.realtime as sdk
import pytest
from openai import AsyncOpenAI, BaseModel
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from testbed.realtime import (
    AnyOrder,
    CallTool,
    Drop,
    Emit,
    Fail,
    Habits,
    Incomplete,
    OnResponse,
    OnSpeech,
    Pause,
    RealtimeServer,
    Say,
    Script,
    Scripts,
    expect,
    expect_output,
    expect_truncate,
    tone,
)
from testbed.realtime.planner_mind import PlannerMind

PCMU = {"type": "audio/pcmu"}
QUIET = b"\xff" * 8
# Fields the API sends and the SDK's types leave out: `session.created` is typed as a request.
UNTYPED = {"session.id", "session.object", "session.expires_at"}


def _server_event_types() -> dict[str, type[BaseModel]]:
    union = get_args(sdk.RealtimeServerEvent)[0]
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(union)}


EVENT_TYPES = _server_event_types()


def _extras(value: Any, path: str = "") -> set[str]:
    """Fields that no SDK model knows, by path."""
    if isinstance(value, list):
        return set().union(*(_extras(member, path) for member in value))
    if not isinstance(value, BaseModel):
        return set()
    found = {f"{path}{name}" for name in value.model_extra or {}}
    for name in type(value).model_fields:
        found |= _extras(getattr(value, name), f"{path}{name}.")
    return found


def check_events(events: Sequence[dict[str, Any]]) -> set[str]:
    """Each event validates as its SDK type and has no field beyond it; the types seen."""
    ids = [event["event_id"] for event in events]
    assert len(set(ids)) == len(ids)
    for event in events:
        model = EVENT_TYPES[event["type"]]
        checked = model.model_validate(event, strict=True)
        assert _extras(checked) <= UNTYPED, event
    return {event["type"] for event in events}


class Line:
    """A client on the real SDK that keeps what it receives."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.sdk = connection
        self.events: list[dict[str, Any]] = []

    async def until(self, event_type: str, count: int = 1) -> dict[str, Any]:
        """Receive up to the next `count`-th event of a type."""
        async with asyncio.timeout(20):
            while True:
                raw = await self.sdk.recv_bytes()
                assert self.sdk.parse_event(raw).type
                event = json.loads(raw)
                self.events.append(event)
                if event["type"] == event_type:
                    count -= 1
                    if count == 0:
                        return event

    async def until_closed(self) -> ConnectionClosedError:
        with pytest.raises(ConnectionClosedError) as closed:
            await self.until("nothing")
        return closed.value

    async def send(self, event_type: str, **fields: Any) -> None:
        await self.sdk.send_raw(json.dumps({"type": event_type, **fields}))

    async def append(self, mulaw: bytes) -> None:
        await self.send("input_audio_buffer.append", audio=base64.b64encode(mulaw).decode())

    async def speak(self, ms: int = 800) -> None:
        """A turn of the caller with the silence that ends it."""
        await self.append(QUIET * 100 + tone("the caller", ms) + QUIET * 560)

    async def configure(self, **turn_detection: Any) -> dict[str, Any]:
        detection = {"type": "server_vad", "silence_duration_ms": 500, **turn_detection}
        await self.sdk.session.update(
            session={
                "type": "realtime",
                "instructions": "Plan.",
                "tools": [
                    {"type": "function", "name": "get_tasks", "parameters": {"type": "object"}}
                ],
                "audio": {
                    "input": {
                        "format": PCMU,
                        "transcription": {"model": "gpt-transcribe"},
                        "turn_detection": detection,
                    },
                    "output": {"format": PCMU, "voice": "marin"},
                },
            }
        )
        return (await self.until("session.updated"))["session"]

    def audio_of(self, item_id: str) -> bytes:
        return b"".join(
            base64.b64decode(event["delta"])
            for event in self.events
            if event["type"] == "response.output_audio.delta" and event["item_id"] == item_id
        )

    def errors(self) -> list[str]:
        return [event["error"]["code"] for event in self.events if event["type"] == "error"]


@asynccontextmanager
async def call(server: RealtimeServer) -> AsyncIterator[Line]:
    """A session through the real SDK."""
    client = AsyncOpenAI(base_url=server.base_url, api_key="sk-test")
    async with client, client.realtime.connect(model="gpt-realtime-2.1") as connection:
        yield Line(connection)


@asynccontextmanager
async def scripted(
    *steps: Any, habits: Habits | None = None
) -> AsyncIterator[tuple[Line, RealtimeServer, Script]]:
    """A session with a scripted model; afterwards the script is done and nothing is left."""
    before = asyncio.all_tasks()
    script = Script(*steps)
    async with RealtimeServer(
        Scripts(script), habits=habits or Habits(pace=0), api_key="sk-test"
    ) as server:
        async with call(server) as line:
            await line.until("session.created")
            yield line, server, script
        await script.finished()
    assert server.open_sockets == 0
    check_events(server.connections[0].sent)
    assert asyncio.all_tasks() == before


TODAY = CallTool("get_tasks", {"period": "today"}, tool_call_id="call_1")


async def test_a_whole_conversation_through_the_sdk() -> None:
    greeting = Say("Hello, how can I help?", audio_ms=1_200)
    async with scripted(
        expect("session.update", lambda e: e["session"]["audio"]["input"]["format"] == PCMU),
        OnResponse(greeting),
        OnSpeech("what do I have today", Say("Let me see."), TODAY),
        expect_output("call_1", where=lambda result: result == {"todos": []}),
        OnResponse(Say("Nothing today.", audio_ms=900)),
        expect_truncate(300, 400),
    ) as (line, _, _):
        session = await line.configure()
        assert session["audio"]["output"] == {"format": PCMU, "voice": "marin", "speed": 1.0}
        await line.sdk.response.create()
        greeted = (await line.until("response.done"))["response"]
        item = greeted["output"][0]
        assert line.audio_of(item["id"]) == tone(greeting.text, 1_200)
        assert item["content"][0] == {"type": "output_audio", "transcript": greeting.text}
        assert greeted["usage"]["output_token_details"]["audio_tokens"] == 1_200 // 50

        await line.speak(800)
        asked = (await line.until("response.done"))["response"]
        assert [item["type"] for item in asked["output"]] == ["message", "function_call"]
        assert json.loads(asked["output"][1]["arguments"]) == {"period": "today"}
        await line.sdk.conversation.item.create(
            item={"type": "function_call_output", "call_id": "call_1", "output": '{"todos": []}'}
        )
        await line.sdk.response.create()
        answered = (await line.until("response.done"))["response"]
        assert answered["usage"]["input_token_details"]["audio_tokens"] > 0

        last = answered["output"][0]["id"]
        await line.sdk.conversation.item.truncate(item_id=last, content_index=0, audio_end_ms=350)
        truncated = await line.until("conversation.item.truncated")
        assert truncated["audio_end_ms"] == 350
        await line.sdk.conversation.item.retrieve(item_id=last)
        kept = (await line.until("conversation.item.retrieved"))["item"]["content"][0]
        assert base64.b64decode(kept["audio"]) == tone("Nothing today.", 350)
        assert "transcript" not in kept


async def test_the_order_of_a_spoken_turn() -> None:
    async with scripted(OnSpeech("hello", Say("Hi.", audio_ms=100))) as (line, _, _):
        await line.configure()
        line.events.clear()
        await line.speak()
        await line.until("response.done")
        kinds = [e["type"] for e in line.events if "transcription" not in e["type"]]
        assert kinds == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "rate_limits.updated",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio_transcript.delta",
            "response.output_audio.delta",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
        ]
        started, stopped, committed = line.events[:3]
        assert started["item_id"] == stopped["item_id"] == committed["item_id"]
        completed = next(e for e in line.events if e["type"].endswith("transcription.completed"))
        assert completed["item_id"] == started["item_id"]
        assert completed["transcript"] == "hello"


async def test_speech_interrupts_and_the_client_truncates() -> None:
    async with scripted(
        OnResponse(Say("A long story.", audio_ms=20_000)),
        AnyOrder(expect_truncate(0, 1_000), OnSpeech("stop", Say("All right.", audio_ms=100))),
        habits=Habits(pace=5),
    ) as (line, _, _):
        await line.configure()
        await line.sdk.response.create()
        first = await line.until("response.output_audio.delta")
        await line.speak(400)
        done = await line.until("response.done")
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"]["reason"] == "turn_detected"
        assert done["response"]["output"][0]["status"] == "incomplete"
        ms = len(line.audio_of(first["item_id"])) // 8
        place = {"item_id": first["item_id"], "content_index": 0}
        await line.send("conversation.item.truncate", **place, audio_end_ms=min(ms, 1_000))
        await line.until("response.done")
        assert line.errors() == []


async def test_responses_that_do_not_complete() -> None:
    async with scripted(
        OnResponse(Fail("You are out of credit.", code="insufficient_quota")),
        OnResponse(Say("Half a", audio_ms=100), Incomplete("content_filter")),
        OnResponse(Say("A long story.", audio_ms=60_000)),
        OnResponse(Pause(60_000)),
        OnResponse(Say("Beside it.", audio_ms=100), where=lambda request: not request.items),
        expect("response.cancel"),
        expect("response.cancel"),
    ) as (line, _, _):
        await line.configure()
        await line.sdk.response.create()
        failed = (await line.until("response.done"))["response"]
        assert failed["status"] == "failed"
        assert failed["status_details"]["error"]["code"] == "insufficient_quota"
        await line.sdk.response.create()
        filtered = (await line.until("response.done"))["response"]
        assert (filtered["status"], filtered["output"][0]["status"]) == ("incomplete",) * 2
        await line.send("response.create", response={"max_output_tokens": 20})
        cut = (await line.until("response.done"))["response"]
        assert cut["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
        assert 20 <= cut["usage"]["output_tokens"] < 30

        await line.sdk.response.create()
        created = await line.until("response.created")
        await line.send("response.create", event_id="mine")
        refused = await line.until("error")
        assert refused["error"]["code"] == "conversation_already_has_active_response"
        assert created["response"]["id"] in refused["error"]["message"]
        assert refused["error"]["event_id"] == "mine"
        beside = {"conversation": "none", "input": [], "metadata": {"kind": "filler"}}
        await line.send("response.create", response=beside)
        other = (await line.until("response.done"))["response"]
        assert (other["conversation_id"], other["metadata"]) == (None, {"kind": "filler"})
        await line.sdk.response.cancel()
        cancelled = (await line.until("response.done"))["response"]
        assert cancelled["id"] == created["response"]["id"]
        assert cancelled["status_details"]["reason"] == "client_cancelled"
        await line.sdk.response.cancel()
        await line.until("error")
        assert line.errors()[-1] == "response_cancel_not_active"


async def test_hanging_up_in_a_response_leaves_nothing() -> None:
    async with scripted(OnResponse(Pause(60_000))) as (line, _, _):
        await line.sdk.response.create()
        await line.until("response.created")


async def test_manual_turns_clear_delete_and_text() -> None:
    async with scripted(
        expect("input_audio_buffer.clear"),
        expect("input_audio_buffer.commit"),
        OnSpeech("typed by hand"),
        expect("input_audio_buffer.commit"),
        OnResponse(Say("In writing.", audio_ms=100)),
        expect("conversation.item.delete"),
    ) as (line, server, _):
        session = {"type": "realtime", "audio": {"input": {"format": PCMU, "turn_detection": None}}}
        await line.send("session.update", session=session)
        await line.append(tone("a", 400))
        await line.send("input_audio_buffer.clear")
        await line.until("input_audio_buffer.cleared")
        await line.append(tone("b", 400))
        await line.send("input_audio_buffer.commit")
        item = (await line.until("input_audio_buffer.committed"))["item_id"]
        await line.send("input_audio_buffer.commit")
        await line.until("error")
        assert line.errors() == ["input_audio_buffer_commit_empty"]
        server.habits.answer_in_text = True
        await line.sdk.response.create()
        part = (await line.until("response.content_part.added"))["part"]
        assert part["type"] == "text"
        await line.until("response.done")
        await line.send("conversation.item.delete", item_id=item)
        await line.until("conversation.item.deleted")


async def test_idle_timeout_asks_again() -> None:
    async with scripted(
        OnResponse(Say("Hello?", audio_ms=200)),
        AnyOrder(OnSpeech(""), OnResponse(Say("Still there?"))),
    ) as (line, _, _):
        await line.configure(idle_timeout_ms=5_000)
        await line.sdk.response.create()
        await line.until("response.done")
        await line.append(QUIET * 5_199)
        await line.append(QUIET * 1)
        await line.until("input_audio_buffer.timeout_triggered")
        await line.until("response.done")


async def test_an_armed_idle_timeout_ends_with_manual_turns() -> None:
    async with scripted(OnResponse(Say("Hello?", audio_ms=200))) as (line, _, _):
        await line.configure(idle_timeout_ms=5_000)
        await line.sdk.response.create()
        await line.until("response.done")
        manual = {"input": {"format": PCMU, "turn_detection": None}}
        await line.send("session.update", session={"type": "realtime", "audio": manual})
        await line.append(QUIET * 6_000)
        await line.send("session.update", session={"type": "realtime"})
        await line.until("session.updated", count=2)
        assert "input_audio_buffer.timeout_triggered" not in {e["type"] for e in line.events}


async def test_bad_frames_are_answered_and_the_session_goes_on() -> None:
    async with scripted(OnResponse(Say("Fine."))) as (line, _, _):
        await line.sdk.send_raw("{")
        await line.sdk.send_raw(b"\x00")
        await line.send("session.destroy")
        await line.send("input_audio_buffer.append", audio="###")
        await line.send("input_audio_buffer.append")
        await line.send("session.update", session={"type": "realtime", "voice": "x"}, event_id="e")
        await line.until("error", count=6)
        assert line.errors() == [
            "invalid_json",
            "invalid_event",
            "invalid_value",
            "invalid_value",
            "missing_required_parameter",
            "unknown_parameter",
        ]
        assert line.events[-1]["error"]["event_id"] == "e"
        await line.sdk.response.create()
        await line.until("response.done")


async def test_a_client_that_asks_for_nothing_gets_pcm() -> None:
    async with scripted(OnResponse(Say("Hello.", audio_ms=100))) as (line, _, _):
        await line.sdk.response.create()
        done = await line.until("response.done")
        assert len(line.audio_of(done["response"]["output"][0]["id"])) == 100 * 48


async def test_sockets_end_in_every_way() -> None:
    async with scripted(OnResponse(Say("Goodb", audio_ms=100), Drop(1012, "restart"))) as (
        line,
        server,
        _,
    ):
        await line.sdk.response.create()
        closed = await line.until_closed()
        assert closed.rcvd is not None
        assert (closed.rcvd.code, closed.rcvd.reason) == (1012, "restart")
    assert server.connections[0].close_code == 1012
    async with scripted(OnResponse(Say("x"), Drop(None))) as (line, _, _):
        await line.sdk.response.create()
        assert (await line.until_closed()).rcvd is None
    async with scripted(habits=Habits(lifetime_s=0.05)) as (line, _, _):
        await line.until("error")
        assert line.errors() == ["session_expired"]
        with pytest.raises(ConnectionClosedOK) as expired:
            await line.until("nothing")
        assert expired.value.rcvd is not None
        assert expired.value.rcvd.code == 1001
    assert server.connections[0].headers["Authorization"] == "Bearer sk-test"


async def test_a_stalled_session_answers_when_it_resumes() -> None:
    async with scripted(OnResponse(Say("Late."))) as (line, server, _):
        server.connections[0].stall()
        await line.sdk.response.create()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await line.sdk.recv_bytes()
        server.connections[0].resume()
        await line.until("response.done")


async def test_raw_events_are_sent_as_they_are() -> None:
    limits = {"type": "rate_limits.updated", "rate_limits": []}
    async with scripted(Emit(limits), OnResponse(Emit(limits), Say("x"))) as (line, _, _):
        await line.until("rate_limits.updated")
        await line.sdk.response.create()
        await line.until("rate_limits.updated", count=2)
        await line.until("response.done")


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_refused_upgrades(status: int) -> None:
    async with RealtimeServer(Scripts()) as server:
        server.faults.refuse_upgrades = status
        with pytest.raises(InvalidStatus) as refused:
            async with call(server):
                pass
        assert refused.value.response.status_code == status
        assert server.refused == [status]


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({}, "", 401),
        ({"Authorization": "Bearer other"}, "", 401),
        ({"Authorization": "Bearer right", "OpenAI-Beta": "realtime=v1"}, "", 400),
        ({"Authorization": "Bearer right"}, "/elsewhere", 404),
    ],
)
async def test_who_may_connect(headers: dict[str, str], path: str, status: int) -> None:
    from websockets.asyncio.client import connect

    async with RealtimeServer(Scripts(), api_key="right") as server:
        url = server.base_url.replace("http", "ws") + f"/realtime{path}?model=m"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, additional_headers=headers)
        assert refused.value.response.status_code == status


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((OnResponse(Say("x")),), "not finished: the script is at step 1 of 1: a response request"),
        ((), r"unexpected response request \(client\); all steps of the script were done"),
        ((OnSpeech("hi", Say("x")),), "unexpected response request.*step 1 of 1: 'hi' spoken"),
        ((expect("response.cancel"),), "unexpected response request.*step 1.*response.cancel"),
        (
            (expect("response.create", lambda e: e["response"]["instructions"] == "Greet."),),
            r"KeyError\('response'\) while looking at",
        ),
    ],
)
async def test_a_script_that_is_not_followed_fails(steps: Any, message: str) -> None:
    script = Script(*steps)
    async with RealtimeServer(Scripts(script)) as server, call(server) as line:
        if "not finished" not in message:
            await line.sdk.response.create()
            assert (await line.until_closed()).rcvd is not None
        with pytest.raises(AssertionError, match=message):
            await script.finished(0.05)


async def test_one_session_more_than_scripts_fails() -> None:
    scripts = Scripts(Script())
    async with RealtimeServer(scripts) as server:
        async with call(server), call(server) as second:
            await second.until_closed()
        with pytest.raises(AssertionError, match="unexpected session 2"):
            await scripts.finished()


class Ear:
    """Hears what the test says it hears."""

    def __init__(self, *sentences: str | None) -> None:
        self.sentences = list(sentences)

    async def hear(self, utterance: bytes) -> str | None:
        assert utterance
        return self.sentences.pop(0)


class Mouth:
    """Speaks tones."""

    async def speak(self, text: str, voice: str) -> bytes:
        return tone(f"{voice}: {text}", 200)


async def test_the_planner_mind_emits_valid_events() -> None:
    mind = PlannerMind(Ear("what do i have today", None, "goodbye"), Mouth(), "a voice")
    async with RealtimeServer(lambda: mind, habits=Habits(pace=0)) as server:
        async with call(server) as line:
            await line.configure()
            await line.sdk.response.create()
            await line.until("response.done")
            await line.speak()
            asked = (await line.until("response.done"))["response"]["output"][0]
            assert asked["name"] == "get_tasks"
            output = {"todos": [{"id": 7, "deadline": "2026-11-22", "description": "buy milk"}]}
            await line.sdk.conversation.item.create(
                item={
                    "type": "function_call_output",
                    "call_id": asked["call_id"],
                    "output": json.dumps(output),
                }
            )
            await line.sdk.response.create()
            said = (await line.until("response.done"))["response"]["output"][0]["content"][0]
            assert said["transcript"] == "You have one todo for today: buy milk."
            for expected in ("Could you say it again?", "Goodbye"):
                await line.speak()
                said = (await line.until("response.done"))["response"]["output"][0]["content"][0]
                assert expected in said["transcript"]
            assert line.errors() == []
        check_events(server.connections[0].sent)
