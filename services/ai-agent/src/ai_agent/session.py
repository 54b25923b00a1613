"""One Realtime session from opening to closing (shell): its socket, configured, ready to talk."""

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from ai_agent import metrics
from ai_agent.held_call import HeldCall
from ai_agent.realtime.connection import RealtimeConnection, SessionFailed, connected
from runtime import clock, logging

_log = logging.get("session")

DELAYS_S = (0.1, 0.3, 1.0, 2.0)
"""Waits between the tries to open one; each is varied, so that many calls do not try at once."""
TRIES = len(DELAYS_S) + 1
FIRST_TRIES = 3
"""Of a call that just began: its caller hears nothing until then."""
_random = random.SystemRandom()
EARLY_S = 180
"""A session is renewed at the latest this long before its end."""


class Ended(Struct, frozen=True):
    """Why a session ended. ``given_up``: no other would do better. ``in_words``: see Reopen."""

    kind: Literal["given_up", "lost", "renewed"]
    reason: str
    in_words: bool = False


class Session:
    """A configured socket; ``close`` it, whatever happens. ``renew_ms``: when another should take
    its place, monotonic.
    """

    def __init__(
        self, model: RealtimeConnection, stack: contextlib.AsyncExitStack, renew_ms: int
    ) -> None:
        self.model = model
        self.renew_ms = renew_ms
        self._stack = stack

    async def close(self) -> None:
        await self._stack.aclose()


async def opened(held: HeldCall, so_far: str = "") -> Session:
    """A new session for the call, whose brief is known. ``so_far``: the call as words, for its
    instructions. Raises SessionFailed.
    """
    brief, settings = held.brief, held.worker.settings
    if so_far:
        brief = dataclasses.replace(brief, instructions=f"{brief.instructions}\n\n{so_far}")
    timeout = settings.openai_connect_s
    async with contextlib.AsyncExitStack() as stack:
        model = await stack.enter_async_context(
            connected(
                held.worker.client,
                model=brief.model,
                safety_id=brief.safety_id,
                timeout=timeout,
            )
        )
        await model.configure(brief.session_update(answers=not held.floor.muted), timeout=timeout)
        seconds = float(settings.openai_session_s)
        if model.session.expires_at is not None:
            left = model.session.expires_at - clock.utc_now().timestamp()
            seconds = min(seconds, max(left - EARLY_S, left / 2))
        return Session(model, stack.pop_all(), clock.monotonic_ms() + round(seconds * 1000))
    raise AssertionError("the block returns or raises")


async def reopened(held: HeldCall, so_far: str = "", *, tries: int = TRIES) -> Session:
    """``opened``, tried again while there is hope. Raises SessionFailed."""
    for delay in _delays(tries):
        try:
            return await opened(held, so_far)
        except SessionFailed as error:
            metrics.SESSION_FAILED.inc()
            _log.warning("no session", call_id=held.id, reason=error.reason)
            if error.permanent or delay is None:
                raise
            await asyncio.sleep(delay)
    raise AssertionError("the last try returns or raises")


def _delays(tries: int) -> Iterator[float | None]:
    for delay in DELAYS_S[: tries - 1]:
        yield delay * _random.uniform(0.7, 1.3)
    yield None
