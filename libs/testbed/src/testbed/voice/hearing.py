"""Hearing off the event loop: utterances go to recognizer processes, one at a time each.

Owned by the local voice model's launcher or a test (async context manager); many sessions share
one Hearing. The processes end when their stdin closes, so none survives its owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
from asyncio.subprocess import PIPE, Process
from types import TracebackType

QUEUE_LIMIT = 64
"""Utterances that may wait for a process; beyond it `hear` itself waits."""

_LENGTH = struct.Struct(">I")
_STOP_TIMEOUT_S = 5.0
_Job = tuple[bytes, "asyncio.Future[str]"]


class HearingError(Exception):
    """A recognizer process ended; what it said is on stderr."""


class Hearing:
    """Understands the sentences of a JSGF grammar in mu-law 8 kHz audio."""

    def __init__(self, grammar: str, *, processes: int = 1) -> None:
        self._grammar = grammar
        self._count = processes
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue(QUEUE_LIMIT)
        self._processes: list[Process] = []
        self._feeders: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Hearing:
        """Start the processes; they load the model while the first utterance waits."""
        for _ in range(self._count):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "testbed.voice.recognizer", stdin=PIPE, stdout=PIPE
            )
            self._processes.append(process)
            _send(process, self._grammar.encode())
            self._feeders.append(asyncio.create_task(self._feed(process)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the processes and wait for their end; utterances still waiting are given up."""
        for feeder in self._feeders:
            feeder.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feeder
        while not self._jobs.empty():
            self._jobs.get_nowait()[1].cancel()
        for process in self._processes:
            await _stop(process)

    async def hear(self, utterance: bytes) -> str | None:
        """The sentence in mu-law 8 kHz audio, None if none was understood; takes about 0.1 s.

        Waits for a free process. Raises HearingError if the process is gone.
        """
        answer = asyncio.get_running_loop().create_future()
        await self._jobs.put((utterance, answer))
        return await answer or None

    async def _feed(self, process: Process) -> None:
        """One utterance after the other; an answer that nobody waits for is read all the same."""
        while True:
            utterance, answer = await self._jobs.get()
            if answer.done():
                continue
            try:
                _send(process, utterance)
                text = await _receive(process)
            except asyncio.CancelledError:
                answer.cancel()
                raise
            except (OSError, asyncio.IncompleteReadError) as error:
                if not answer.done():
                    answer.set_exception(
                        HearingError(f"the recognizer process {process.pid} ended: {error}")
                    )
                continue
            if not answer.done():
                answer.set_result(text)


def _send(process: Process, payload: bytes) -> None:
    assert process.stdin is not None, "opened with a pipe"
    process.stdin.write(_LENGTH.pack(len(payload)) + payload)


async def _receive(process: Process) -> str:
    assert process.stdout is not None, "opened with a pipe"
    (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
    return (await process.stdout.readexactly(length)).decode()


async def _stop(process: Process) -> None:
    assert process.stdin is not None, "opened with a pipe"
    process.stdin.close()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
