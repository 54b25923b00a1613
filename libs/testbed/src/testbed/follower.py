"""Follows the events of calls over the public NATS protocol, as any outside subscriber would.

Speaks raw JSON: what it sees is what others see. Used by the demo and by `call`.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

Event = dict[str, Any]


class Follower:
    """An async context manager; `events[call_id]` grows as the log does."""

    def __init__(self, nats_url: str, *, on_event: Callable[[Event], None] | None = None) -> None:
        self.events: dict[str, list[Event]] = defaultdict(list)
        self._url = nats_url
        self._on_event = on_event
        self._client: Client | None = None
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._client = await nats.connect(
            self._url,
            name="testbed-follower",
            # After an absence of the server it must be back before the services speak again.
            reconnect_time_wait=0.05,  # pyright: ignore[reportArgumentType] -- a float works
            max_reconnect_attempts=-1,
        )
        await self._client.subscribe("call.*.event.>", cb=self._arrived)
        # One flush may overtake the subscription (nats-py); a second one cannot.
        await self._client.flush()
        await self._client.flush()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.close()

    def of(self, call_id: str, name: str) -> list[Event]:
        """The events of this name in a call so far."""
        return [event for event in self.events[call_id] if event["event"] == name]

    async def wait(
        self, call_id: str, condition: Callable[[list[Event]], bool], timeout: float
    ) -> bool:
        """Wait until the call's events satisfy `condition`; False after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: condition(self.events[call_id]))
        except TimeoutError:
            return False
        return True

    async def _arrived(self, message: Msg) -> None:
        event = json.loads(message.data)
        self.events[event["call_id"]].append(event)
        if self._on_event is not None:
            self._on_event(event)
        async with self._changed:
            self._changed.notify_all()
