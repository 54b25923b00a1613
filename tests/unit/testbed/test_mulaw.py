"""The telephone codec: G.711's fixed points, its error bound, and agreement of the two forms."""

from __future__ import annotations

import numpy as np

from testbed.realtime.formats import InputDecoder, encode
from testbed.realtime.tones import position_ms, tone
from testbed.voice import g711, mulaw


def test_known_values_of_g711() -> None:
    assert g711.MULAW_TO_LINEAR[0xFF] == 0
    assert g711.MULAW_TO_LINEAR[0x00] == -32_124
    assert g711.MULAW_TO_LINEAR[0x80] == 32_124
    assert g711.ALAW_TO_LINEAR[0xD5] == 8
    assert g711.ALAW_TO_LINEAR[0xAA] == 32_256
    assert g711.mulaw_code(0) == g711.MULAW_SILENCE


def test_every_code_survives_a_round_trip() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)  # 0x7F is minus zero
    assert mulaw.encode(mulaw.decode(codes)) == codes


def test_alaw_is_as_near_as_its_steps_allow() -> None:
    codes = bytes(range(256))
    through = codes.translate(g711.MULAW_TO_ALAW).translate(g711.ALAW_TO_MULAW)
    error = np.abs(mulaw.decode(through).astype(int) - mulaw.decode(codes))
    assert np.all(error <= np.maximum(np.abs(mulaw.decode(codes).astype(int)) // 16, 8))


def test_the_error_is_bounded_by_the_step() -> None:
    samples = np.arange(-32_635, 32_636, 7, dtype=np.int16)
    error = np.abs(mulaw.decode(mulaw.encode(samples)).astype(int) - samples)
    assert np.all(error <= np.maximum(np.abs(samples.astype(int)) // 16, 8))


def test_loud_samples_are_clipped() -> None:
    assert mulaw.encode(np.array([-90_000.0, 90_000.0])) == b"\x00\x80"


def test_pcm_24k_round_trip_keeps_the_speech() -> None:
    speech = tone("hello", 100)
    pcm = encode(speech, {"type": "audio/pcm", "rate": 24_000})
    assert len(pcm) == 100 * 48
    assert np.array_equal(np.frombuffer(pcm, "<i2")[::3], mulaw.decode(speech))


def test_pcm_24k_may_be_split_anywhere() -> None:
    pcm = encode(tone("hello", 100), {"type": "audio/pcm", "rate": 24_000})
    whole = InputDecoder().decode(pcm, {"type": "audio/pcm"})
    decoder = InputDecoder()
    pieces = [decoder.decode(pcm[i : i + 7], {"type": "audio/pcm"}) for i in range(0, len(pcm), 7)]
    assert b"".join(pieces) == whole
    assert len(whole) == 800


def test_a_tone_tells_its_text_and_position() -> None:
    heard = tone("Hello", 2_000)[800 * 8 : 800 * 8 + 160]
    assert position_ms("Hello", heard) == 800
    assert position_ms("Goodbye", heard) is None
    assert tone("Hello", 500) == tone("Hello", 2_000)[: 500 * 8]
