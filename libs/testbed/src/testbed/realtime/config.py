"""The session's configuration: defaults, what session.update may say, and the effective result.

Pure; called by the session. Field rules: OpenAI Realtime reference, RealtimeSessionCreateRequest.
Whether the real API merges a nested audio block field by field is not documented. Here a block
that is named is replaced and its absent fields fall back to defaults (the voice excepted), so a
client that relies on merging is found out: it gets 24 kHz PCM.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from testbed.realtime.errors import ApiError, invalid
from testbed.realtime.schema import (
    JsonObject,
    anything,
    array,
    boolean,
    either,
    nullable,
    number,
    one_of,
    record,
    tagged,
    text,
)
from testbed.realtime.vad import VadSettings

VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
EFFORTS = ("minimal", "low", "medium", "high", "xhigh")

_PCM: JsonObject = {"type": "audio/pcm", "rate": 24_000}
_VAD_DEFAULTS: JsonObject = {
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    # The guide says 500, published session.created samples say 200: the less forgiving one.
    "silence_duration_ms": 200,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
_VAD_ON: JsonObject = {"type": "server_vad", **_VAD_DEFAULTS}
_INPUT_DEFAULTS: JsonObject = {
    "format": _PCM,
    "transcription": None,
    "noise_reduction": None,
    "turn_detection": _VAD_ON,
}
_OUTPUT_DEFAULTS: JsonObject = {"format": _PCM, "voice": "alloy", "speed": 1.0}

_kind = one_of("realtime")


def _semantic_vad(value: Any, path: str) -> Any:
    raise invalid(f"{path}.type", "This simulation detects turns with 'server_vad' only.")


_format = tagged(
    "type",
    {
        "audio/pcm": record({"type": anything, "rate": number(24_000, 24_000)}),
        "audio/pcmu": record({"type": anything}),
        "audio/pcma": record({"type": anything}),
    },
)
_voice = either(record({"id": text(512)}), one_of(*VOICES))
_turn_detection = tagged(
    "type",
    {
        "server_vad": record(
            {"type": anything},
            {
                "threshold": number(0, 1, whole=False),
                "prefix_padding_ms": number(0, 60_000),
                "silence_duration_ms": number(20, 60_000),
                "idle_timeout_ms": nullable(number(5_000, 30_000)),
                "create_response": boolean,
                "interrupt_response": boolean,
            },
            _VAD_DEFAULTS,
        ),
        "semantic_vad": _semantic_vad,
    },
)
_transcription = record(
    optional={
        "model": text(256),
        "language": text(16),
        "languages": array(text(16)),
        "keywords": array(text(256)),
        "prompt": text(),
        "delay": one_of(*EFFORTS),
    }
)
_noise_reduction = record(
    {"type": one_of("near_field", "far_field")}, {"strength": number(0, 1, whole=False)}
)
_tool = tagged(
    "type",
    {
        "function": record(
            {"type": anything, "name": text(64)}, {"description": text(), "parameters": anything}
        )
    },
)
_tool_choice = either(
    record({"type": one_of("function"), "name": text(64)}), one_of("auto", "none", "required")
)
_max_output_tokens = either(number(1, 4_096), one_of("inf"))
_truncation = either(
    record(
        {"type": one_of("retention_ratio"), "retention_ratio": number(0, 1, whole=False)},
        {"token_limits": record(optional={"post_instructions": number(0, 1_000_000)})},
    ),
    one_of("auto", "disabled"),
)
_shared_fields = {
    "instructions": text(),
    "tools": array(_tool),
    "tool_choice": _tool_choice,
    "max_output_tokens": _max_output_tokens,
    "parallel_tool_calls": boolean,
    "reasoning": nullable(record(optional={"effort": one_of(*EFFORTS)})),
    "prompt": nullable(
        record({"id": text()}, {"version": nullable(text()), "variables": anything})
    ),
}


def _modalities(value: Any, path: str) -> Any:
    if value not in (["audio"], ["text"]):
        raise invalid(
            path,
            f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio'].",
        )
    return value


_update = record(
    {"type": _kind},
    {
        **_shared_fields,
        "model": text(256),
        "output_modalities": _modalities,
        "truncation": _truncation,
        "tracing": anything,
        "include": nullable(array(one_of("item.input_audio_transcription.logprobs"))),
        "audio": record(
            optional={
                "input": record(
                    optional={
                        "format": _format,
                        "transcription": nullable(_transcription),
                        "noise_reduction": nullable(_noise_reduction),
                        "turn_detection": nullable(_turn_detection),
                    },
                    defaults=_INPUT_DEFAULTS,
                ),
                "output": record(
                    optional={
                        "format": _format,
                        "voice": _voice,
                        "speed": number(0.25, 1.5, whole=False),
                    }
                ),
            }
        ),
    },
)
_overrides = record(
    optional={
        **_shared_fields,
        "output_modalities": _modalities,
        "conversation": one_of("auto", "none"),
        "input": array(anything),
        "metadata": nullable(anything),
        "audio": record(optional={"output": record(optional={"format": _format, "voice": _voice})}),
    }
)


def defaults(session_id: str, model: str, expires_at: int) -> JsonObject:
    """The configuration that session.created shows."""
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "expires_at": expires_at,
        "output_modalities": ["audio"],
        "instructions": "You are a helpful assistant.",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
        "tracing": None,
        "prompt": None,
        "include": None,
        "audio": {
            "input": copy.deepcopy(_INPUT_DEFAULTS),
            "output": copy.deepcopy(_OUTPUT_DEFAULTS),
        },
    }


def updated(current: Mapping[str, Any], change: Any, *, voice_locked: bool) -> JsonObject:
    """The effective configuration after a session.update; ApiError leaves `current` in force.

    `voice_locked`: the session has emitted audio, so its voice may no longer change.
    """
    update: JsonObject = _update(change, "session")
    if update.get("model", current["model"]) != current["model"]:
        raise invalid("session.model", "The model of a session cannot be changed.")
    audio: JsonObject = update.pop("audio", {})
    result = copy.deepcopy(dict(current)) | copy.deepcopy(update)
    if "input" in audio:
        result["audio"]["input"] = copy.deepcopy(audio["input"])
    if "output" in audio:
        voice = current["audio"]["output"]["voice"]
        block = copy.deepcopy(_OUTPUT_DEFAULTS | {"voice": voice} | audio["output"])
        _guard_voice(voice, block["voice"], "session.audio.output.voice", voice_locked)
        result["audio"]["output"] = block
    return result


def for_response(current: Mapping[str, Any], overrides: Any, *, voice_locked: bool) -> JsonObject:
    """The configuration of one response: the session's, with the overrides of response.create.

    Adds `conversation`, `metadata` and, if given, `input`.
    """
    given: JsonObject = {} if overrides is None else _overrides(overrides, "response")
    output: JsonObject = given.pop("audio", {}).get("output", {})
    result: JsonObject = copy.deepcopy(dict(current))
    result |= {"conversation": "auto", "metadata": None} | given
    voice = current["audio"]["output"]["voice"]
    _guard_voice(voice, output.get("voice", voice), "response.audio.output.voice", voice_locked)
    result["audio"]["output"] |= output
    return result


def vad_settings(config: Mapping[str, Any]) -> VadSettings | None:
    """The detector's settings, None for manual turns."""
    chosen = config["audio"]["input"]["turn_detection"]
    if chosen is None:
        return None
    return VadSettings(
        chosen["threshold"], chosen["prefix_padding_ms"], chosen["silence_duration_ms"]
    )


def _guard_voice(before: Any, after: Any, path: str, locked: bool) -> None:
    if locked and after != before:
        raise ApiError(
            "cannot_update_voice",
            "Cannot update a conversation's voice if assistant audio is present.",
            param=path,
        )
