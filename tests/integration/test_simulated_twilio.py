"""The simulated Twilio against a tiny customer: a voice webhook and a media server written here."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from urllib.parse import parse_qsl

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from websockets.asyncio.server import ServerConnection, serve

from testbed.twilio import Callee, Faults, SimulatedTwilio, Timing, TwilioAccount, serve_rest
from testbed.twilio.program import Inline
from testbed.twilio.pump import Pump

PUBLIC = "https://voice.example.com"
TOKEN = "0123456789abcdef0123456789abcdef"
NUMBER = "+15550100002"
CALLER = "+15550100001"
TIMEOUT = 20.0
TIMING = Timing(speech_ms=5, pause_second_ms=20, ring_ms=5, webhook_total_ms=400, close_ms=500)

Serving = Callable[["Customer", ServerConnection, str], Awaitable[None]]


class Customer:
    """Answers webhooks with `pages[path]`, records everything, serves media with `serving`."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.requests: list[tuple[str, dict[str, str], str]] = []  # path, form, idempotency token
        self.messages: list[dict] = []
        self.serving: Serving = listen
        self.slow_s = 0.0
        self.reject_upgrade = False
        self.routes: dict[str, str] = {}

    async def webhook(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        url = PUBLIC + request.url.path + (f"?{request.url.query}" if request.url.query else "")
        signature = request.headers["x-twilio-signature"]
        if not RequestValidator(TOKEN).validate(url, form, signature):
            return Response(status_code=403)
        assert request.headers["host"] == "voice.example.com"
        self.requests.append(
            (request.url.path, form, request.headers["i-twilio-idempotency-token"])
        )
        page = self.pages.get(request.url.path)
        if request.url.path == "/voice":
            await asyncio.sleep(self.slow_s)
        if page is None:
            return Response(status_code=204)
        return Response(f"<Response>{page}</Response>", media_type="text/xml")

    async def media(self, ws: ServerConnection) -> None:
        assert ws.request is not None
        signature = ws.request.headers["x-twilio-signature"]
        url = f"wss://voice.example.com{ws.request.path}"
        assert RequestValidator(TOKEN).validate(url, {}, signature)
        first = json.loads(await ws.recv())
        assert first == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        start = json.loads(await ws.recv())
        self.messages += [first, start]
        await self.serving(self, ws, start["streamSid"])

    def forms(self, path: str) -> list[dict[str, str]]:
        return [form for at, form, _ in self.requests if at == path]

    def of(self, event: str) -> list[dict]:
        return [message for message in self.messages if message["event"] == event]


async def listen(customer: Customer, ws: ServerConnection, sid: str) -> None:
    async for message in ws:
        customer.messages.append(json.loads(message))


async def close_at_once(customer: Customer, ws: ServerConnection, sid: str) -> None:
    await ws.close()


async def break_off(customer: Customer, ws: ServerConnection, sid: str) -> None:
    ws.transport.abort()


async def send(ws: ServerConnection, sid: str, event: str, **body: str) -> None:
    message = {"event": event, "streamSid": sid} | ({event: body} if body else {})
    await ws.send(json.dumps(message))


async def send_audio(ws: ServerConnection, sid: str, ms: int, byte: int = 0x21) -> None:
    await send(ws, sid, "media", payload=base64.b64encode(bytes([byte]) * 8 * ms).decode())


@asynccontextmanager
async def http_server(app: Starlette) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_config=None))
        async with asyncio.TaskGroup() as group:
            group.create_task(server._serve([listening]))
            try:
                yield listening.getsockname()[1]
            finally:
                server.should_exit = True


@pytest.fixture
async def customer() -> AsyncIterator[Customer]:
    customer = Customer()
    methods = ["GET", "POST"]
    app = Starlette(routes=[Route("/{path:path}", customer.webhook, methods=methods)])

    def upgrade(ws: ServerConnection, request: object):
        return ws.respond(403, "no\n") if customer.reject_upgrade else None

    async with (
        http_server(app) as port,
        serve(customer.media, "127.0.0.1", 0, process_request=upgrade) as media,
    ):
        media_port = media.sockets[0].getsockname()[1]
        customer.routes = {
            PUBLIC: f"http://127.0.0.1:{port}",
            "wss://voice.example.com": f"ws://127.0.0.1:{media_port}",
        }
        yield customer


def connect(action: str | None = "/after") -> str:
    given = f' action="{action}"' if action else ""
    return (
        f'<Connect{given}><Stream url="wss://voice.example.com/media"'
        f' statusCallback="{PUBLIC}/stream">'
        '<Parameter name="token" value="t"/></Stream></Connect>'
    )


@pytest.fixture
def timing() -> Timing:
    return TIMING


@pytest.fixture
async def twilio(customer: Customer, timing: Timing) -> AsyncIterator[SimulatedTwilio]:
    account = TwilioAccount(
        sid="AC" + "1" * 32,
        auth_token=TOKEN,
        number=NUMBER,
        voice_url=f"{PUBLIC}/voice?v=1",
        status_callback=f"{PUBLIC}/status",
    )
    customer.pages = {"/voice": connect(), "/after": "<Say>after</Say>"}
    async with SimulatedTwilio(account, routes=customer.routes, timing=timing) as twilio:
        yield twilio


def test_a_secret_stays_out_of_the_repr() -> None:
    account = TwilioAccount(sid="AC1", auth_token=TOKEN, number=NUMBER, voice_url=PUBLIC)
    assert TOKEN not in repr(account)


async def test_a_call_from_ring_to_hang_up(twilio: SimulatedTwilio, customer: Customer) -> None:
    call = await twilio.dial(CALLER)
    assert call.status == "ringing"
    await call.wait_until(lambda c: len(customer.of("media")) > 3, TIMEOUT)
    assert await asyncio.wait_for(call.say(b"\x15" * 400), TIMEOUT)
    assert call.press("5#")
    await call.hang_up()
    assert await call.ended(TIMEOUT) == "caller_hung_up"

    [form] = customer.forms("/voice")
    assert form["CallSid"] == call.sid
    assert form.items() >= {"From": CALLER, "To": NUMBER, "CallStatus": "ringing"}.items()
    assert form["FromZip"] == form["CalledCity"] == ""
    start = customer.messages[1]["start"]
    assert start["customParameters"] == {"token": "t"}
    assert (start["callSid"], start["accountSid"]) == (call.sid, twilio.account.sid)
    assert [m["dtmf"]["digit"] for m in customer.of("dtmf")] == ["5", "#"]
    assert customer.messages[-1]["event"] == "stop"
    numbers = [int(m["sequenceNumber"]) for m in customer.messages[1:]]
    assert numbers == list(range(1, len(numbers) + 1))
    chunks = [m["media"] for m in customer.of("media")]
    assert [int(c["chunk"]) for c in chunks] == list(range(1, len(chunks) + 1))
    spoken = b"".join(base64.b64decode(c["payload"]) for c in chunks)
    assert spoken.strip(b"\xff") == b"\x15" * 400
    steps = {int(b["timestamp"]) - int(a["timestamp"]) for a, b in pairwise(chunks)}
    assert steps == {20}
    assert [f["StreamEvent"] for f in customer.forms("/stream")] == [
        "stream-started",
        "stream-stopped",
    ]
    assert [f["CallStatus"] for f in customer.forms("/status")] == ["completed"]
    assert customer.forms("/after") == []
    assert call.statuses == ["ringing", "in-progress", "completed"]


async def test_frames_keep_the_pace_of_the_line(
    twilio: SimulatedTwilio, customer: Customer
) -> None:
    calls = [await twilio.dial(f"+1555010{i:04}") for i in range(20)]
    for call in calls:
        await call.wait_until(lambda c: c.stream and c.stream.frames_sent >= 50, TIMEOUT)
    for call in calls:
        stream = call.stream
        assert stream is not None
        assert stream.started_ms is not None
        before = call.now_ms()
        elapsed = before - stream.started_ms
        # no drift: what was sent is what had been captured by then, but for one late tick
        await call.wait_until(lambda c, s=stream, n=elapsed: s.frames_sent >= n // 20, TIMEOUT)
        assert stream.frames_sent <= (call.now_ms() - stream.started_ms) / 20
        assert stream.frames_dropped == 0


async def test_marks_come_back_after_the_audio_before_them(
    twilio: SimulatedTwilio, customer: Customer
) -> None:
    async def talk(customer: Customer, ws: ServerConnection, sid: str) -> None:
        await send(ws, sid, "mark", name="empty")
        await send_audio(ws, sid, 200)
        await send(ws, sid, "mark", name="end")
        await listen(customer, ws, sid)

    customer.serving = talk
    call = await twilio.dial(CALLER)
    heard = await call.heard_silence(100, TIMEOUT)
    assert heard == b"\x21" * 1600
    assert [m["mark"]["name"] for m in customer.of("mark")] == ["empty", "end"]
    stream = call.streams[0]
    [(first_ms, _), (end_ms, _)] = stream.echoed
    [sound] = call.ear.sounds
    assert first_ms <= sound.start_ms + 1
    assert sound.end_ms <= end_ms
    await call.hang_up()


async def test_clear_silences_and_echoes_everything(
    twilio: SimulatedTwilio, customer: Customer
) -> None:
    async def talk(customer: Customer, ws: ServerConnection, sid: str) -> None:
        await send_audio(ws, sid, 60_000)
        await send(ws, sid, "mark", name="never heard")
        async for message in ws:
            customer.messages.append(json.loads(message))
            if customer.messages[-1]["event"] == "dtmf":
                await send(ws, sid, "clear")

    customer.serving = talk
    call = await twilio.dial(CALLER)
    await call.wait_until(lambda c: c.ear.heard_ms() >= 100, TIMEOUT)
    call.press("1")
    await call.wait_until(lambda c: customer.of("mark"), TIMEOUT)
    heard = call.ear.heard_ms()
    assert 100 <= heard < 60_000
    frames = call.streams[0].frames_sent
    await call.wait_until(lambda c: c.streams[0].frames_sent > frames + 5, TIMEOUT)
    assert call.ear.heard_ms() == heard


async def test_bad_messages_are_warned_of_once_and_ignored(
    twilio: SimulatedTwilio, customer: Customer
) -> None:
    async def babble(customer: Customer, ws: ServerConnection, sid: str) -> None:
        await ws.send("{}")
        await ws.send("{}")
        await ws.send(b"binary")
        await send(ws, "MZ" + "0" * 32, "clear")
        await send(ws, sid, "mark", name="alive")
        await listen(customer, ws, sid)

    customer.serving = babble
    call = await twilio.dial(CALLER)
    await call.wait_until(lambda c: customer.of("mark"), TIMEOUT)
    assert [r.code for r in call.streams[0].playout.refusals] == [31951, 31951, 31950, 31951]
    warnings = [e.detail.split(":")[0] for e in call.log if e.what == "warning"]
    assert warnings == ["31951", "31950"]


async def test_server_close_goes_to_the_action(twilio: SimulatedTwilio, customer: Customer) -> None:
    customer.serving = close_at_once
    call = await twilio.dial(CALLER)
    assert await call.ended(TIMEOUT) == "end_of_twiml"
    assert [s.content for s in call.ear.spoken] == ["after"]
    [form] = customer.forms("/after")
    assert form["CallStatus"] == "in-progress"
    assert customer.of("stop") == []
    assert customer.forms("/stream")[-1]["StreamEvent"] == "stream-stopped"


async def test_without_action_the_next_verb_runs(
    twilio: SimulatedTwilio, customer: Customer
) -> None:
    customer.serving = close_at_once
    customer.pages["/voice"] = connect(None) + "<Pause/><Say>next</Say><Hangup/><Say>never</Say>"
    call = await twilio.dial(CALLER)
    assert await call.ended(TIMEOUT) == "hangup_verb"
    assert [s.content for s in call.ear.spoken] == ["next"]


@pytest.mark.parametrize(
    ("variant", "said", "reason"),
    [
        ("action", ["after"], "end_of_twiml"),
        ("next_verb", ["next"], "end_of_twiml"),
        ("hang_up", [], "stream_lost"),
    ],
)
async def test_abrupt_loss(
    twilio: SimulatedTwilio, customer: Customer, variant, said: list[str], reason: str
) -> None:
    customer.serving = break_off
    customer.pages["/voice"] = connect() + "<Say>next</Say>"
    twilio.faults = Faults(after_loss=variant, after_loss_delay_ms=30)
    call = await twilio.dial(CALLER)
    assert await call.ended(TIMEOUT) == reason
    assert [s.content for s in call.ear.spoken] == said
    assert customer.forms("/stream")[-1]["StreamError"].startswith("31903")


async def test_abrupt_loss_that_twilio_keeps_silent_about(
    twilio: SimulatedTwilio, customer: Customer
) -> None:
    """The call stays up and asks nobody, until REST says what comes next."""
    customer.serving = break_off
    customer.pages["/voice"] = connect() + "<Say>next</Say>"
    twilio.faults = Faults(after_loss="silent")
    call = await twilio.dial(CALLER)
    await call.wait_until(lambda c: any(e.what == "silent" for e in c.log), TIMEOUT)
    assert (call.status, call.ear.spoken) == ("in-progress", [])
    call.update(Inline("<Response><Say>redirected</Say></Response>"))
    assert await call.ended(TIMEOUT) == "end_of_twiml"
    assert [s.content for s in call.ear.spoken] == ["redirected"]
    assert customer.forms("/stream")[-1]["StreamError"].startswith("31903")


async def test_a_caller_may_hang_up_while_twilio_is_silent(
    twilio: SimulatedTwilio, customer: Customer
) -> None:
    customer.serving = break_off
    customer.pages["/voice"] = connect()
    twilio.faults = Faults(after_loss="silent")
    call = await twilio.dial(CALLER)
    await call.wait_until(lambda c: any(e.what == "silent" for e in c.log), TIMEOUT)
    await call.hang_up()
    assert await call.ended(TIMEOUT) == "caller_hung_up"


@pytest.mark.parametrize("rejected", [True, False])
async def test_stream_that_cannot_be_opened(
    twilio: SimulatedTwilio, customer: Customer, rejected: bool
) -> None:
    customer.reject_upgrade = rejected
    if not rejected:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            dead = unused.getsockname()[1]
        customer.pages["/voice"] = connect().replace(
            "wss://voice.example.com/media", f"ws://127.0.0.1:{dead}/media"
        )
    twilio.faults.after_refusal = "hang_up"
    call = await twilio.dial(CALLER)
    assert await call.ended(TIMEOUT) == "stream_refused"
    [form] = customer.forms("/stream")
    assert form["StreamEvent"] == "stream-error"
    assert form["StreamError"].startswith("31920" if rejected else "31902")


async def test_resume_on_a_new_stream(twilio: SimulatedTwilio, customer: Customer) -> None:
    customer.pages["/after"] = connect()
    call = await twilio.dial(CALLER)
    await call.wait_until(lambda c: c.stream and c.stream.frames_sent > 2, TIMEOUT)
    first = call.streams[0]
    first.vanish()
    await call.wait_until(lambda c: len(c.streams) == 2 and c.streams[1].frames_sent > 2, TIMEOUT)
    assert first.stream_sid != call.streams[1].stream_sid
    starts = customer.of("start")
    assert [m["sequenceNumber"] for m in starts] == ["1", "1"]
    assert len({m["start"]["callSid"] for m in starts}) == 1
    assert int(customer.of("media")[-1]["media"]["timestamp"]) < call.now_ms()


async def test_frozen_doubled_and_raw_frames(twilio: SimulatedTwilio, customer: Customer) -> None:
    call = await twilio.dial(CALLER)
    await call.wait_until(lambda c: c.stream and c.stream.frames_sent > 2, TIMEOUT)
    stream = call.stream
    assert stream is not None
    stream.freeze()
    frames, chunk = stream.frames_sent, len(customer.of("media"))
    await asyncio.sleep(0.1)
    assert stream.frames_sent == frames
    call.faults.double_frames = True
    stream.thaw()
    stream.send_raw(json.dumps({"event": "news", "payload": "x" * 100_000}))
    await call.wait_until(lambda c: len(customer.of("media")) > chunk + 4, TIMEOUT)
    await call.wait_until(lambda c: customer.of("news"), TIMEOUT)
    await call.hang_up(abrupt=True)
    await call.ended(TIMEOUT)
    assert customer.of("stop") == []
    numbers = [m["sequenceNumber"] for m in customer.of("media")]
    assert numbers[-1] == numbers[-2]
    assert len(set(numbers)) < len(numbers)


async def test_callbacks_doubled_late_and_reversed(
    twilio: SimulatedTwilio, customer: Customer
) -> None:
    twilio.faults = Faults(
        callback_copies=2,
        callback_delay_ms=20,
        callbacks_reversed=True,
        voice_webhook_copies=2,
        action_after_hang_up=True,
    )
    call = await twilio.dial(CALLER)
    await call.wait_until(lambda c: c.stream and c.stream.started, TIMEOUT)
    await call.hang_up()
    await call.ended(TIMEOUT)
    assert len({token for path, _, token in customer.requests if path == "/voice"}) == 1
    assert len(customer.forms("/voice")) == 2
    order = [
        form.get("StreamEvent") or form["CallStatus"]
        for path, form, _ in customer.requests
        if path in ("/stream", "/status", "/after")
    ]
    assert order == [
        *["completed"] * 4,
        *["stream-stopped"] * 2,
        *["stream-started"] * 2,
    ]


async def test_slow_or_wrong_webhook_ends_in_an_application_error(
    twilio: SimulatedTwilio, customer: Customer
) -> None:
    customer.slow_s = 1.0
    call = await twilio.dial(CALLER)
    assert await call.ended(TIMEOUT) == "application_error"
    assert [e.detail for e in call.log if e.what == "error"] == ["11200: no answer in time"]
    customer.slow_s = 0.0
    customer.pages["/voice"] = "<Gather/>"
    call = await twilio.dial(CALLER)
    assert await call.ended(TIMEOUT) == "application_error"
    twilio.account.voice_fallback_url = f"{PUBLIC}/fallback"
    customer.pages["/fallback"] = '<Reject reason="busy"/>'
    call = await twilio.dial(CALLER)
    assert await call.ended(TIMEOUT) == "rejected_busy"
    assert call.statuses == ["ringing", "busy"]
    assert customer.forms("/fallback")[0]["ErrorCode"] == "12200"
    twilio.account.auth_token = "f" * 32
    call = await twilio.dial(CALLER)
    assert await call.ended(TIMEOUT) == "application_error"
    assert "11200: status 403" in [e.detail for e in call.log]


async def test_dial_reports_to_its_action(twilio: SimulatedTwilio, customer: Customer) -> None:
    customer.pages["/voice"] = '<Dial action="/dialled">+15550100009</Dial><Say>never</Say>'
    customer.pages["/dialled"] = "<Hangup/>"
    twilio.dialled = Callee("no-answer")
    call = await twilio.dial(CALLER)
    assert await call.ended(TIMEOUT) == "hangup_verb"
    assert customer.forms("/dialled")[0]["DialCallStatus"] == "no-answer"


# twilio 9.13 still signs in with aiohttp's deprecated BasicAuth and `auth` argument
sdk = pytest.mark.filterwarnings(
    "ignore:BasicAuth is deprecated:DeprecationWarning",
    "ignore:The 'auth' parameter is deprecated:DeprecationWarning",
)


class LocalHttp(AsyncTwilioHttpClient):
    """Sends the SDK's requests to the simulation."""

    base = ""

    async def request(self, method, uri, *args, **kwargs):
        return await super().request(
            method, uri.replace("https://api.twilio.com", self.base), *args, **kwargs
        )


@pytest.fixture
async def client(twilio: SimulatedTwilio) -> AsyncIterator[Client]:
    async with serve_rest(twilio) as base:
        http = LocalHttp()
        http.base = base
        yield Client(twilio.account.sid, TOKEN, http_client=http)
        await http.close()


@sdk
async def test_rest_changes_a_live_call(
    twilio: SimulatedTwilio, customer: Customer, client: Client
) -> None:
    call = await twilio.dial(CALLER)
    await call.wait_until(lambda c: c.stream and c.stream.started, TIMEOUT)
    fetched = await client.calls(call.sid).fetch_async()
    assert (fetched.status, fetched.direction) == ("in-progress", "inbound")
    await client.calls(call.sid).update_async(
        twiml="<Response><Say>moved</Say><Pause length='60'/></Response>"
    )
    await call.wait_until(lambda c: c.ear.spoken, TIMEOUT)
    await call.wait_until(lambda c: customer.of("stop"), TIMEOUT)
    assert customer.forms("/after") == []
    await client.calls(call.sid).update_async(url=f"{PUBLIC}/voice", method="POST")
    await call.wait_until(lambda c: len(c.streams) == 2 and c.streams[1].started, TIMEOUT)
    await client.calls(call.sid).update_async(status="completed")
    assert await call.ended(TIMEOUT) == "rest_completed"
    assert len(customer.of("stop")) == 2
    with pytest.raises(TwilioRestException) as refused:
        await client.calls(call.sid).update_async(status="completed")
    assert (refused.value.code, refused.value.status) == (21220, 400)
    fetched = await client.calls(call.sid).fetch_async()
    assert fetched.status == "completed"
    assert fetched.end_time is not None


@sdk
async def test_rest_calls_out(twilio: SimulatedTwilio, customer: Customer, client: Client) -> None:
    created = await client.calls.create_async(
        to=CALLER,
        from_=NUMBER,
        url=f"{PUBLIC}/voice",
        status_callback=f"{PUBLIC}/status",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
    )
    assert created.status == "queued"
    call = await twilio.placed_call(TIMEOUT)
    assert call.sid == created.sid
    await call.wait_until(lambda c: c.stream and c.stream.started, TIMEOUT)
    await call.hang_up()
    await call.ended(TIMEOUT)
    statuses = [(f["CallStatus"], f["SequenceNumber"]) for f in customer.forms("/status")]
    assert statuses == [
        ("initiated", "0"),
        ("ringing", "1"),
        ("in-progress", "2"),
        ("completed", "3"),
    ]
    assert customer.forms("/voice")[0]["Direction"] == "outbound-api"

    twilio.callee = Callee("busy")
    await client.calls.create_async(to=CALLER, from_=NUMBER, twiml="<Response><Hangup/></Response>")
    call = await twilio.placed_call(TIMEOUT)
    assert await call.ended(TIMEOUT) == "busy"
    assert [c.sid for c in await client.calls.list_async(status="busy")] == [call.sid]
    assert len(await client.calls.list_async(page_size=1)) == 2


@sdk
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"url": "ftp://x"}, 21205),
        ({"twiml": "<Response>"}, 12100),
        ({"url": PUBLIC, "machine_detection": "Enable"}, 20001),
        ({}, 21205),
        ({"url": PUBLIC, "to": ""}, 21201),
    ],
)
async def test_rest_refuses_bad_calls(client: Client, change: dict[str, str], code: int) -> None:
    with pytest.raises(TwilioRestException) as refused:
        await client.calls.create_async(**({"to": CALLER, "from_": NUMBER} | change))
    assert refused.value.code == code


@sdk
async def test_rest_late_and_refusing(twilio: SimulatedTwilio, client: Client) -> None:
    wanted = {"to": CALLER, "from_": NUMBER, "twiml": "<Response><Pause length='60'/></Response>"}
    twilio.rest_faults.refuse_status = 429
    with pytest.raises(TwilioRestException) as refused:
        await client.calls.create_async(**wanted)
    assert refused.value.code == 20429
    assert twilio.calls == {}
    twilio.rest_faults.refuse_status = None
    twilio.rest_faults.delay_ms = 60_000
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.calls.create_async(**wanted)
    call = await twilio.placed_call(TIMEOUT)
    await call.wait_until(lambda c: c.status == "in-progress", TIMEOUT)


@sdk
async def test_rest_checks_who_asks(twilio: SimulatedTwilio, client: Client) -> None:
    twilio.account.auth_token = "f" * 32
    with pytest.raises(TwilioRestException) as refused:
        await client.calls("CA" + "0" * 32).fetch_async()
    assert refused.value.status == 401


async def test_pump_ends_with_its_last_line_and_reports_its_failure() -> None:
    class Line:
        def __init__(self) -> None:
            self.ticked = asyncio.Event()
            self.broken = False

        def tick(self) -> None:
            self.ticked.set()
            if self.broken:
                raise ValueError("broken line")

    def running() -> bool:
        return any(task.get_name() == "twilio-pump" for task in asyncio.all_tasks())

    pump, lines = Pump(), [Line(), Line()]
    for line in lines:
        pump.add(line)
    async with asyncio.timeout(TIMEOUT):
        for _ in range(3):
            for line in lines:
                line.ticked.clear()
                await line.ticked.wait()
        await pump.remove(lines[0])
        assert running()
        await pump.remove(lines[1])
    assert not running()
    lines[0].broken = True
    pump.add(lines[0])
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="broken line"):
        await pump.remove(lines[0])


@pytest.mark.parametrize("timing", [replace(TIMING, webhook_total_ms=20_000)])
async def test_hang_up_at_any_moment_leaves_nothing(
    twilio: SimulatedTwilio, customer: Customer
) -> None:
    """Sixty requests at once may take a busy machine longer than the other tests' limit."""
    twilio.faults.start_delay_ms = 5
    calls = [await twilio.dial(f"+1555010{i:04}") for i in range(30)]
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        for i, call in enumerate(calls):
            await asyncio.sleep(0.003)
            group.create_task(call.hang_up(abrupt=i % 5 == 0))
            group.create_task(calls[-1 - i // 2].hang_up())
    reasons = {await call.ended(TIMEOUT) for call in calls}
    assert reasons == {"caller_hung_up"}
    assert all(call.stream is None and call.over for call in calls)
    finals = [f["CallSid"] for f in customer.forms("/status")]
    assert sorted(finals) == sorted(call.sid for call in calls)
    names = {task.get_name() for task in asyncio.all_tasks(loop)}
    assert not {name for name in names if name.startswith(("call-", "twilio-pump"))}


async def test_nothing_is_heard_or_echoed_after_the_hang_up(
    twilio: SimulatedTwilio, customer: Customer
) -> None:
    async def talk(customer: Customer, ws: ServerConnection, sid: str) -> None:
        await send_audio(ws, sid, 60_000)
        await send(ws, sid, "mark", name="late")
        async for message in ws:
            customer.messages.append(json.loads(message))
            if customer.messages[-1]["event"] == "stop":
                await send(ws, sid, "clear")

    customer.serving = talk
    call = await twilio.dial(CALLER)
    await call.wait_until(lambda c: c.ear.heard_ms() > 40, TIMEOUT)
    await call.hang_up()
    await call.ended(TIMEOUT)
    assert customer.of("mark") == []
    assert call.ended_ms is not None
    assert call.ear.last_heard_ms <= call.ended_ms
    assert call.streams[0].playout.buffered_ms == 0


async def test_leaving_drops_calls_and_speech(customer: Customer, twilio: SimulatedTwilio) -> None:
    call = await twilio.dial(CALLER)
    await call.wait_until(lambda c: c.stream and c.stream.started, TIMEOUT)
    speech = call.say(b"\x15" * 80_000)
    before = len(asyncio.all_tasks())
    await twilio.close()
    assert await speech is False
    assert call.over
    assert len(asyncio.all_tasks()) < before
    with pytest.raises(TimeoutError, match="nothing within"):
        await call.wait_until(lambda c: False, 0.01)
