"""What the desk reads of the sound of a call: both tracks, aligned, as RECORDINGS keeps them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from desk_calls import call_id
from nats.js.errors import APIError

from dashboard.sound import recording
from dashboard.sound.recording import Recording, recorded
from protocol import subjects
from protocol.audio import SILENCE
from protocol.ids import CallId
from protocol.line import LINE_MS_HEADER, Track
from protocol.streams import DAY_S, RECORDINGS
from runtime import bus as nats
from runtime import tracks
from runtime.bus import Bus
from runtime.errors import NatsAway
from runtime.provision import provision, provision_recordings
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from runtime.subscribed import Message
from testbed.nats_server import NatsServer

CALL, OTHER = call_id(1), call_id(2)
SMALL = 8 * 1024**2


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Bus]:
    """A bus on a NATS of this test alone, with the log and nothing else."""
    server = await NatsServer.start(tmp_path / "nats", 0)
    async with nats.connect(CommonSettings(nats_url=server.url), "desk", Shutdown()) as bus:
        await provision(bus, wait_s=20, shutdown=Shutdown())
        yield bus
    await server.stop()


@pytest.fixture
async def bus(bare: Bus) -> Bus:
    assert await provision_recordings(bare, days=2, max_bytes=SMALL)
    return bare


async def kept(bus: Bus, call: CallId, track: Track, line_ms: int, audio: bytes) -> None:
    await tracks.keep(bus, call, track, line_ms, audio)


async def test_the_tracks_are_aligned_and_what_is_missing_is_silence(bus: Bus) -> None:
    await kept(bus, CALL, "caller", 1000, b"a" * 1600)
    await kept(bus, CALL, "assistant", 1000, b"A" * 1600)
    await kept(bus, CALL, "caller", 1200, b"b" * 80)  # the last before a gap is shorter
    await kept(bus, OTHER, "caller", 1000, b"x" * 1600)
    await kept(bus, CALL, "assistant", 1600, b"B" * 1600)
    await kept(bus, CALL, "caller", 1600, b"c" * 1600)
    assert await recorded(bus, CALL) == Recording(
        1000,
        b"a" * 1600 + b"b" * 80 + SILENCE * (390 * 8) + b"c" * 1600,
        b"A" * 1600 + SILENCE * (400 * 8) + b"B" * 1600,
    )


async def test_a_track_that_begins_later_begins_with_silence(bus: Bus) -> None:
    await kept(bus, CALL, "assistant", 400, b"A" * 1600)
    await kept(bus, CALL, "caller", 200, b"a" * 1600)
    found = await recorded(bus, CALL)
    assert found == Recording(200, b"a" * 1600 + SILENCE * 1600, SILENCE * 1600 + b"A" * 1600)


async def test_a_block_that_is_told_twice_is_kept_once(bus: Bus) -> None:
    for _ in range(2):
        await kept(bus, CALL, "caller", 0, b"a" * 1600)
    assert (await bus.jetstream.stream_info(RECORDINGS.name)).state.messages == 1


async def test_a_call_without_a_recording_has_none(bus: Bus, bare: Bus) -> None:
    assert await recorded(bus, CALL) is None
    await bare.jetstream.delete_stream(RECORDINGS.name)
    assert await recorded(bus, CALL) is None


async def test_foreign_messages_and_endless_recordings_do_no_harm(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "LONGEST_MS", 1000)
    await kept(bus, CALL, "caller", 500, b"a" * 1600)
    subject = subjects.recording(CALL, "caller")
    for headers in (None, {LINE_MS_HEADER: "soon"}, {LINE_MS_HEADER: "9" * 40}):
        await bus.jetstream.publish(subject, b"y" * 160, headers=headers)
    await bus.jetstream.publish(subjects.recording(CALL, "both"), b"z", headers={})
    await kept(bus, CALL, "caller", 1400, b"b" * 1600)
    await kept(bus, CALL, "caller", 10**11, b"c" * 1600)
    found = await recorded(bus, CALL)
    assert found is not None
    assert found.caller == b"a" * 1600 + SILENCE * (700 * 8) + b"b" * 800
    assert found.assistant == SILENCE * 8000


async def test_listeners_hear_what_is_kept_with_its_place(bus: Bus) -> None:
    heard: list[tuple[str, int | None, bytes]] = []

    async def listen(message: Message) -> None:
        heard.append((message.subject, tracks.line_ms_of(message.headers), message.data))

    await bus.subscribe(subjects.call_ear(CALL), listen)
    await bus.settle()
    await kept(bus, CALL, "caller", 200, b"a" * 1600)
    await tracks.show(bus, CALL, "assistant", 400, b"b" * 80)
    await bus.settle()
    assert sorted(heard) == [
        (subjects.ear(CALL, "assistant"), 400, b"b" * 80),
        (subjects.ear(CALL, "caller"), 200, b"a" * 1600),
    ]


async def test_age_and_size_are_the_operators_and_the_oldest_goes(bus: Bus) -> None:
    assert await provision_recordings(bus, days=3, max_bytes=64 * 1024)
    info = await bus.jetstream.stream_info(RECORDINGS.name)
    assert (info.config.max_age, info.config.max_bytes) == (3 * DAY_S, 64 * 1024)
    for n in range(60):
        await kept(bus, CALL, "caller", n * 200, bytes([n]) * 1600)
    found = await recorded(bus, CALL)
    assert found is not None
    assert found.start_ms > 0
    assert found.caller.endswith(bytes([59]) * 1600)


async def test_no_room_for_recordings_leaves_the_log_alone(bare: Bus) -> None:
    assert not await provision_recordings(bare, days=1, max_bytes=2**62)
    await provision(bare, wait_s=20, shutdown=Shutdown())
    await bare.jetstream.publish(subjects.log(CALL, "ringing"), b"kept")
    with pytest.raises(NatsAway):
        await kept(bare, CALL, "caller", 0, b"a" * 1600)
    with pytest.raises(APIError):
        await bare.jetstream.stream_info(RECORDINGS.name)
