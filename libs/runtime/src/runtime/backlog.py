"""What a connection has not sent yet, and whether audio may be added to it.

A rush of all calls, after a pause of the process or from models that speak ahead, is more than a
socket takes at once: it waits. A socket that takes nothing is stuck: then audio is dropped.
"""

import asyncio

from nats.aio.client import Client

BOUND_BYTES = 128 * 1024
"""Unsent bytes past which audio waits for the socket to take some."""
STUCK_S = 0.25
"""How long it waits; once an absence, for what comes after that is dropped at once."""
_LOOK_S = 0.002


class Backlog:
    """Of one connection. ``ready`` is read for each message of audio."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._full_since_s: float | None = None

    @property
    def ready(self) -> bool:
        """Audio may be published at once; else ask ``has_room``."""
        if self._client.pending_data_size > BOUND_BYTES:
            return False
        self._full_since_s = None
        return self._client.is_connected

    async def has_room(self) -> bool:
        """Wait until it is ready; False when the socket is stuck or gone."""
        now = asyncio.get_running_loop().time
        if self._full_since_s is None:
            self._full_since_s = now()
        stuck_at_s = self._full_since_s + STUCK_S
        while self._client.is_connected and not self.ready:
            if now() >= stuck_at_s:
                return False
            await asyncio.sleep(_LOOK_S)
        return self._client.is_connected
