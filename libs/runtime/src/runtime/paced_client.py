"""nats-py's client, whose writes are paced while there are many of them.

A write wakes the server, and that costs more than all the work on a message: what comes within
some milliseconds of the last write leaves in one. bus makes the client of a process.
"""

import asyncio
import time

from nats.aio.client import DEFAULT_FLUSH_TIMEOUT, Client

from runtime.pace import Pace

WRITE_EVERY_S = 0.005
WRITE_BURST = 8


class PacedClient(Client):
    """At most 200 writes a second in the long run; in calm times each is made at once."""

    async def flush(self, timeout: int = DEFAULT_FLUSH_TIMEOUT) -> None:
        """A barrier: the server has seen everything published before. nats-py's own writes its ping
        ahead of what is still pending.
        """
        if self._transport is not None and self.is_connected:
            self._transport.writelines(self._pending)
            self._pending, self._pending_data_size = [], 0
        await super().flush(timeout)

    async def _flusher(self) -> None:
        # nats-py makes a transport for every connection and runs this as long as it lasts; it
        # drains after each write, and gathers what is published meanwhile.
        transport, pace = self._transport, Pace(WRITE_EVERY_S, WRITE_BURST)
        assert transport is not None, "it is connected"
        drain = transport.drain

        async def paced() -> None:
            await drain()
            wait_s = pace.wait_s(time.monotonic())
            if wait_s > 0:
                await asyncio.sleep(wait_s)

        transport.drain = paced
        await super()._flusher()
