"""PURE: the protocol state of one media socket: connected -> started -> streaming -> stopped.

connection feeds it every decoded message and performs the effect that comes back. It reads no
clock, checks no token and never sends.
"""

from typing import Literal

from msgspec import Struct

from protocol import ids
from protocol.errors import InvalidToken
from protocol.ids import CallId, StreamId
from stream_ingress import twilio_messages as wire
from stream_ingress.twilio_messages import DtmfBody, MarkBody, MediaBody

State = Literal["opening", "connected", "started", "streaming", "stopped"]

UNSUPPORTED_DATA = 1003
INVALID_DATA = 1007
POLICY_VIOLATION = 1008
"""Close codes of RFC 6455."""


class Open(Struct, frozen=True):
    """``start`` came and names our account and format: check its token, then open the leg."""

    call_id: CallId
    stream_id: StreamId
    parameters: dict[str, str]


class Stopped(Struct, frozen=True):
    """Twilio ended the stream."""


class Refuse(Struct, frozen=True):
    """Bad input: close this socket. ``reason`` is a fixed phrase for the close frame and the
    log.
    """

    code: int
    reason: str


Effect = Open | MediaBody | DtmfBody | MarkBody | Stopped | Refuse | None


class MediaStream:
    """State of one socket. ``account_sid``: the only account whose streams are taken."""

    def __init__(self, account_sid: str) -> None:
        self._account_sid = account_sid
        self.state: State = "opening"

    def receive(self, message: wire.Message) -> Effect:
        """Take in one message. A frame, key or mark in its place is handed back as its body."""
        if isinstance(message, wire.Media):  # first, being 50 a second
            return self._media(message.media)
        if self.state == "stopped":
            return None
        match message:
            case wire.Connected():
                return self._connected()
            case wire.Start():
                return self._start(message.start)
            case wire.Dtmf():
                return self._in_stream(message.dtmf, "dtmf before start")
            case wire.Mark():
                return self._in_stream(message.mark, "mark before start")
            case wire.Stop():
                if self.state in ("opening", "connected"):
                    return self._refuse(POLICY_VIOLATION, "stop before start")
                self.state = "stopped"
                return Stopped()

    def binary(self) -> Refuse:
        """A binary frame came; Twilio sends text only."""
        return self._refuse(UNSUPPORTED_DATA, "binary frame")

    def malformed(self, reason: str) -> Refuse:
        """A text frame came that is no message."""
        return self._refuse(INVALID_DATA, reason)

    def _media(self, media: MediaBody) -> Effect:
        if self.state == "streaming":
            return media if media.track == wire.TRACK else None
        if self.state == "started":
            self.state = "streaming"
            return media if media.track == wire.TRACK else None
        if self.state == "stopped":
            return None
        return self._refuse(POLICY_VIOLATION, "media before start")

    def _connected(self) -> Effect:
        if self.state != "opening":
            return self._refuse(POLICY_VIOLATION, "second connected")
        self.state = "connected"
        return None

    def _start(self, start: wire.StartBody) -> Effect:
        if self.state in ("started", "streaming"):
            return self._refuse(POLICY_VIOLATION, "second start")
        if self.state == "opening":
            return self._refuse(POLICY_VIOLATION, "start before connected")
        if start.account_sid != self._account_sid:
            return self._refuse(POLICY_VIOLATION, "foreign account")
        form = start.media_format
        if (form.encoding, form.sample_rate, form.channels) != (
            wire.ENCODING,
            wire.SAMPLE_RATE,
            wire.CHANNELS,
        ):
            return self._refuse(UNSUPPORTED_DATA, "unsupported media format")
        try:
            call, stream = ids.call_id(start.call_sid), ids.stream_id(start.stream_sid)
        except InvalidToken:
            return self._refuse(POLICY_VIOLATION, "malformed call or stream id")
        self.state = "started"
        return Open(call, stream, start.custom_parameters)

    def _in_stream(self, body: DtmfBody | MarkBody, otherwise: str) -> Effect:
        if self.state in ("started", "streaming"):
            return body
        return self._refuse(POLICY_VIOLATION, otherwise)

    def _refuse(self, code: int, reason: str) -> Refuse:
        self.state = "stopped"
        return Refuse(code, reason)
