"""An operator for tests of ai-agent: commands to a call, and a voice on its line."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from line_end import LineEnd

from protocol import subjects
from protocol.commands import Command, Done, RefusalCode, Refused, Reply

VOICE = bytes(range(0x10, 0x60)) * 2
"""20 ms of an operator's voice, loud; unlike anything that the model's tones hold."""
HUSH = b"\xfe" * 160
FRAME_S = 0.02


async def told(bus, end: LineEnd, command: Command, timeout: float = 10) -> Reply:
    return await bus.request(subjects.command(end.call), command, Reply, timeout=timeout)


async def done(bus, end: LineEnd, command: Command) -> None:
    assert await told(bus, end, command) == Done()


async def refused(bus, end: LineEnd, command: Command, code: RefusalCode) -> str:
    """The command is refused so; gives the reason."""
    reply = await told(bus, end, command)
    assert isinstance(reply, Refused), reply
    assert reply.code == code, reply
    assert reply.message
    return reply.message


class Voice:
    """Speaks frames of ``frame`` in real time."""

    def __init__(self, end: LineEnd, frame: bytes) -> None:
        self.end = end
        self.frame = frame

    async def run(self) -> None:
        while True:
            await self.end.bus.publish_audio(subjects.operator_audio(self.end.call), self.frame)
            await asyncio.sleep(FRAME_S)


@contextlib.asynccontextmanager
async def speaking(end: LineEnd, frame: bytes = VOICE) -> AsyncIterator[Voice]:
    """An operator speaks during the block."""
    voice = Voice(end, frame)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(voice.run())
        try:
            yield voice
        finally:
            running.cancel()


def of_operator(end: LineEnd) -> bytes:
    """What the line got of operators, all items in order."""
    return b"".join(bytes(end.audio[item]) for item in end.audio if item.startswith("operator:"))


def of_model(end: LineEnd) -> list[str]:
    """Items of anybody else."""
    return [item for item in end.audio if not item.startswith("operator:")]
