"""The service ``callers.*``: who is calling. Asked by agents at the start of a call and by the
desk; it tells nothing about todos.
"""

from msgspec import Struct

from protocol import subjects
from protocol.todos import Caller, CallerList, IdentifyCaller, ListCallers
from runtime.errors import Refused
from runtime.micro import Endpoint, Request, json_handler
from tool_runner.callers import rules
from tool_runner.callers.repository import Callers
from tool_runner.database import Database
from tool_runner.text import Invalid

WITHIN_S = 5.0
MOST_LISTED = 500


class Directory(Struct, frozen=True):
    """Answers ``callers.*`` from ``database``."""

    database: Database

    def endpoints(self) -> list[Endpoint]:
        """The endpoints of the service, for runtime.micro."""
        return [
            Endpoint(
                "identify",
                subjects.callers("identify"),
                json_handler(IdentifyCaller, self.identify),
            ),
            Endpoint("list", subjects.callers("list"), json_handler(ListCallers, self.listing)),
        ]

    async def identify(self, asked: IdentifyCaller, _: Request) -> Caller:
        """Find or make the caller. Raises Refused(400) for an empty or overlong number or an
        unknown time zone, Refused(503) when the database is away.
        """
        try:
            number = rules.number(asked.number)
            rules.zone(asked.time_zone)
        except Invalid as error:
            raise Refused(400, error.message) from error
        async with self.database.transaction(WITHIN_S) as connection:
            return await Callers(connection).identify(number, asked.time_zone)

    async def listing(self, asked: ListCallers, _: Request) -> CallerList:
        """The callers with the newest todos first, at most MOST_LISTED."""
        limit = min(max(asked.limit, 1), MOST_LISTED)
        async with self.database.transaction(WITHIN_S) as connection:
            return CallerList(await Callers(connection).recent(limit))
