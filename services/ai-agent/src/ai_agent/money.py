"""What a call spends, against the budgets of its profile: prices usage, tells tool-runner, which
adds up the day.
"""

from typing import Any, cast

from ai_agent.pricing import Budget, BudgetLimit, cost_usd, transcribed_s, transcription_usd
from protocol import subjects
from protocol.callers import DaySpend, Spend
from protocol.errors import DecodeError
from protocol.events import Tokens
from protocol.ids import EventId, new_event_id
from runtime import errors, logging
from runtime.assistant import Assistant
from runtime.bus import Bus

_log = logging.get("money")

ASK_S = 2.0


class Money:
    """The spending of one call."""

    def __init__(self, bus: Bus, assistant: Assistant, *, call_usd: float) -> None:
        self._bus = bus
        self._prices = assistant.prices
        self._limits = assistant.limits
        self._budget = Budget(assistant.limits, call_usd=call_usd)

    def cost(self, usage: dict[str, Any]) -> float | None:
        """USD of a ``usage_reported``'s fields, counted; None where the profile has no price."""
        cost = cost_usd(cast("Tokens", usage["tokens"]), self._prices)
        if usage["source"] == "transcription":
            seconds = transcribed_s(usage.get("seconds", 0.0), cast("Tokens", usage["tokens"]))
            by_time = transcription_usd(seconds, self._prices)
            cost = by_time if by_time is not None else cost
        self._budget.spent(cost)
        return cost

    async def spent(self, key: str, usd: float | None) -> BudgetLimit | None:
        """Add a cost to the day under ``key``; the limit that is reached now, if any."""
        if self._limits.day_usd and usd:
            await self._tell_day(key, usd)
        return self._budget.reached()

    async def spent_before(self) -> BudgetLimit | None:
        """The limit that is reached before the first word, if any: others spent the day."""
        if self._limits.day_usd:
            await self._tell_day(new_event_id(), 0.0)
        return self._budget.reached()

    async def _tell_day(self, key: str, usd: float) -> None:
        try:
            day: DaySpend = await self._bus.request(
                subjects.callers("spend"), Spend(EventId(key), usd), DaySpend, timeout=ASK_S
            )
            self._budget.day(day.usd)
        except (errors.NoAnswer, errors.NatsAway, errors.Refused, DecodeError) as error:
            _log.warning("day's spend not told", kind=type(error).__name__)
