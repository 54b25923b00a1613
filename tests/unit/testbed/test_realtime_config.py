"""session.update and response.create: what is accepted, what the effective result is."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.realtime import config
from testbed.realtime.errors import ApiError

PCMU = {"type": "audio/pcmu"}


def start() -> dict[str, Any]:
    return config.defaults("sess_1", "gpt-realtime-2.1", 1_800_000_000)


def update(session: Any, *, voice_locked: bool = False) -> dict[str, Any]:
    return config.updated(start(), session, voice_locked=voice_locked)


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.type"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"type": "realtime", "temperature": 1}, "unknown_parameter", "session.temperature"),
        ({"type": "realtime", "voice": "ash"}, "unknown_parameter", "session.voice"),
        ({"type": "realtime", "instructions": 5}, "invalid_type", "session.instructions"),
        (
            {"type": "realtime", "instructions": "x" * 256_001},
            "string_above_max_length",
            "session.instructions",
        ),
        (
            {"type": "realtime", "max_output_tokens": "many"},
            "invalid_value",
            "session.max_output_tokens",
        ),
        (
            {"type": "realtime", "output_modalities": ["text", "audio"]},
            "invalid_value",
            "session.output_modalities",
        ),
        ({"type": "realtime", "model": "another"}, "invalid_value", "session.model"),
        (
            {"type": "realtime", "tools": [{"type": "function", "function": {"name": "f"}}]},
            "unknown_parameter",
            "session.tools[0].function",
        ),
        (
            {"type": "realtime", "audio": {"input": {"format": {**PCMU, "rate": 8_000}}}},
            "unknown_parameter",
            "session.audio.input.format.rate",
        ),
        (
            {"type": "realtime", "audio": {"output": {"format": {"type": "audio/pcm"}}}},
            "missing_required_parameter",
            "session.audio.output.format.rate",
        ),
        (
            {
                "type": "realtime",
                "audio": {"input": {"format": {"type": "audio/pcm", "rate": 8_000}}},
            },
            "integer_below_min_value",
            "session.audio.input.format.rate",
        ),
        (
            {"type": "realtime", "audio": {"output": {"voice": "nova"}}},
            "invalid_value",
            "session.audio.output.voice",
        ),
        (
            {"type": "realtime", "audio": {"output": {"speed": 2.0}}},
            "decimal_above_max_value",
            "session.audio.output.speed",
        ),
        (
            {"type": "realtime", "audio": {"input": {"turn_detection": {"threshold": 0.5}}}},
            "missing_required_parameter",
            "session.audio.input.turn_detection.type",
        ),
    ],
)
def test_what_the_api_refuses(session: Any, code: str, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        update(session)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_only_what_is_named_changes() -> None:
    changed = update({"type": "realtime", "instructions": "Be brief.", "tools": []})
    assert changed == start() | {"instructions": "Be brief."}


def test_an_audio_block_that_omits_the_format_falls_back_to_pcm() -> None:
    phone = update({"type": "realtime", "audio": {"input": {"format": PCMU}}})
    assert phone["audio"]["input"]["format"] == PCMU
    assert phone["audio"]["output"] == start()["audio"]["output"]
    again = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    forgetful = config.updated(phone, again, voice_locked=False)
    assert forgetful["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert config.vad_settings(forgetful) is None


def test_the_voice_is_locked_once_audio_was_emitted() -> None:
    change = {"type": "realtime", "audio": {"output": {"format": PCMU, "voice": "marin"}}}
    assert update(change)["audio"]["output"]["voice"] == "marin"
    with pytest.raises(ApiError) as refused:
        update(change, voice_locked=True)
    assert refused.value.code == "cannot_update_voice"
    same = {"type": "realtime", "audio": {"output": {"format": PCMU}}}
    assert update(same, voice_locked=True)["audio"]["output"]["voice"] == "alloy"


def test_overrides_hold_for_one_response() -> None:
    session = start()
    effective = config.for_response(
        session, {"instructions": "Greet.", "metadata": {"a": "1"}}, voice_locked=False
    )
    assert effective["instructions"] == "Greet."
    assert effective["metadata"] == {"a": "1"}
    assert session == start()
    with pytest.raises(ApiError) as refused:
        config.for_response(session, {"modalities": ["audio"]}, voice_locked=False)
    assert refused.value.param == "response.modalities"


def test_the_defaults_are_not_shared_between_sessions() -> None:
    first = start()
    first["audio"]["input"]["format"] = PCMU
    assert start()["audio"]["input"]["format"]["type"] == "audio/pcm"
