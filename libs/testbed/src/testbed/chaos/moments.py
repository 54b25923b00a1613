"""Instants worth striking at: what calls go through, told as it happens to whoever waits.

Fed by callers (their phases) and by the follower of the log (`tool_called`, `assigned`).
"""

import asyncio
from typing import Literal

Kind = Literal["assigned", "tool_called", "greeting", "owed", "speaking", "asking", "quiet"]


class Moments:
    """Wakes those who wait for a moment of a kind."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, int, asyncio.Future[str]]] = []
        self._over = False

    def happened(self, kind: str, call_id: str) -> None:
        """A call came to such a moment."""
        waiting, self._waiting = self._waiting, []
        for wanted, skip, future in waiting:
            if future.done():
                continue
            if wanted != kind:
                self._waiting.append((wanted, skip, future))
            elif skip > 0:
                self._waiting.append((wanted, skip - 1, future))
            else:
                future.set_result(call_id)

    def over(self) -> None:
        """No call goes through anything any more."""
        self._over = True
        for _, _, future in self._waiting:
            if not future.done():
                future.set_result("")

    async def next(self, kind: Kind, *, skip: int = 0) -> str:
        """The call that comes to the next moment of a kind, after `skip` others; "" for none."""
        if self._over:
            return ""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((kind, skip, future))
        return await future
