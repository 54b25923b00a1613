"""The endpoint ``callers.spend``: the day's total in USD, one number for all workers. Asked by
agents for each response that cost something.
"""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

from protocol import ids, subjects
from protocol.callers import DaySpend, Spend
from protocol.errors import InvalidToken
from runtime import clock, sql
from runtime.errors import Refused
from runtime.micro import Endpoint, Request, json_handler
from tool_runner.database import Connection, Database
from tool_runner.spend import rules
from tool_runner.text import Invalid

WITHIN_S = 5.0


class Spending:
    """The tables of spend, seen through one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = sql.load("tool_runner.spend", "queries.sql")

    async def add(self, key: str, day: date, usd: Decimal) -> None:
        """Add to the day's total, unless ``key`` was added before (to whatever day)."""
        if await self._connection.fetchrow(self._sql["claim"], key, day, usd) is not None:
            await self._connection.execute(self._sql["add"], day, usd)

    async def total(self, day: date) -> Decimal:
        """What was spent on that day."""
        total: Decimal = await self._connection.fetchval(self._sql["total"], day)
        return total

    async def forget(self, days: int) -> None:
        """Remove keys older than ``days``; the totals stay."""
        await self._connection.execute(self._sql["forget"], days)


class Ledger:
    """Adds up in ``database``; ``now`` says which day it is."""

    def __init__(self, database: Database, now: Callable[[], datetime] = clock.utc_now) -> None:
        self._database = database
        self._now = now

    def endpoints(self) -> list[Endpoint]:
        """The endpoint of the service, for runtime.micro."""
        return [Endpoint("spend", subjects.callers("spend"), json_handler(Spend, self.spend))]

    async def spend(self, asked: Spend, _: Request) -> DaySpend:
        """Add, and tell the total of today (UTC). Raises Refused: 400 for a bad key or amount, 503
        and 504 as the database does; a repeat under the same key then adds once.
        """
        try:
            ids.token(asked.key)
            usd = rules.amount(asked.usd)
        except (InvalidToken, Invalid) as error:
            raise Refused(400, str(error)) from error
        day = rules.day(self._now())
        async with self._database.transaction(WITHIN_S) as connection:
            spending = Spending(connection)
            if usd:
                await spending.add(asked.key, day, usd)
            return DaySpend(float(await spending.total(day)))
