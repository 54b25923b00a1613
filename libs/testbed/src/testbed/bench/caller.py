"""One caller of the bench: a media socket as Twilio opens it, 50 frames a second, marks echoed when
their audio was played.
"""

import asyncio
import base64
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from testbed.bench import stamp
from testbed.bench.sockets import opened, send
from testbed.bench.voice_url import Connect, connect_of
from testbed.twilio.signature import sign_get

FRAME_BYTES = 160
BYTES_PER_S = 8_000
RING_S = 30
"""What ingress keeps of a caller's audio, to replay it to another agent."""
KEY_EVERY_FRAMES = 137
"""2.74 s, so that keys meet every moment of a turn."""


class _Media(msgspec.Struct):
    payload: bytes = b""


class _Mark(msgspec.Struct):
    name: str = ""


class _Told(msgspec.Struct):
    """What comes down a media socket."""

    event: str
    media: _Media = msgspec.field(default_factory=_Media)
    mark: _Mark = msgspec.field(default_factory=_Mark)


_decode = msgspec.json.Decoder(_Told).decode


@dataclass(frozen=True)
class Spec:
    """Who is called: webhooks' voice URL (signed, as Twilio does), or a media socket directly."""

    calls: int
    account_sid: str
    auth_token: str
    called: str
    voice_url: str = ""
    media_url: str = ""
    keys: bool = False
    """Every other caller, those with odd numbers, presses a key now and then."""
    dials_at_once: int = 8


class Caller(WSListener):
    """One call: speaks all the time, hears and echoes."""

    def __init__(self, spec: Spec, number: int) -> None:
        self._spec = spec
        self._number = number
        self._keys = spec.keys and number % 2 == 1
        self.call_sid = "CA" + secrets.token_hex(16)
        self._stream_sid = "MZ" + secrets.token_hex(16)
        self._transport: WSTransport | None = None
        self._sequence = 1
        self._frame = 0
        self._played_until = 0.0
        self._echoes: dict[int, tuple[str, asyncio.TimerHandle]] = {}
        self._next_echo = 0
        self.dialled = self.started = 0.0
        self.first_audio = asyncio.Event()
        self.greeting_ms = 0.0
        self.lost = False
        self.ending = False
        self.delta_ms: list[float] = []
        self.heard_bytes = 0
        self.cleared: list[tuple[int, float]] = []
        self.pressed: list[tuple[int, float]] = []
        self._head = b""

    @property
    def ringed_bytes(self) -> int:
        """How much of this caller's audio the ring of ingress holds now."""
        return min(self._frame * FRAME_BYTES, RING_S * BYTES_PER_S)

    async def dial(self) -> None:
        """Ask what to do as Twilio asks, and open the media socket."""
        spec = self._spec
        self.dialled = time.monotonic()
        wanted = Connect(spec.media_url, {})
        if spec.voice_url:
            caller = f"+1555{self._number:07}"
            wanted = await connect_of(
                spec.voice_url,
                spec.account_sid,
                spec.auth_token,
                call_sid=self.call_sid,
                caller=caller,
                called=spec.called,
            )
        signature = sign_get(wanted.url, spec.auth_token)
        await opened(self, wanted.url, {"X-Twilio-Signature": signature})
        self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self.started = time.monotonic()
        self._sequenced(
            "start",
            start={
                "accountSid": spec.account_sid,
                "callSid": self.call_sid,
                "streamSid": self._stream_sid,
                "tracks": ["inbound"],
                "customParameters": wanted.parameters,
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
        )
        self._head = (
            f'{{"event":"media","streamSid":"{self._stream_sid}",'
            '"media":{"track":"inbound","chunk":"'
        ).encode()

    def speak(self) -> None:
        """The next 20 ms."""
        transport = self._transport
        if transport is None or not self._head:  # not begun
            return
        frame, self._frame = self._frame, self._frame + 1
        payload = base64.b64encode(stamp.block(self._number * stamp.WHO + frame, FRAME_BYTES))
        self._sequence += 1
        message = b'%b%d","timestamp":"%d","payload":"%b"},"sequenceNumber":"%d"}' % (
            self._head,
            frame + 1,
            frame * 20,
            payload,
            self._sequence,
        )
        send(transport, message)
        if self._keys and (frame + self._number) % KEY_EVERY_FRAMES == KEY_EVERY_FRAMES - 1:
            self.pressed.append((self._number, time.monotonic()))
            self._sequenced("dtmf", dtmf={"track": "inbound_track", "digit": "5"})

    def hang_up(self) -> None:
        """The caller leaves."""
        self.ending = True
        if self._transport is not None:
            self._sequenced(
                "stop", stop={"accountSid": self._spec.account_sid, "callSid": self.call_sid}
            )
            self._transport.disconnect()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self.lost = self.lost or not self.ending

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        told = _decode(frame.get_payload_as_bytes())
        if told.event == "media":
            self._audio(told.media.payload)
        elif told.event == "mark":
            self._mark(told.mark.name)
        elif told.event == "clear":
            self._clear()

    def _audio(self, audio: bytes) -> None:
        now = time.monotonic()
        if not self.first_audio.is_set():
            self.first_audio.set()
            self.greeting_ms = (now - self.dialled) * 1e3
        self._played_until = max(self._played_until, now) + len(audio) / BYTES_PER_S
        self.heard_bytes += len(audio)
        read = stamp.read(audio)
        if read is not None:
            self.delta_ms.append(read[1])

    def _mark(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        number, self._next_echo = self._next_echo, self._next_echo + 1
        handle = loop.call_at(self._played_until, self._echo, number)
        self._echoes[number] = (name, handle)

    def _echo(self, number: int) -> None:
        name, _ = self._echoes.pop(number)
        self._sequenced("mark", mark={"name": name})

    def _clear(self) -> None:
        self.cleared.append((self._number, time.monotonic()))
        self._played_until = 0.0
        for number, (_, handle) in list(self._echoes.items()):
            handle.cancel()
            self._echo(number)

    def _sequenced(self, event: str, **fields: Any) -> None:
        self._sequence += 1
        told = {"event": event, "sequenceNumber": str(self._sequence), **fields}
        self._send(told | {"streamSid": self._stream_sid})

    def _send(self, message: dict[str, Any]) -> None:
        if self._transport is not None:
            send(self._transport, json.dumps(message).encode())
