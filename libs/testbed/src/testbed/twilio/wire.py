"""Media Streams JSON: builds Twilio's messages and judges the server's. Pure.

Written from Twilio's "WebSocket Messages" page, with no struct of ours. Called by the media stream
and the play-out buffer. Never sends or plays anything.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'


class InvalidMessage(Exception):
    """A message Twilio would ignore with warning 31951 (31950 for a binary frame)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Media:
    """Audio to play: raw mu-law 8 kHz, any length."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """A name to echo once everything before it has been played."""

    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Drop everything unplayed."""


def parse(message: str | bytes, stream_sid: str) -> Media | Mark | Clear:
    """Read one server message; only media, mark and clear with exactly their fields are valid.

    Raises InvalidMessage with 31950 for a binary frame, else 31951.
    """
    if isinstance(message, bytes):
        raise InvalidMessage(31950, "binary frame")
    try:
        decoded: object = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage(31951, "not JSON") from error
    fields = _object(decoded, "message")
    event = fields.get("event")
    if event not in ("media", "mark", "clear"):
        raise InvalidMessage(31951, f"unknown event {event!r}")
    expected = {"event", "streamSid"} if event == "clear" else {"event", "streamSid", event}
    _exact(fields, expected, event)
    if fields["streamSid"] != stream_sid:
        raise InvalidMessage(31951, f"wrong streamSid {fields['streamSid']!r}")
    if event == "clear":
        return Clear()
    body = _object(fields[event], event)
    key = "payload" if event == "media" else "name"
    _exact(body, {key}, event)
    value = body[key]
    if not isinstance(value, str):
        raise InvalidMessage(31951, f"{event}.{key} is not a string")
    if event == "mark":
        return Mark(value)
    try:
        return Media(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidMessage(31951, "media.payload is not base64") from error


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InvalidMessage(31951, f"{what} is not an object")
    return cast("dict[str, object]", value)  # JSON object keys are always strings


def _exact(fields: dict[str, object], expected: set[str], what: str) -> None:
    if missing := expected - fields.keys():
        raise InvalidMessage(31951, f"{what} lacks {sorted(missing)}")
    if extra := fields.keys() - expected:
        raise InvalidMessage(31951, f"{what} has extra {sorted(extra)}")


class StreamMessages:
    """Twilio's messages of one stream; keeps its sequence and chunk counters.

    Every number is a decimal string, except those of mediaFormat. `sequenceNumber` is one counter
    over all kinds, from "1" with `start`; `connected` has none.
    """

    def __init__(
        self, account_sid: str, call_sid: str, stream_sid: str, parameters: Mapping[str, str]
    ) -> None:
        self._account_sid = account_sid
        self._call_sid = call_sid
        self._stream_sid = stream_sid
        self._parameters = dict(parameters)
        self._sequence = 0
        self._chunk = 0

    def start(self) -> str:
        """The `start` message with its media format and custom parameters."""
        return self._message(
            "start",
            {
                "streamSid": self._stream_sid,
                "accountSid": self._account_sid,
                "callSid": self._call_sid,
                "tracks": ["inbound"],
                "customParameters": self._parameters,
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
        )

    def media(self, payload_base64: str, timestamp_ms: int) -> str:
        """One frame of the caller; `timestamp_ms` counts from the start of the stream.

        Built by hand: this runs fifty times a second and call.
        """
        self._sequence += 1
        self._chunk += 1
        return (
            f'{{"event":"media","sequenceNumber":"{self._sequence}","streamSid":"{self._stream_sid}"'
            f',"media":{{"track":"inbound","chunk":"{self._chunk}","timestamp":"{timestamp_ms}"'
            f',"payload":"{payload_base64}"}}}}'
        )

    def dtmf(self, digit: str) -> str:
        """One key of the caller (track is `inbound_track` here, unlike media's `inbound`)."""
        return self._message("dtmf", {"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> str:
        """The echo of a mark."""
        return self._message("mark", {"name": name})

    def stop(self) -> str:
        """The end of the stream, sent only when Twilio ends it."""
        return self._message("stop", {"accountSid": self._account_sid, "callSid": self._call_sid})

    def _message(self, event: str, body: dict[str, object]) -> str:
        self._sequence += 1
        message = {
            "event": event,
            "sequenceNumber": str(self._sequence),
            "streamSid": self._stream_sid,
            event: body,
        }
        return json.dumps(message, separators=(",", ":"))
