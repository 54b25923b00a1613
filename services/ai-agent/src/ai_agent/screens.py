"""The words of a talk on their way to screens, while they come (shell over ``live_words``).

Made by the talk for one session. Nobody may be looking, and nobody is waited for: words that NATS
does not take are lost, the log has them in the end.
"""

import contextlib
from collections.abc import Sequence

from ai_agent.effects import Record, Show
from ai_agent.live_words import LiveWords
from protocol import subjects
from protocol.events import Said, TurnTranscribed
from protocol.ids import CallId
from protocol.line import LiveTranscript
from runtime import clock
from runtime.bus import Bus
from runtime.errors import NatsAway


class Screens:
    """Of one call."""

    def __init__(self, bus: Bus, call: CallId) -> None:
        self._bus = bus
        self._subject = subjects.live_transcript(call)
        self._words = LiveWords()

    async def show(self, words: Show) -> None:
        """Words so far of an item; the newest go out a few times a second."""
        await self._publish(self._words.come(words, clock.monotonic_ms()))

    async def tick(self) -> None:
        """Called a few times a second."""
        await self._publish(self._words.due(clock.monotonic_ms()))

    async def written(self, record: Record) -> None:
        """The log gets this: some of it are the last words of an item."""
        fields = record.fields
        if record.kind is TurnTranscribed or (record.kind is Said and fields["done"]):
            await self._publish(self._words.done(fields["item_id"], clock.monotonic_ms()))

    async def end(self) -> None:
        """The session is over."""
        await self._publish(self._words.rest())

    async def _publish(self, shown: Sequence[Show]) -> None:
        with contextlib.suppress(NatsAway):
            for each in shown:
                words = LiveTranscript(each.item_id, each.party, each.text)
                await self._bus.publish(self._subject, words)
