"""What the caller hears while nobody answers: a sentence when the line has nothing else to play,
and the end of the leg when NATS stays away.

A part of leg. Nobody answers while no worker holds the call, and while NATS is away.
"""

import asyncio
import contextlib
from collections.abc import Callable

from protocol.line import Intent
from stream_ingress.house import House
from stream_ingress.line_out import LineOut
from stream_ingress.local_sentences import Name

MOMENT_AFTER_S = 1.0
HOLD_EVERY_S = 10.0
LOOK_S = 0.1


class Patience:
    """``over`` says whether the leg has ended or is ending."""

    def __init__(
        self,
        house: House,
        line_out: LineOut,
        *,
        end: Callable[[Intent], None],
        over: Callable[[], bool],
    ) -> None:
        self._house = house
        self._line_out = line_out
        self._end = end
        self._over = over
        self._is_held = False
        self._answered = asyncio.Event()
        self._alone = asyncio.Event()
        self._alone.set()
        self.was_held = False
        """Somebody has held the call before: the caller does not wait for a first answer."""

    def held(self, *, held: bool) -> None:
        """A worker holds the call now, or none does."""
        self._is_held = held
        self.was_held = self.was_held or held
        self.reach_changed(self._house.reach.near.is_set())

    def reach_changed(self, near: bool) -> None:
        """NATS went away or came back."""
        if self._is_held and near:
            self._alone.clear()
            self._answered.set()
        else:
            self._answered.clear()
            self._alone.set()

    async def speak(self) -> None:
        """Keep the caller company whenever nobody else does, until the leg is ending."""
        while not self._over():
            await self._alone.wait()
            await self._until_answered()

    async def give_up(self) -> None:
        """End the leg once NATS has been away for too long."""
        reach = self._house.reach
        while True:
            await reach.gone.wait()
            if not await _happens(reach.near, self._house.away_for_s):
                self._end("handoff")
                return

    async def _until_answered(self) -> None:
        name: Name = "moment" if self.was_held else "hold"
        pause_s = MOMENT_AFTER_S if self.was_held else self._house.hold_after_s
        while not await _happens(self._answered, pause_s):
            while self._line_out.remaining_ms > 0:
                if await _happens(self._answered, LOOK_S):
                    return
            if self._over():
                return
            self._line_out.play(name, self._house.sentences[name])
            pause_s = HOLD_EVERY_S


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
            return True
    return False
