"""The yardstick with our means: the same relay on picows, with msgspec, and with the caller's audio
in batches. What is left above it is the price of the broker, the log and the features.

`python -m testbed.bench.lean_relay PORT MODEL_URL`: prints `ready`, runs until standard input ends.
"""

import asyncio
import gc
import sys
from base64 import b64encode

import msgspec
from picows import WSFrame, WSListener, WSTransport, WSUpgradeRequest

from testbed.bench.relay import SESSION
from testbed.bench.sockets import opened, send, serving

BATCH_BYTES = 480
"""60 ms."""


class _Media(msgspec.Struct):
    payload: bytes = b""


class _Start(msgspec.Struct):
    stream_sid: str = msgspec.field(name="streamSid", default="")


class _Told(msgspec.Struct):
    event: str
    media: _Media | None = None
    start: _Start | None = None


class _Event(msgspec.Struct):
    type: str
    delta: str = ""


_told = msgspec.json.Decoder(_Told).decode
_event = msgspec.json.Decoder(_Event).decode
_encode = msgspec.json.Encoder().encode


class Phone(WSListener):
    """The caller's socket."""

    def __init__(self, model_url: str) -> None:
        self._url = model_url
        self._transport: WSTransport | None = None
        self._model: WSTransport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._batch = bytearray()
        self._head = ""
        self._marks = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        self._model = await opened(Model(self), self._url, {})
        update = {"type": "session.update", "session": SESSION}
        send(self._model, _encode(update))
        send(self._model, b'{"type":"response.create"}')

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        told = _told(frame.get_payload_as_bytes())
        if told.media is not None:
            self._batch += told.media.payload
            if len(self._batch) >= BATCH_BYTES and self._model is not None:
                audio = b64encode(self._batch)
                self._batch.clear()
                append = b'{"type":"input_audio_buffer.append","audio":"%b"}' % audio
                send(self._model, append)
        elif told.start is not None:
            self._head = f'{{"streamSid":"{told.start.stream_sid}","event":'

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._model is not None:
            self._model.disconnect()

    def say(self, payload: str) -> None:
        """Speech for the caller, and a mark behind it."""
        if self._transport is None or not self._head:
            return
        self._marks += 1
        media = f'{self._head}"media","media":{{"payload":"{payload}"}}}}'
        send(self._transport, media.encode())
        mark = f'{self._head}"mark","mark":{{"name":"{self._marks}"}}}}'
        send(self._transport, mark.encode())


class Model(WSListener):
    """The model's socket of a call."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        event = _event(frame.get_payload_as_bytes())
        if event.type == "response.output_audio.delta":
            self._phone.say(event.delta)


async def _main(port: int, model_url: str) -> None:
    def phone(_: WSUpgradeRequest) -> Phone:
        return Phone(model_url)

    server = await serving(phone, port)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    gc.set_threshold(100_000, 50, 50)
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
