"""The yardstick: what a team writes first. One process, no broker, a websocket on both sides;
frames go through as they come. No events, no recovery, no tools, no playback ledger.

`python -m testbed.bench.relay PORT MODEL_URL`: prints `ready`, runs until standard input ends.
"""

import asyncio
import gc
import json
import sys
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

PCMU = {"type": "audio/pcmu"}
SESSION: dict[str, Any] = {
    "type": "realtime",
    "instructions": "You are a helpful assistant.",
    "audio": {"input": {"format": PCMU}, "output": {"format": PCMU, "voice": "marin"}},
}


class Call:
    """One call: two sockets and what passes between them."""

    def __init__(self, phone: ServerConnection, model: ClientConnection) -> None:
        self._phone = phone
        self._model = model
        self._stream_sid = ""
        self._marks = 0

    async def run(self) -> None:
        """Until either side ends."""
        await self._tell(type="session.update", session=SESSION)
        await self._tell(type="response.create")
        up = asyncio.ensure_future(self._up())
        down = asyncio.ensure_future(self._down())
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        down.cancel()

    async def _up(self) -> None:
        async for message in self._phone:
            told = json.loads(message)
            match told["event"]:
                case "media":
                    audio = told["media"]["payload"]
                    await self._tell(type="input_audio_buffer.append", audio=audio)
                case "start":
                    self._stream_sid = told["start"]["streamSid"]
                case "stop":
                    return
                case _:
                    pass

    async def _down(self) -> None:
        async for message in self._model:
            told = json.loads(message)
            if told["type"] == "response.output_audio.delta" and self._stream_sid:
                await self._say(event="media", media={"payload": told["delta"]})
                self._marks += 1
                await self._say(event="mark", mark={"name": str(self._marks)})

    async def _say(self, **message: Any) -> None:
        await self._phone.send(json.dumps({**message, "streamSid": self._stream_sid}))

    async def _tell(self, **event: Any) -> None:
        await self._model.send(json.dumps(event))


async def _main(port: int, model_url: str) -> None:
    async def carry(phone: ServerConnection) -> None:
        try:
            async with connect(model_url, compression=None) as model:
                await Call(phone, model).run()
        except ConnectionClosed:
            pass

    async with serve(carry, "127.0.0.1", port, compression=None):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    gc.set_threshold(100_000, 50, 50)
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
