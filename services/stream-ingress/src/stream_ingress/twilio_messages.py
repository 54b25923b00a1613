"""The wire of Twilio Media Streams: structs of what Twilio sends and bytes of what we send.

Source: Twilio docs "Media Streams - WebSocket Messages". Used by connection (decoding) and
outgoing (encoding); knows nothing of order or state.
"""

from binascii import b2a_base64
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from protocol import codec

TRACK = "inbound"
"""The caller's track; a bidirectional stream has no other."""
ENCODING = "audio/x-mulaw"
SAMPLE_RATE = 8000
CHANNELS = 1


class BadMessage(Exception):
    """A text frame that is no Media Streams message. Its text is a fixed phrase, safe to log."""


class UnknownEvent(Exception):
    """A message of a kind that we do not know: to be ignored (Twilio may add some)."""


class MediaFormat(Struct, frozen=True, rename="camel"):
    encoding: str
    sample_rate: int
    channels: int


class StartBody(Struct, frozen=True, rename="camel"):
    """``custom_parameters`` are the ``<Parameter>`` of the TwiML; ``{}`` when there is none."""

    stream_sid: str
    account_sid: str
    call_sid: str
    media_format: MediaFormat
    custom_parameters: dict[str, str] = {}


class MediaBody(Struct, frozen=True):
    """``timestamp``: ms since the stream's start of the first byte. ``payload``: raw mu-law,
    decoded from base64. Numbers come as decimal strings.
    """

    timestamp: Annotated[int, Meta(ge=0)]
    payload: bytes
    track: str = TRACK


class DtmfBody(Struct, frozen=True):
    digit: Annotated[str, Meta(pattern="^[0-9A-D*#]$")]


class MarkBody(Struct, frozen=True):
    name: str


class Connected(Struct, frozen=True, tag_field="event", tag="connected"):
    """The first frame; it names no stream."""


class Start(Struct, frozen=True, tag_field="event", tag="start"):
    """Exactly once, before any media."""

    start: StartBody


class Media(Struct, frozen=True, tag_field="event", tag="media"):
    media: MediaBody


class Dtmf(Struct, frozen=True, tag_field="event", tag="dtmf"):
    """A key of the caller; it carries no time."""

    dtmf: DtmfBody


class Mark(Struct, frozen=True, tag_field="event", tag="mark"):
    """Echo of a mark of ours: what was queued before it has been played, or was cleared."""

    mark: MarkBody


class Stop(Struct, frozen=True, tag_field="event", tag="stop"):
    """Twilio ends the stream (hang-up or REST update). Not sent when we close first."""


Message = Connected | Start | Media | Dtmf | Mark | Stop


class _Any(Struct, frozen=True):
    event: str


_KNOWN = {"connected", "start", "media", "dtmf", "mark", "stop"}
_decode = msgspec.json.Decoder(Message, strict=False).decode
_decode_any = msgspec.json.Decoder(_Any).decode


def decode(text: bytes) -> Message:
    """One text frame of Twilio. Raises UnknownEvent (ignore it) or BadMessage (end the socket)."""
    try:
        return _decode(text)
    except codec.UNREADABLE:
        pass
    try:
        event = _decode_any(text).event
    except codec.UNREADABLE:
        raise BadMessage("malformed message") from None
    if event in _KNOWN:
        raise BadMessage(f"malformed {event} message")
    raise UnknownEvent


class Encoder:
    """Our three messages for one stream, with exactly the allowed fields (31951 otherwise)."""

    def __init__(self, stream_sid: str) -> None:
        sid = stream_sid.encode()
        self._media = b'{"event":"media","streamSid":"' + sid + b'","media":{"payload":"'
        self._mark = b'{"event":"mark","streamSid":"' + sid + b'","mark":{"name":"'
        self.clear = b'{"event":"clear","streamSid":"' + sid + b'"}'
        """Empties Twilio's buffer; all pending marks are then echoed."""

    def media(self, audio: bytes) -> bytes:
        """Raw mu-law bytes of any length, to be played after what was sent before."""
        return self._media + b2a_base64(audio, newline=False) + b'"}}'

    def mark(self, name: str) -> bytes:
        """A mark; ``name`` needs no JSON escaping."""
        return self._mark + name.encode() + b'"}}'
