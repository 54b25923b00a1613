"""Whether silence proves anything: NATS answers this process, and its own loop runs on time.

pinger and placement ask it before they suspect a worker; legs are told when NATS goes and comes
back. app runs it.
"""

import asyncio
from collections.abc import Callable

from protocol import subjects
from protocol.ids import IngressId, WorkerId
from runtime import clock, logging
from runtime.bus import Bus
from runtime.errors import NatsAway, NoAnswer, Refused

_log = logging.get("reach")

LOOK_EVERY_S = 0.25
ANSWER_WITHIN_S = 0.7
"""NATS that took longer to answer counts as away, even while its connection stands."""
PROOF_WITHIN_S = 0.35
UNSURE_MS = 1000
"""After NATS came back others may still be coming back: their silence proves nothing yet."""
LATE_MS = 300
"""A loop that wakes so much later than asked may find answers unread: silence proves nothing."""


class Reach:
    """``near`` and ``gone`` are each other's opposite, for waiting."""

    def __init__(self, bus: Bus, name: IngressId) -> None:
        self._bus = bus
        # No worker has our name: NATS itself answers that nobody listens.
        self._nobody = subjects.agent_ping(WorkerId(name))
        self._sure_from_ms = clock.monotonic_ms()
        self._told: list[Callable[[bool], None]] = []
        self.near = asyncio.Event()
        self.near.set()
        self.gone = asyncio.Event()

    def on_change(self, callback: Callable[[bool], None]) -> Callable[[], None]:
        """Call ``callback(near)`` when NATS went (False) or came back (True, also after an absence
        too short to be noticed); returns what takes it off again.
        """
        self._told.append(callback)
        return lambda: self._told.remove(callback)

    async def run(self) -> None:
        """Look after NATS for ever."""
        forget = self._bus.on_reconnect(self._came_back)
        try:
            while True:
                began_ms = clock.monotonic_ms()
                await asyncio.sleep(LOOK_EVERY_S)
                now_ms = clock.monotonic_ms()
                if now_ms - began_ms > LOOK_EVERY_S * 1000 + LATE_MS:
                    self._sure_from_ms = max(self._sure_from_ms, now_ms)
                answers = await self._answers(ANSWER_WITHIN_S)
                if not answers and self.near.is_set():
                    _log.warning("nats does not answer")
                    self.near.clear()
                    self.gone.set()
                    self._tell(near=False)
                elif answers and self.gone.is_set():
                    self._came_back()
        finally:
            forget()

    async def sure(self, asked_ms: int) -> bool:
        """Whether the silence of somebody who was asked at ``asked_ms`` is his own: NATS answers
        now, did so all the time since, and had been back for a while.
        """
        if not await self._answers(PROOF_WITHIN_S):
            return False
        return self.near.is_set() and asked_ms >= self._sure_from_ms

    async def _answers(self, within_s: float) -> bool:
        if not self._bus.connected:
            return False
        try:
            await self._bus.request_raw(self._nobody, b"", timeout=within_s)
        except NoAnswer as answer:
            return answer.nobody
        except NatsAway:
            return False
        except Refused:
            pass
        return True

    def _came_back(self) -> None:
        self._sure_from_ms = clock.monotonic_ms() + UNSURE_MS
        self.gone.clear()
        self.near.set()
        self._tell(near=True)

    def _tell(self, *, near: bool) -> None:
        for callback in tuple(self._told):
            callback(near)
