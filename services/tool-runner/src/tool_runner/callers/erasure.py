"""``callers.forget``: everything tool-runner keeps of a number is removed, in one transaction."""

from msgspec import Struct

from protocol import subjects
from protocol.callers import CallerForgotten, ForgetCaller
from runtime import logging, sql
from runtime.errors import Refused
from runtime.micro import Endpoint, Request, json_handler
from tool_runner.callers import rules
from tool_runner.database import Database
from tool_runner.text import Invalid

_log = logging.get("erasure")

WITHIN_S = 20.0


class Erasure(Struct, frozen=True):
    """Answers ``callers.forget`` from ``database``."""

    database: Database

    def endpoints(self) -> list[Endpoint]:
        """The endpoint of the service, for runtime.micro."""
        return [
            Endpoint("forget", subjects.callers("forget"), json_handler(ForgetCaller, self.forget))
        ]

    async def forget(self, asked: ForgetCaller, _: Request) -> CallerForgotten:
        """Remove them and say what it was. A running call of theirs must have been ended, or it
        may make a new record. Raises Refused(400) for a number that can be none, Refused(503) when
        the database is away.
        """
        try:
            number = rules.number(asked.number)
        except Invalid as error:
            raise Refused(400, error.message) from error
        statements = sql.load("tool_runner.callers", "erasure.sql")
        async with self.database.transaction(WITHIN_S) as connection:
            found = await connection.fetchrow(statements["counts"], number)
            await connection.execute(statements["caller"], number)
            guesses = await connection.fetch(statements["guesses"], number)
            calls = await connection.fetch(statements["calls"], number)
        gone = CallerForgotten(
            found["caller_id"] if found else None,
            found["todos"] if found else 0,
            found["tool_results"] if found else 0,
            len(guesses),
            tuple(row["call_id"] for row in calls),
        )
        _log.info("caller forgotten", todos=gone.todos, calls=len(gone.calls))
        return gone
