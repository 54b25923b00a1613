"""What services offer, asked every few seconds beside the pages, so that no page waits for it."""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from runtime.bus import Bus
from runtime.clock import utc_now
from runtime.discovery import Counted, Served, counts, discover
from runtime.errors import NatsAway

REFRESH_S = 5.0


class Offer(Struct, frozen=True):
    """What everybody answered ``at`` (UTC; None: nobody was asked yet)."""

    served: tuple[Served, ...] = ()
    counted: Mapping[tuple[str, str], Counted] = {}
    at: datetime | None = None


class Box:
    """The newest answers. One question that nobody answers may be lost; two are an answer."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.offer = Offer()
        self._unanswered = 0

    async def refresh(self) -> None:
        """Ask every service now. Raises NatsAway."""
        answers = await discover(self._bus)
        counted = await counts(self._bus)
        self._unanswered = 0 if answers.anybody else self._unanswered + 1
        if self._unanswered != 1 or self.offer.at is None:
            self.offer = Offer(answers.served, counted, utc_now())

    async def follow(self) -> None:
        """Keep the answers fresh, for ever."""
        while True:
            with contextlib.suppress(NatsAway):  # every page says since when it is away
                await self.refresh()
            await asyncio.sleep(REFRESH_S)
