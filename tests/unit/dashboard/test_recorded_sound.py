"""What was recorded: as WAV, in ranges, and as the waveform behind a score."""

import io
import re
import wave
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.score.layout import page
from dashboard.sound import wav
from dashboard.sound.kept import KEPT_S, KeptRecordings
from dashboard.sound.recording import Recording
from dashboard.sound.wav import Slice, chunks, linear, size_of, sliced
from dashboard.sound.waveform import STEP_MS, paths, waveform_of
from protocol.audio import SILENCE
from protocol.ids import CallId

LOUD = b"\x00\x80"
"""The two ends of mu-law."""


def whole(caller: bytes, assistant: bytes) -> bytes:
    return b"".join(chunks(caller, assistant, Slice(0, size_of(caller, assistant))))


def test_mu_law_is_read_as_g711_says() -> None:
    assert [linear(byte) for byte in (0x00, 0x80, 0x7F, 0xFF, 0xF0)] == [-32124, 32124, 0, 0, 120]
    assert len({linear(byte) for byte in range(256)}) == 255, "all differ but the two zeros"


def test_a_wav_holds_the_caller_left_and_the_assistant_right() -> None:
    with wave.open(io.BytesIO(whole(LOUD * 2, b"\xf0")), "rb") as read:
        assert read.getparams()[:4] == (2, 2, 8000, 4)
        frames = read.readframes(9)
    samples = [int.from_bytes(frames[i : i + 2], "little", signed=True) for i in range(0, 16, 2)]
    assert samples[0::2] == [-32124, 32124, -32124, 32124]
    assert samples[1::2] == [120, 0, 0, 0], "the shorter side is filled with silence"


@given(st.binary(max_size=90), st.binary(max_size=90), st.data())
def test_any_range_is_that_part_of_the_whole(
    caller: bytes, assistant: bytes, data: st.DataObject
) -> None:
    size = size_of(caller, assistant)
    begin = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(begin + 1, size))
    part = b"".join(chunks(caller, assistant, Slice(begin, end)))
    assert part == whole(caller, assistant)[begin:end]


def test_long_recordings_come_in_pieces() -> None:
    caller = bytes(range(256)) * 300
    pieces = list(chunks(caller, b"", Slice(0, size_of(caller, b""))))
    assert len(pieces) > 3
    assert sum(map(len, pieces)) == size_of(caller, b"")


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("", Slice(0, 100)),
        ("bytes=0-", Slice(0, 100)),
        ("bytes=10-19", Slice(10, 20)),
        ("bytes=90-500", Slice(90, 100)),
        ("bytes=-30", Slice(70, 100)),
        ("bytes=-300", Slice(0, 100)),
        ("bytes=100-", None),
        ("bytes=-0", None),
        ("bytes=20-10", None),
        ("bytes=1-2,5-6", Slice(0, 100)),
        ("bytes=-", Slice(0, 100)),
        ("lines=1-2", Slice(0, 100)),
        ("bytes=x-2", Slice(0, 100)),
    ],
)
def test_ranges(asked: str, part: Slice | None) -> None:
    assert sliced(asked, 100) == part


def xs(path: str) -> list[int]:
    return [int(x) for x in re.findall(r"[ML](\d+) ", path)]


def test_a_waveform_stands_where_the_sound_was() -> None:
    quiet, loud = SILENCE * 8000, LOUD * 4000
    found = waveform_of(2000, quiet + loud + quiet, quiet * 3)
    caller, assistant = paths(found, page(1000), 0, 10_000)
    assert assistant == "", "silence draws nothing"
    assert (min(xs(caller)), max(xs(caller))) == (300, 399), "from 3 s to 4 s of ten"
    top, bottom = page(1000).caller.y, page(1000).caller.y + page(1000).caller.h
    ys = [float(y) for y in re.findall(r"[ML]\d+ ([\d.]+)", caller)]
    assert min(ys) == pytest.approx(top, abs=0.5)
    assert max(ys) == pytest.approx(bottom, abs=0.5)
    assert found.end_ms == 5000


def test_a_part_of_a_waveform_is_the_same_sound_larger() -> None:
    found = waveform_of(0, SILENCE * 8000 + LOUD * 4000, b"")
    (caller, _) = paths(found, page(400), 900, 1100)
    assert (min(xs(caller)), max(xs(caller))) == (200, 399)
    assert paths(found, page(400), 5000, 9000) == ("", "")
    assert paths(waveform_of(0, b"", b""), page(400), 0, 1000) == ("", "")


@given(st.integers(0, 9000), st.integers(1, 9000), st.integers(280, 900), st.integers(0, 4000))
def test_any_window_of_any_recording_is_drawn_inside(
    from_ms: int, width_ms: int, width: int, start_ms: int
) -> None:
    found = waveform_of(start_ms, LOUD * 3000, b"")
    (caller, _) = paths(found, page(width), from_ms, from_ms + width_ms)
    assert all(0 <= x <= width for x in xs(caller))
    heard = start_ms < from_ms + width_ms and from_ms < start_ms + 750
    wide = width_ms >= 2 * STEP_MS
    assert bool(caller) is heard or not wide or not heard


async def test_a_recording_is_read_once_a_minute() -> None:
    reads: list[str] = []
    now = datetime(2026, 11, 22, tzinfo=UTC)

    async def read(call: CallId) -> Recording | None:
        reads.append(call)
        return Recording(0, LOUD * 80, LOUD * 80) if call != "none" else None

    kept = KeptRecordings(read, now=lambda: now)
    call = CallId("a")
    assert await kept.recording(call) == await kept.recording(call)
    assert await kept.waveform(call) is await kept.waveform(call)
    assert reads == ["a"]
    now += timedelta(seconds=KEPT_S)
    await kept.recording(call)
    assert reads == ["a", "a"]
    assert await kept.recording(CallId("none")) is None
    assert await kept.waveform(CallId("none")) is None


async def test_large_recordings_push_out_the_older(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    monkeypatch.setattr("dashboard.sound.kept.MOST_BYTES", 1000)

    async def read(call: CallId) -> Recording | None:
        reads.append(call)
        return Recording(0, bytes(400), bytes(400))

    kept = KeptRecordings(read)
    for call in ("a", "b", "b", "a"):
        await kept.recording(CallId(call))
    assert reads == ["a", "b", "a"]


def test_the_header_is_as_long_as_it_says() -> None:
    assert len(whole(b"", b"")) == wav.HEADER_BYTES
