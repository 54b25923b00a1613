"""Client events that we send to the Realtime API, as plain JSON values (OpenAI Realtime GA
reference).
"""

from typing import Any

import msgspec

from protocol.events import OfferedTool
from protocol.ids import ItemId, ToolCallId
from runtime.assistant import TurnDetection

Command = dict[str, Any]

PCMU = {"type": "audio/pcmu"}
"""mu-law 8 kHz, Twilio's own format; takes no rate."""
CONFIG_EVENT_ID = "trunkline-config"
UPDATE_EVENT_ID = "trunkline-update"
"""Of an update in mid-call: tells its refusal from others."""
CREATE_EVENT_ID = "trunkline-create"
"""Comes back in ``error.event_id``: tells a refused response.create from other refusals."""


PROBE: Command = {"type": "conversation.item.retrieve", "item_id": "trunkline-probe"}
"""Asks for an item that never was: a living session answers with an error, and does nothing."""


def session_update(
    *,
    instructions: str,
    voice: str,
    language: str,
    transcription_model: str,
    turn_detection: TurnDetection,
    noise_reduction: str,
    tools: tuple[OfferedTool, ...],
    max_output_tokens: int,
    event_id: str = CONFIG_EVENT_ID,
    answers: bool = True,
) -> Command:
    """The whole session. The full audio block goes along each time: an update without a format
    fell back to PCM in the field, which is noise on a phone. ``answers`` False: turns are still
    heard and transcribed, but not answered.
    """
    return {
        "type": "session.update",
        "event_id": event_id,
        "session": {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": instructions,
            "audio": {
                "input": {
                    "format": PCMU,
                    "transcription": {"model": transcription_model, "language": language},
                    "noise_reduction": None
                    if noise_reduction == "off"
                    else {"type": noise_reduction},
                    "turn_detection": {
                        **_detection(turn_detection),
                        "create_response": answers,
                        "interrupt_response": True,
                    },
                },
                "output": {"format": PCMU, "voice": voice},
            },
            "tools": [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": msgspec.json.decode(tool.parameters),
                }
                for tool in tools
            ],
            "tool_choice": "auto",
            "max_output_tokens": max_output_tokens,
            "truncation": "auto",
        },
    }


def _detection(wanted: TurnDetection) -> dict[str, Any]:
    if wanted.kind == "semantic_vad":
        return {"type": "semantic_vad", "eagerness": wanted.eagerness}
    return {
        "type": "server_vad",
        "threshold": wanted.threshold,
        "prefix_padding_ms": wanted.prefix_padding_ms,
        "silence_duration_ms": wanted.silence_duration_ms,
    }


def create_response(
    instructions: str | None = None,
    *,
    tools: bool = True,
    metadata: dict[str, str] | None = None,
) -> Command:
    """Ask for a response, always in audio; ``instructions`` replace the session's for this one,
    ``tools`` False forbids tool calls in it. ``metadata`` comes back with it.
    """
    response: dict[str, Any] = {"output_modalities": ["audio"]}
    if not tools:
        response["tool_choice"] = "none"
    if instructions is not None:
        response["instructions"] = instructions
    if metadata is not None:
        response["metadata"] = metadata
    return {"type": "response.create", "event_id": CREATE_EVENT_ID, "response": response}


def cancel_response(response_id: str) -> Command:
    return {"type": "response.cancel", "response_id": response_id}


def tool_output(tool_call_id: ToolCallId, output: str) -> Command:
    """The answer to a function call; ``output`` is JSON text."""
    return {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": tool_call_id, "output": output},
    }


def user_text(text: str, item_id: str = "") -> Command:
    """Words of the caller's that were not spoken to this session: keys, an operator's relay, an
    earlier session's.
    """
    return _message("user", text, item_id)


def system_text(text: str) -> Command:
    """Something the model should know."""
    return _message("system", text)


def assistant_text(text: str, item_id: str = "") -> Command:
    """Words that the assistant said, in this session or another. ``item_id`` empty: the model
    names the item.
    """
    return _message("assistant", text, item_id)


def function_call(tool_call_id: ToolCallId, name: str, arguments: str) -> Command:
    """A tool call of an earlier session; its output is told by ``tool_output``."""
    item = {"type": "function_call", "call_id": tool_call_id, "name": name, "arguments": arguments}
    return {"type": "conversation.item.create", "item": item}


def _message(role: str, text: str, item_id: str = "") -> Command:
    # Only text may be created, and an assistant's only as output.
    kind = "output_text" if role == "assistant" else "input_text"
    item: dict[str, Any] = {
        "type": "message",
        "role": role,
        "content": [{"type": kind, "text": text}],
    }
    if item_id:
        item["id"] = item_id
    return {"type": "conversation.item.create", "item": item}


def truncate(item_id: ItemId, audio_end_ms: int) -> Command:
    """Keep the first ``audio_end_ms`` of an assistant's item: what the caller heard of it."""
    return {
        "type": "conversation.item.truncate",
        "item_id": item_id,
        "content_index": 0,
        "audio_end_ms": audio_end_ms,
    }


def delete_item(item_id: str) -> Command:
    """Take an item out of the conversation, as if it had never been."""
    return {"type": "conversation.item.delete", "item_id": item_id}
