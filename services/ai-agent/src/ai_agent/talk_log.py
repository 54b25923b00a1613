"""What one talk writes to the log (shell): each event, its metrics, and what it cost."""

from collections.abc import Callable
from typing import Any

from ai_agent import metrics
from ai_agent.held_call import HeldCall
from ai_agent.money import Money
from protocol.events import AgentEvent, OutputStopped, ResponseTimed, UsageReported


class TalkLog:
    """``spent_out(limit)`` is called when money has reached a limit."""

    def __init__(self, held: HeldCall, money: Money, spent_out: Callable[[str], None]) -> None:
        self._held = held
        self._money = money
        self._spent_out = spent_out

    def record(self, kind: type[AgentEvent], fields: dict[str, Any]) -> None:
        """Write an event, in order, without waiting."""
        if kind is OutputStopped:
            metrics.OUTPUT_STOPPED.inc()
        if kind is ResponseTimed:
            metrics.RESPONSE_SECONDS.observe(fields["response_ms"] / 1000)
        if kind is UsageReported:
            usd = self._money.cost(fields)
            event = self._held.event(kind, {**fields, "cost_usd": usd})
            self._held.outbox.append(event)
            self._held.tasks.isolate(self._spent(event.id, usd), "spend")
            return
        self._held.record(kind, fields)

    async def _spent(self, key: str, usd: float | None) -> None:
        reached = await self._money.spent(key, usd)
        if reached is not None:
            self._spent_out(reached)
