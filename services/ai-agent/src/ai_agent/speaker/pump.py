"""A provider's sentence, carried from its own task to whoever plays it, within time bounds.

Called by the Speaker. A provider that hangs is left behind at once: its task cleans up alone.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ai_agent.speaker.provider import VoiceFailed
from runtime.tasks import Tasks

PIECES = 64
"""Pieces that may wait to be played; then the provider waits."""
_End = VoiceFailed | None


async def pumped(
    speech: AsyncGenerator[bytes], *, first_s: float, next_s: float, tasks: Tasks
) -> AsyncGenerator[bytes]:
    """The pieces of ``speech``: the first within ``first_s`` seconds, each other within
    ``next_s``.

    Raises VoiceFailed, also for one that is late or gave no audio at all.
    """
    queue: asyncio.Queue[bytes | _End] = asyncio.Queue(PIECES)
    task = tasks.isolate(_pump(speech, queue), "pump")
    within, began = first_s, False
    try:
        while True:
            try:
                async with asyncio.timeout(within):
                    piece = await queue.get()
            except TimeoutError:
                raise VoiceFailed("no audio in time") from None
            if isinstance(piece, VoiceFailed):
                raise piece
            if piece is None:
                break
            within, began = next_s, True
            yield piece
    finally:
        task.cancel()
    if not began:
        raise VoiceFailed("no audio")


async def _pump(speech: AsyncGenerator[bytes], queue: "asyncio.Queue[bytes | _End]") -> None:
    end: _End = None
    async with aclosing(speech):
        try:
            async for piece in speech:
                if piece:
                    await queue.put(piece)
        except VoiceFailed as error:
            end = error
        except Exception:
            await queue.put(VoiceFailed("a defect"))
            raise  # logged and counted by the supervisor
    await queue.put(end)
