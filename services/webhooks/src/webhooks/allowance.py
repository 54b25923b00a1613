"""Which humans may be dialled now: OUTBOUND_PREFIXES and OUTBOUND_PER_MINUTE hold for the numbers
of profiles as for every other.

The count is shared by all webhooks processes, with the calls that are placed; while its bucket is
away each process counts for itself. Used by humans, before any ``<Dial>`` to a profile's number.
"""

import asyncio
from collections import deque
from typing import Literal

from runtime import clock
from runtime.errors import NatsAway
from webhooks.numbers import refusal
from webhooks.settings import Settings
from webhooks.wishes import Wishes

Barred = Literal["not_allowed", "too_many"]
"""Why nobody is dialled, as ``dial_ended`` says it."""
COUNT_S = 1.0
"""Seconds that the shared count may take: the caller hears silence meanwhile."""
_MINUTE_MS = 60_000


class Allowance:
    """What the settings allow, and what of it is used."""

    def __init__(self, settings: Settings, wishes: Wishes) -> None:
        self._prefixes = settings.outbound_prefixes
        self._per_minute = settings.outbound_per_minute
        self._wishes = wishes
        self._here_ms: deque[int] = deque()

    def refusal(self, number: str) -> str | None:
        """Why ``number`` may never be dialled, for a person; None when it may."""
        return refusal(number, self._prefixes)

    async def take(self, number: str, *, counted: bool = False) -> Barred | None:
        """Count a dial of ``number`` over all processes, unless it is ``counted``; why it must
        not be made, or None.
        """
        if self.refusal(number) is not None:
            return "not_allowed"
        if counted:
            return None
        try:
            async with asyncio.timeout(COUNT_S):
                counted = await self._wishes.slot(self._per_minute)
        except (NatsAway, TimeoutError):
            return self.take_here(number)
        return None if counted else "too_many"

    def take_here(self, number: str) -> Barred | None:
        """The same by this process's own count, for when the bucket cannot be asked."""
        if self.refusal(number) is not None:
            return "not_allowed"
        now_ms = clock.monotonic_ms()
        while self._here_ms and self._here_ms[0] <= now_ms - _MINUTE_MS:
            self._here_ms.popleft()
        if len(self._here_ms) >= self._per_minute:
            return "too_many"
        self._here_ms.append(now_ms)
        return None
