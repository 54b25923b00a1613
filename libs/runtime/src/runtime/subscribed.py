"""A running subscription: messages to a handler, one at a time, whatever becomes of one of them.

bus makes them.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from prometheus_client import Counter

from protocol.errors import DecodeError
from runtime import logging
from runtime.paced_client import PacedClient

Message = Msg
"""What a handler gets: ``subject``, ``data``, ``headers``, ``reply``."""
Handler = Callable[[Message], Awaitable[None] | None]
Quick = Callable[[Message], bool]
"""Handles a message without waiting, or leaves it to the handler (False)."""
_log = logging.get("bus")
_bad = Counter("trunkline_messages_undecodable_total", "Messages not what their subject says")


class Subscribed:
    """Made by ``Bus.subscribe``."""

    def __init__(self, client: PacedClient, handler: Handler, quick: Quick | None) -> None:
        self._client = client
        self._handler = handler
        self._quick = quick
        self._busy = False
        self._subscription: Subscription | None = None

    async def begin(self, subject: str, queue: str) -> None:
        self._subscription = await self._client.subscribe(subject, queue=queue, cb=self._handle)
        if self._quick is not None:
            self._client.quick[self._subscription._id] = self._take  # pyright: ignore[reportPrivateUsage]

    async def stop(self) -> None:
        """No further message; those not yet handled are dropped. Safe to call twice and after the
        close.
        """
        assert self._subscription is not None, "it has begun"
        self._slow()
        with contextlib.suppress(nats.errors.Error):
            await self._subscription.unsubscribe()

    async def drain(self) -> None:
        """No further message from the server; those that came are handled first."""
        assert self._subscription is not None, "it has begun"
        with contextlib.suppress(nats.errors.Error):
            await self._subscription.drain()
        self._slow()

    def _slow(self) -> None:
        assert self._subscription is not None, "it has begun"
        self._client.quick.pop(self._subscription._id, None)  # pyright: ignore[reportPrivateUsage]

    def _take(self, message: Msg) -> bool:
        """As the connection is read. Never ahead of a message that waits or is being handled."""
        assert self._quick is not None, "only what is quick is shown to the client"
        assert self._subscription is not None, "it has begun"
        if self._busy or self._subscription.pending_msgs:
            return False
        try:
            return self._quick(message)
        except Exception as error:
            _failed(message, error)
            return True

    async def _handle(self, message: Msg) -> None:
        """In the subscription's own task."""
        self._busy = True
        try:
            doing = self._handler(message)
            if doing is not None:
                await doing
        except asyncio.CancelledError:
            # One that leaks out of a handler would end the subscription without a word; only a
            # cancellation of this very task may.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            _log.warning("message handler cancelled", subject=message.subject)
        except Exception as error:
            _failed(message, error)
        finally:
            self._busy = False


def _failed(message: Msg, error: Exception) -> None:
    if isinstance(error, DecodeError):
        _bad.inc()
        _log.warning("undecodable message", subject=message.subject, reason=str(error))
    else:
        _log.exception("message handler failed", subject=message.subject)
