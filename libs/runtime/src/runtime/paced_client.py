"""nats-py's client, whose writes are paced while there are many of them.

A write wakes the server, and that costs more than all the work on a message: what comes within
some milliseconds of the last write leaves in one. bus makes the client of a process.
"""

import asyncio
import time
from collections.abc import Callable

from nats.aio.client import DEFAULT_FLUSH_TIMEOUT, Client
from nats.aio.msg import Msg

from runtime.pace import Pace

WRITE_EVERY_S = 0.005
WRITE_BURST = 8


Take = Callable[[Msg], bool]


class PacedClient(Client):
    """At most 200 writes a second in the long run; in calm times each is made at once."""

    def __init__(self) -> None:
        super().__init__()
        self.quick: dict[int, Take] = {}
        """By the id of a subscription: shown each message as it is read. What it takes (True) goes
        into no queue and wakes no task.
        """

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        take = self.quick.get(sid)
        if take is None or headers or not take(Msg(self, subject.decode(), reply.decode(), data)):
            await super()._process_msg(sid, subject, reply, data, headers)

    async def flush(self, timeout: int = DEFAULT_FLUSH_TIMEOUT) -> None:
        """A barrier: the server has seen everything published before. nats-py's own writes its ping
        ahead of what is still pending.
        """
        self.write_now()
        await super().flush(timeout)

    def write_now(self) -> None:
        """Write what is pending, whatever the pace."""
        if self._transport is not None and self.is_connected and self._pending:
            self._transport.writelines(self._pending)
            self._pending, self._pending_data_size = [], 0

    def hurry(self) -> None:
        """Call it before what must not wait for the pace is published: it is written when this turn
        of the loop ends.
        """
        asyncio.get_running_loop().call_soon(self.write_now)

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
