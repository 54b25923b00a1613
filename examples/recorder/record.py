"""Records what callers say, a WAV file a call: `python record.py [FOLDER]`. nats-py alone.

The frames are kept as they are, mu-law 8 kHz. A file is whole after every frame, also if this is
killed.
"""

import asyncio
import os
import struct
import sys
from pathlib import Path

import nats
from nats.aio.msg import Msg

NATS_URL = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
FORMAT = struct.pack("<4sIHHIIHHH", b"fmt ", 18, 7, 1, 8000, 8000, 1, 8, 0)
"""Mu-law (7), one channel, 8,000 samples and bytes a second, a byte a sample of 8 bits."""


def header(size: int) -> bytes:
    """Of a WAV file with `size` bytes of audio."""
    fact, data = struct.pack("<4sII", b"fact", 4, size), struct.pack("<4sI", b"data", size)
    body = b"WAVE" + FORMAT + fact + data
    return struct.pack("<4sI", b"RIFF", len(body) + size) + body


async def keep(message: Msg) -> None:
    """Append a frame to the file of its call."""
    path = FOLDER / f"{message.subject.split('.')[1]}.wav"
    new = not path.exists()
    with path.open("w+b" if new else "r+b") as file:
        file.seek(0, os.SEEK_END)
        size = 0 if new else file.tell() - len(header(0))
        if new:
            file.write(header(0))
            print(f"recording {path}", flush=True)
        file.write(message.data)
        file.seek(0)
        file.write(header(size + len(message.data)))


async def main() -> None:
    """Record all calls until interrupted."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    client = await nats.connect(
        NATS_URL, name="recorder", inbox_prefix="_INBOX.subscriber", max_reconnect_attempts=-1
    )
    await client.subscribe("call.*.in.*.audio", cb=keep)
    for _ in range(2):  # nats-py's flush may overtake the subscription; a second one cannot
        await client.flush()
    print("waiting for calls", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
