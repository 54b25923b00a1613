"""What one leg tells the holder of its call: the caller's audio, keys, and what was heard of the
agent's, in the order in which it was put.

line_in and line_out put without waiting; it leaves with the pulse, together with that of other
calls. While NATS is away what is put is dropped, and whoever put it may be told.
"""

from collections import deque
from collections.abc import Callable

from protocol import line
from runtime.bus import Bus
from runtime.errors import NatsAway
from stream_ingress.pulse import Pulse

Message = line.Clock | line.Dtmf | line.Heard | line.Cleared
Dropped = Callable[[], None]


class Uplink:
    """Of one leg."""

    def __init__(self, bus: Bus, pulse: Pulse) -> None:
        self._bus = bus
        self._pulse = pulse
        self._waiting: deque[tuple[str, bytes | Message, Dropped | None]] = deque()

    def put(self, subject: str, message: bytes | Message, dropped: Dropped | None = None) -> None:
        """To be published: bytes are audio. ``dropped`` is called when NATS did not take it."""
        if not self._waiting:
            self._pulse.due(self.flush)
        self._waiting.append((subject, message, dropped))

    async def flush(self) -> None:
        """Publish what waits."""
        bus, waiting = self._bus, self._waiting
        while waiting:
            subject, message, dropped = waiting.popleft()
            if isinstance(message, bytes):
                taken = await bus.publish_audio(subject, message)
            else:
                taken = await self._told(subject, message)
            if not taken and dropped is not None:
                dropped()

    async def _told(self, subject: str, message: Message) -> bool:
        if not self._bus.connected:
            return False
        try:
            await self._bus.publish(subject, message)
        except NatsAway:
            return False
        return True
