"""When batches of caller audio leave: those of all calls that are full within some milliseconds
leave together, in one write to NATS.

A write costs more than all the work on a frame, so their number is what calls cost. app runs one.
"""

import asyncio
from collections.abc import Awaitable, Callable

Flush = Callable[[], Awaitable[None]]


class Pulse:
    """``batch_bytes``: mu-law bytes (8 a ms) of a full batch; ``together_s``: how long a full one
    waits for others.
    """

    def __init__(self, batch_bytes: int, together_s: float) -> None:
        self.batch_bytes = batch_bytes
        self._together_s = together_s
        self._full: list[Flush] = []
        self._some = asyncio.Event()

    def full(self, flush: Flush) -> None:
        """A batch is full: ``flush`` is called soon, once."""
        self._full.append(flush)
        self._some.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(self._together_s)
            self._some.clear()
            batches, self._full = self._full, []
            for flush in batches:
                await flush()
