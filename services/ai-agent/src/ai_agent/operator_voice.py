"""The voice of an operator who took a call over, from NATS to the caller's ear (shell of
operator_turn).

Made by the orders of a call; runs only while an operator speaks.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import Counter

from ai_agent.held_call import HeldCall
from ai_agent.operator_turn import Effect, EndItem, Lapsed, PassOn
from protocol import subjects
from runtime import clock, logging
from runtime.subscribed import Message

_log = logging.get("operator")
_dropped = Counter(
    "trunkline_operator_audio_dropped_total",
    "Messages of an operator's voice that came in a rush or to nobody",
)
TICK_S = 0.05


class OperatorVoice:
    """``lapsed(operator)`` is awaited when nothing came of it any more."""

    def __init__(self, held: HeldCall, lapsed: Callable[[str], Awaitable[None]]) -> None:
        self._held = held
        self._lapsed = lapsed
        self._running: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """The log has the takeover: let the voice through, until it is given back."""
        self._held.floor.begin(clock.monotonic_ms())
        if self._running is None:
            self._running = self._held.tasks.isolate(self._run(), "operator voice")

    async def end(self) -> None:
        """It is the assistant's turn again, after what came of the voice."""
        await self._perform(self._held.floor.give_back(clock.monotonic_ms()))

    async def _run(self) -> None:
        held, floor = self._held, self._held.floor
        before = floor.dropped

        async def came(message: Message) -> None:
            await self._perform(floor.on_audio(message.data, clock.monotonic_ms()))

        subscribed = await held.worker.bus.subscribe(subjects.operator_audio(held.id), came)
        try:
            while floor.muted and not held.ended:
                await asyncio.sleep(TICK_S)
                await self._perform(floor.on_tick(clock.monotonic_ms()))
        finally:
            self._running = None
            await subscribed.stop()
            _dropped.inc(floor.dropped - before)

    async def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case PassOn():
                    await self._held.line.play(effect.item_id, effect.audio)
                case EndItem():
                    await self._held.line.done(effect.item_id)
                case Lapsed():
                    _log.warning("operator fell silent", call_id=self._held.id)
                    await self._lapsed(effect.operator)
