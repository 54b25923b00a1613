"""Sound at the desk: listening and speaking over websockets, with an ingress and a worker that
speak the contract; recordings read from a real stream.
"""

import asyncio
import contextlib
import io
import secrets
import socket as sockets
import struct
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncpg
import pytest
from desk_login import desk_database
from desk_steer import SteeredCall, World, told, until, world
from prometheus_client import REGISTRY
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dashboard.sound.listening import block
from protocol import events as e
from protocol import subjects
from protocol.audio import BYTES_PER_MS, SILENCE
from protocol.commands import Done, GiveBack, Refused, TakeOver
from protocol.line import EAR_MS, Listening, ListenReply, NotNow
from protocol.streams import CALLS
from runtime import scan
from runtime.calllog import CallLog
from runtime.provision import provision_recordings
from runtime.subscribed import Message
from runtime.tracks import keep
from testbed.infra import GivenPostgres
from testbed.nats_server import NatsServer
from testbed.postgres import Postgres

PATIENCE_S = 20.0
BLOCK = b"\x10" * (EAR_MS * BYTES_PER_MS)
FRAME = b"\x20" * 160


@pytest.fixture(scope="session")
async def dsn(postgres_server: Postgres | GivenPostgres) -> str:
    return await desk_database(await postgres_server.create_database(f"ear_{secrets.token_hex(6)}"))


@pytest.fixture
async def desk(nats_server: NatsServer, dsn: str) -> AsyncIterator[World]:
    async with world(nats_server.url, dsn) as one:
        yield one


async def ended(socket: ClientConnection) -> int | None:
    """The close code, once all that came before was read."""
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.recv()
        return socket.close_code


async def heard_by(socket: ClientConnection, call: SteeredCall, line_ms: int) -> bytes:
    """The first block that comes; the caller's block is sent again until one does: the desk's
    interest may still be on its way.
    """
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await call.sound("caller", line_ms, BLOCK)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    got = await socket.recv()
                    assert isinstance(got, bytes)
                    return got


async def test_a_listener_hears_both_tracks_and_the_log_says_so_once(desk: World) -> None:
    call = await desk.call()
    async with call.heard(lambda: Listening(4000)), desk.socket(call, "listen") as socket:
        assert (await told(socket))["state"] == "listening"
        assert await call.acts() == [("mira", "listen", "")]
        first = await heard_by(socket, call, 4000)
        assert first == struct.pack(">BQ", 0, 4000) + BLOCK
        await call.sound("assistant", 4200, BLOCK[:80])
        async with asyncio.timeout(PATIENCE_S):
            while (got := await socket.recv()) == first:
                pass
        assert got == block(1, 4200, BLOCK[:80])
        await call.end()
        assert (await told(socket))["state"] == "ended"
        assert await ended(socket) == 1000
    assert set(call.asked_by) == {"mira"}
    assert [act for _, act, _ in await call.acts()] == ["listen"]


async def test_listening_is_asked_for_again_while_it_lasts(
    desk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.sound.listening.LISTEN_S", 0.3)
    call = await desk.call()
    async with call.heard(), desk.socket(call, "listen") as socket:
        await told(socket)
        await until(lambda: len(call.asked_by) >= 4)
    count = len(call.asked_by)
    await asyncio.sleep(0.5)
    assert len(call.asked_by) <= count + 1, "nobody asks for a listener who has gone"


async def test_at_the_gate_nobody_hears_and_listening_begins_by_itself(
    desk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.sound.listening.RETRY_S", 0.1)
    call = await desk.call("gate")
    replies: list[ListenReply] = [NotNow()]
    async with call.heard(lambda: replies[-1]), desk.socket(call, "listen") as socket:
        first = await told(socket)
        assert first["state"] == "gate"
        assert "nobody may listen" in first["words"]
        await call.sound("caller", 100, BLOCK)
        assert await call.acts() == [], "nobody has listened yet"
        replies.append(Listening(0))
        assert (await told(socket))["state"] == "listening"
        assert [act for _, act, _ in await call.acts()] == ["listen"]
        assert (await heard_by(socket, call, 900))[1:9] == struct.pack(">Q", 900), "not the first"


async def test_a_line_that_does_not_answer_is_said_and_asked_again(
    desk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.sound.listening.RETRY_S", 0.1)
    call = await desk.call()
    async with desk.socket(call, "listen") as socket:
        assert (await told(socket))["state"] == "nobody"
        async with call.heard():
            assert (await told(socket))["state"] == "listening"


async def test_who_may_not_listen_gets_no_socket(desk: World) -> None:
    call = await desk.call()
    for what in ("listen", "voice"):
        with pytest.raises(InvalidStatus):
            async with desk.socket(call, what, origin="https://elsewhere.example"):
                pass
        async with desk.browser("vera", "viewer") as vera:
            watching = World(desk.url, desk.dsn, desk.bus, vera)
            with pytest.raises(InvalidStatus):
                async with watching.socket(call, what):
                    pass
    assert await call.acts() == []


async def test_a_call_that_is_over_or_unknown_is_said_in_words(desk: World) -> None:
    call = await desk.call()
    await call.end()
    await desk.shown(call, "ended")
    async with desk.socket(call, "listen") as socket:
        assert await told(socket) == {"state": "ended", "words": "The call is over."}
        assert await ended(socket) == 1000
    async with desk.socket(SteeredCall(desk.bus), "voice") as socket:
        assert (await told(socket))["state"] == "refused"


async def test_the_end_of_a_session_ends_listening_and_speaking(desk: World) -> None:
    call = await desk.call()
    async with (
        call.heard(),
        call.obey(),
        desk.socket(call, "listen") as ear,
        desk.socket(call, "voice") as voice,
    ):
        assert (await told(ear))["state"] == "listening"
        assert (await told(voice))["state"] == "speaking"
        await desk.http.post("/logout")
        assert await ended(ear) == 1000
        assert await ended(voice) == 1000
        await until(lambda: GiveBack("mira") in call.obeyed)


async def test_a_browser_that_reads_too_slowly_is_cut_off(desk: World) -> None:
    call = await desk.call()

    def cut_off() -> float:
        name = "trunkline_dashboard_listeners_cut_off_total"
        return REGISTRY.get_sample_value(name) or 0.0

    before = cut_off()
    async with call.heard():
        host, _, port = desk.url.removeprefix("http://").partition(":")
        small = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM)
        small.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        small.setblocking(False)
        await asyncio.get_running_loop().sock_connect(small, (host, int(port)))
        # It reads one message, and then nothing any more.
        async with desk.socket(call, "listen", sock=small, max_queue=1, compression=None) as socket:
            assert (await told(socket))["state"] == "listening"
            await heard_by(socket, call, 0)
            async with asyncio.timeout(PATIENCE_S):
                at = 0
                while cut_off() == before:
                    for _ in range(50):
                        at += 200
                        await call.sound("caller", at, BLOCK * 20)
                    await asyncio.sleep(0.01)
            socket.transport.abort()


@dataclass
class Heard:
    """What a worker hears of an operator."""

    frames: list[bytes] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def of(self, call: SteeredCall) -> AsyncIterator[None]:
        async def came(message: Message) -> None:
            self.frames.append(message.data)

        subscribed = await call.bus.subscribe(subjects.operator_audio(call.id), came)
        await call.bus.settle()
        try:
            yield
        finally:
            await subscribed.stop()


async def test_an_operators_voice_goes_to_the_worker_until_it_is_given_back(desk: World) -> None:
    call, heard = await desk.call(), Heard()
    async with call.obey(), heard.of(call), desk.socket(call, "voice") as socket:
        assert (await told(socket))["state"] == "speaking"
        assert await call.acts() == [("mira", "take_over", "")]
        for _ in range(3):
            await socket.send(FRAME)
        await until(lambda: len(heard.frames) == 3)
        await socket.send("give_back")
        assert (await told(socket))["state"] == "given_back"
        assert await ended(socket) == 1000
        await until(lambda: len(call.obeyed) == 2)
    assert heard.frames == [FRAME] * 3
    assert call.obeyed == [TakeOver("mira"), GiveBack("mira")]
    assert [act for _, act, _ in await call.acts()] == ["take_over", "give_back"]


async def test_a_page_that_goes_gives_the_call_back(desk: World) -> None:
    call = await desk.call()
    async with call.obey():
        async with desk.socket(call, "voice") as socket:
            assert (await told(socket))["state"] == "speaking"
            socket.transport.abort()
        await until(lambda: call.obeyed == [TakeOver("mira"), GiveBack("mira")])


async def test_what_the_worker_ended_is_said_and_not_given_back_again(desk: World) -> None:
    call = await desk.call()
    async with call.obey(), desk.socket(call, "voice") as socket:
        assert (await told(socket))["state"] == "speaking"
        await call.write(e.TakenOver, operator="mira", line_ms=1000)
        await call.write(e.GivenBack, operator="noor", line_ms=1500)
        await call.write(e.GivenBack, operator="mira", line_ms=5000, reason="silent")
        last = await told(socket)
        assert last["state"] == "given_back"
        assert "Nothing was heard of you" in last["words"]
        assert await ended(socket) == 1000
    await desk.http.get("/board.json")
    assert call.obeyed == [TakeOver("mira")]


async def test_a_call_that_another_speaks_in_is_not_ours_any_more(
    desk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.sound.voice.WATCH_S", 0.05)
    call = await desk.call()
    async with call.obey(), desk.socket(call, "voice") as socket:
        assert (await told(socket))["state"] == "speaking"
        await call.write(e.TakenOver, operator="mira", line_ms=1000)
        await desk.shown(call, "active", speaker="mira")
        await asyncio.sleep(0.2)  # a look at the board falls into it
        await call.write(e.TakenOver, operator="noor", line_ms=2000)
        assert (await told(socket))["state"] == "given_back"


async def test_a_refused_takeover_is_said_and_nothing_is_sent(desk: World) -> None:
    call, heard = await desk.call(), Heard()
    taken = Refused("taken", "noor speaks to the caller")
    async with call.obey(lambda _: taken), heard.of(call), desk.socket(call, "voice") as socket:
        await socket.send(FRAME)
        assert await told(socket) == {"state": "refused", "words": "Noor speaks to the caller."}
        assert await ended(socket) == 1000
    await call.write(e.TakenOver, operator="noor", line_ms=1000)
    await desk.shown(call, "active", speaker="noor")
    async with call.obey(lambda _: Done()), desk.socket(call, "voice") as socket:
        assert (await told(socket))["words"] == "noor is speaking to the caller."
    assert call.obeyed == [TakeOver("mira")], "the desk itself knew the second time"
    assert heard.frames == []


@pytest.mark.parametrize("strange", [b"\x00" * 161, b"", "hello"])
async def test_what_is_no_frame_ends_speaking(desk: World, strange: bytes | str) -> None:
    call = await desk.call()
    async with call.obey(), desk.socket(call, "voice") as socket:
        await told(socket)
        await socket.send(strange)
        assert (await told(socket))["state"] == "refused"
        assert await ended(socket) == 1000
        await until(lambda: GiveBack("mira") in call.obeyed)


async def test_a_flood_of_frames_goes_on_at_the_pace_of_the_line(desk: World) -> None:
    call, heard = await desk.call(), Heard()
    async with call.obey(), heard.of(call), desk.socket(call, "voice") as socket:
        await told(socket)
        began = asyncio.get_running_loop().time()
        for _ in range(2000):
            await socket.send(FRAME)
        await socket.send("give_back")
        await ended(socket)
        took = asyncio.get_running_loop().time() - began
        await desk.bus.settle()
    assert 25 <= len(heard.frames) <= 30 + took * 50
    assert len(heard.frames) < 2000


# -- recordings


async def recorded_call(desk: World) -> SteeredCall:
    """A call that is over; of it 400 ms from 1000 on were kept."""
    assert await provision_recordings(desk.bus, days=1, max_bytes=32 * 1024 * 1024)
    call = await desk.call()
    await call.write(e.RecordingStarted, line_ms=1000)
    for at in (1000, 1200):
        await keep(desk.bus, call.id, "caller", at, BLOCK)
    await keep(desk.bus, call.id, "assistant", 1200, SILENCE * len(BLOCK))
    await call.end()
    await desk.shown(call, "ended")
    return call


async def test_a_recording_is_exported_as_wav_and_that_is_written_down(desk: World) -> None:
    call = await recorded_call(desk)
    page = (await desk.http.get(f"/calls/{call.id}")).text
    assert f'href="/calls/{call.id}/export.wav"' in page
    assert f'data-src="/calls/{call.id}/sound.wav"' in page
    answer = await desk.http.get(f"/calls/{call.id}/export.wav")
    assert answer.headers["content-type"] == "audio/wav"
    assert f'filename="{call.id}.wav"' in answer.headers["content-disposition"]
    with wave.open(io.BytesIO(answer.content), "rb") as read:
        assert (read.getnchannels(), read.getframerate(), read.getnframes()) == (2, 8000, 3200)
        frames = read.readframes(3200)
    assert set(frames[0::4]) != {0}, "the caller is left"
    assert set(frames[2::4]) | set(frames[3::4]) == {0}
    await desk.http.get(f"/calls/{call.id}/export.wav")
    assert [act for _, act, _ in await call.acts()] == ["export_recording"] * 2


async def test_the_player_gets_ranges_and_its_listening_is_written_once(desk: World) -> None:
    call = await recorded_call(desk)
    whole = (await desk.http.get(f"/calls/{call.id}/sound.wav")).content
    part = await desk.http.get(f"/calls/{call.id}/sound.wav", headers={"range": "bytes=50-149"})
    assert (part.status_code, part.content) == (206, whole[50:150])
    assert part.headers["content-range"] == f"bytes 50-149/{len(whole)}"
    outside = await desk.http.get(
        f"/calls/{call.id}/sound.wav", headers={"range": f"bytes={len(whole)}-"}
    )
    assert outside.status_code == 416
    assert await call.acts() == [("mira", "listen", "recording")]


async def test_the_waveform_is_drawn_for_a_scores_width(desk: World) -> None:
    call = await recorded_call(desk)
    answer = await desk.http.get(f"/calls/{call.id}/wave?width=600")
    assert 'data-start="1000" data-end="1400"' in answer.text
    assert 'class="wave-caller" d="M' in answer.text
    assert 'class="wave-assistant" d=""' in answer.text
    async with desk.browser("vera", "viewer") as vera:
        assert (await vera.get(f"/calls/{call.id}/wave?width=600")).status_code == 200
        page = (await vera.get(f"/calls/{call.id}")).text
        assert "The sound is for operators." in page
        assert "sound.wav" not in page
        for name in ("sound.wav", "export.wav"):
            assert (await vera.get(f"/calls/{call.id}/{name}")).status_code == 403
    assert await call.acts() == []


async def test_nothing_kept_is_said(desk: World) -> None:
    call = await desk.call()
    assert (await desk.http.get(f"/calls/{call.id}/wave")).status_code == 404
    await call.write(e.RecordingStarted, line_ms=0)
    await call.end()
    await desk.shown(call, "ended")
    for name in ("wave", "sound.wav", "export.wav"):
        answer = await desk.http.get(f"/calls/{call.id}/{name}")
        assert answer.status_code == 404
        assert "No sound was kept" in answer.text
    assert await call.acts() == [], "nothing was heard"


async def test_a_call_that_only_the_history_knows_is_replayed_all_the_same(
    desk: World, nats_server: NatsServer
) -> None:
    call = await recorded_call(desk)
    await call.write(e.TakenOver, operator="mira", line_ms=1100)
    count = len(await CallLog(desk.bus).read(call.id))
    connection = await asyncpg.connect(desk.dsn)
    try:
        async with asyncio.timeout(PATIENCE_S):
            statement = "SELECT count(*) FROM call_events WHERE call_id = $1"
            while await connection.fetchval(statement, call.id) < count:
                await asyncio.sleep(0.05)
    finally:
        await connection.close()
    await scan.purge(desk.bus, CALLS.name, subjects.call_log(call.id))
    async with world(nats_server.url, desk.dsn) as later:  # its board has never seen the call
        page = (await later.http.get(f"/calls/{call.id}")).text
        assert 'class="player"' in page
        assert "mira took the call over" in page
        assert "data-start" in (await later.http.get(f"/calls/{call.id}/wave")).text
        whole = await later.http.get(f"/calls/{call.id}/export.wav")
        assert whole.content.startswith(b"RIFF")
        refused = await later.http.post(f"/calls/{call.id}/act", data={"act": "hang_up"})
        assert "The call is over." in refused.text
        async with later.socket(call, "listen") as socket:
            assert (await told(socket))["state"] == "ended"
        async with asyncio.timeout(PATIENCE_S):  # the act is added to what the history keeps
            while "mira: export_recording" not in page:
                await asyncio.sleep(0.05)
                page = (await later.http.get(f"/calls/{call.id}")).text
