"""Asks the workers every 250 ms whether they still hold this process's calls, and tells the call
that lost its worker.

One Pinger serves all legs. It asks a worker once for all its calls; it never looks for another
worker (holder does).
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Generator
from typing import Literal, Protocol

from protocol import subjects
from protocol.errors import DecodeError
from protocol.ids import CallId, Epoch, WorkerId
from protocol.placement import PingCalls, PingReply
from runtime import clock, logging
from runtime.bus import Bus
from runtime.errors import NatsAway, NoAnswer, Refused
from runtime.tasks import Tasks
from stream_ingress.placement import Agents
from stream_ingress.reach import LATE_MS, Reach

_log = logging.get("pinger")

PING_EVERY_S = 0.25
ANSWER_WITHIN_S = 0.35
TRIES = 2
"""250 + 2 * 350 ms: a worker that froze is noticed within a second."""

Loss = Literal["gone", "silent", "lost", "stuck"]
"""gone: nobody listens any more. silent: asked twice in vain. lost: the worker says that it does
not hold the call. stuck: the worker lives, the call in it does not.
"""


class Watched(Protocol):
    """What is used of a call here. ``worker`` is None while nobody is known to hold it."""

    @property
    def call(self) -> CallId: ...
    @property
    def epoch(self) -> Epoch: ...
    @property
    def worker(self) -> WorkerId | None: ...
    def look(self, now_ms: int) -> None: ...
    def steadily_fed(self, now_ms: int) -> bool: ...
    def lost(self, epoch: Epoch, loss: Loss) -> None: ...


class Pinger:
    """The calls that this process carries, and the watch over their workers."""

    def __init__(self, bus: Bus, agents: Agents, reach: Reach) -> None:
        self._bus = bus
        self._agents = agents
        self._reach = reach
        self._watched: dict[CallId, Watched] = {}
        self._asking: set[WorkerId] = set()

    @contextlib.contextmanager
    def watching(self, watched: Watched) -> Generator[None]:
        """Watch over a call during the block. Of two legs of a call the newer is watched."""
        self._watched[watched.call] = watched
        try:
            yield
        finally:
            if self._watched.get(watched.call) is watched:
                del self._watched[watched.call]

    async def run(self) -> None:
        """Ask every 250 ms, for ever."""
        async with Tasks("pinger") as tasks:
            while True:
                await asyncio.sleep(PING_EVERY_S)
                now_ms = clock.monotonic_ms()
                calls: defaultdict[WorkerId, dict[CallId, Epoch]] = defaultdict(dict)
                for watched in self._watched.values():
                    watched.look(now_ms)
                    if watched.worker is not None:
                        calls[watched.worker][watched.call] = watched.epoch
                if not self._reach.near.is_set():
                    continue
                for worker, held in calls.items():
                    if worker not in self._asking:
                        self._asking.add(worker)
                        tasks.isolate(self._ask(worker, held), "ask")

    async def _ask(self, worker: WorkerId, held: dict[CallId, Epoch]) -> None:
        try:
            await self._judge(worker, held)
        finally:
            self._asking.discard(worker)

    async def _judge(self, worker: WorkerId, held: dict[CallId, Epoch]) -> None:
        began_ms = clock.monotonic_ms()
        loss: Loss = "silent"
        for _ in range(TRIES):
            asked_ms = clock.monotonic_ms()
            try:
                reply: PingReply = await self._bus.request(
                    subjects.agent_ping(worker), PingCalls(held), PingReply, timeout=ANSWER_WITHIN_S
                )
            except NoAnswer as silence:
                if silence.nobody:
                    loss = "gone"
                    break
                if clock.monotonic_ms() - asked_ms > ANSWER_WITHIN_S * 1000 + LATE_MS:
                    return  # our own loop was late: the answer may be there, unread
            except (Refused, DecodeError, NatsAway):
                return  # somebody is there, or nothing can be known
            else:
                self._believe(reply, held)
                return
        if await self._reach.sure(began_ms):
            _log.warning("worker is dead", worker_asked=worker, loss=loss, calls=len(held))
            self._agents.suspect(worker)
            for call, epoch in held.items():
                self._tell(call, epoch, loss)

    def _believe(self, reply: PingReply, held: dict[CallId, Epoch]) -> None:
        now_ms = clock.monotonic_ms()
        for call in reply.lost:
            if call in held:
                self._tell(call, held[call], "lost")
        for call in reply.stuck:
            watched = self._watched.get(call)
            if call in held and watched is not None and watched.steadily_fed(now_ms):
                self._tell(call, held[call], "stuck")

    def _tell(self, call: CallId, epoch: Epoch, loss: Loss) -> None:
        watched = self._watched.get(call)
        if watched is not None:
            watched.lost(epoch, loss)
