"""The client events a session accepts: parsing and field checks. Pure; called by the session.

Fields: OpenAI Realtime reference, client events. `output_audio_buffer.clear` exists on WebRTC and
SIP only and is refused here as on the real WebSocket.
"""

from __future__ import annotations

import json
from typing import Any

from testbed.realtime.errors import ApiError
from testbed.realtime.schema import (
    JsonObject,
    anything,
    as_object,
    nullable,
    number,
    record,
    tagged,
    text,
)

_HOUR_MS = 3_600_000
_envelope = {"event_id": text(512)}


def _command(**required: Any) -> Any:
    return record({"type": anything, **required}, _envelope)


_read = tagged(
    "type",
    {
        "session.update": _command(session=anything),
        "input_audio_buffer.append": _command(audio=text(21 * 1024 * 1024)),
        "input_audio_buffer.commit": _command(),
        "input_audio_buffer.clear": _command(),
        "conversation.item.create": record(
            {"type": anything, "item": anything},
            {**_envelope, "previous_item_id": nullable(text(512))},
        ),
        "conversation.item.retrieve": _command(item_id=text(512)),
        "conversation.item.delete": _command(item_id=text(512)),
        "conversation.item.truncate": _command(
            item_id=text(512), content_index=number(0, 100), audio_end_ms=number(0, _HOUR_MS)
        ),
        "response.create": record(
            {"type": anything}, {**_envelope, "response": nullable(anything)}
        ),
        "response.cancel": record({"type": anything}, {**_envelope, "response_id": text(512)}),
    },
)


def parse(message: str | bytes) -> JsonObject:
    """The client event as it was sent; ApiError if it is not a JSON object in a text frame."""
    if isinstance(message, bytes):
        raise ApiError("invalid_event", "Client events must be JSON in text frames, not binary.")
    try:
        return as_object(json.loads(message), "event")
    except ValueError:
        raise ApiError("invalid_json", "The event could not be parsed as JSON.") from None


def check(event: JsonObject) -> JsonObject:
    """The event with its fields checked; nested objects are checked where they take effect."""
    return _read(event, "")
