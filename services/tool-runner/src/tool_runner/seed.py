"""``python -m tool_runner.seed --number +15550100001``: example todos around today for one caller,
for demos and first tries. Run again it adds nothing that is there; ``--reset`` starts over.
"""

import argparse
import asyncio
import sys
from datetime import date, timedelta

from msgspec import Struct

from protocol.todos import Caller, ChangeTodo
from runtime import clock, logging, settings
from runtime.errors import Refused, ServiceError, SettingsError
from runtime.service import Shutdown
from runtime.settings import DatabaseSettings
from tool_runner import database
from tool_runner.callers import rules as caller_rules
from tool_runner.callers.repository import Callers
from tool_runner.database import Database
from tool_runner.text import Invalid
from tool_runner.todos import rules
from tool_runner.todos.repository import Todos

_WITHIN_S = 10.0


class Example(Struct, frozen=True):
    """A todo due ``in_days`` from the caller's today."""

    description: str
    in_days: int
    done: bool = False


EXAMPLES = (
    Example("pay the rent", -3, done=True),
    Example("return the library books", -2),
    Example("call the dentist", 0),
    Example("water the plants", 0),
    Example("send the report", 1),
    Example("book the flights", 9),
)


async def seed(
    db: Database, *, number: str, name: str, time_zone: str, reset: bool
) -> tuple[Caller, int]:
    """Give the caller of ``number`` (made if there is none) the examples; how many were added.

    ``reset`` removes all their todos first. Raises Invalid and Refused.
    """
    number = caller_rules.number(number)
    caller_rules.zone(time_zone)
    now = clock.utc_now()
    async with db.transaction(_WITHIN_S) as connection:
        callers = Callers(connection)
        caller = await callers.identify(number, time_zone)
        if name:
            caller = await callers.rename(caller.caller_id, name) or caller
        mine = Todos(connection, caller.caller_id)
        if reset:
            await mine.delete_all()
        today = rules.today(now, caller_rules.zone(caller.time_zone))
        added = 0
        for example in EXAMPLES:
            due = today + timedelta(days=example.in_days)
            if not await _there(mine, example.description, due):
                todo = await mine.add(example.description, due)
                if example.done:
                    done = ChangeTodo(caller.caller_id, todo.id, completed=True)
                    await mine.change(done, now - timedelta(days=1))
                added += 1
    return caller, added


async def _there(mine: Todos, description: str, due: date) -> bool:
    return any(todo.description == description for todo in await mine.all_between(due, due))


def main() -> int:
    """The command; returns the exit code as a service does (see runtime.service.run)."""
    parser = argparse.ArgumentParser(prog="tool_runner.seed", description=__doc__)
    parser.add_argument("--number", required=True, help="number of the caller, like +15550100001")
    parser.add_argument("--name", default="", help="name to give the caller")
    parser.add_argument("--time-zone", default="UTC", help="IANA name, for a new caller")
    parser.add_argument("--reset", action="store_true", help="remove the caller's todos first")
    given = parser.parse_args()
    try:
        loaded = settings.load(DatabaseSettings)
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"seed: {problem}\n")
        return 2
    logging.configure("seed", fmt=loaded.log_format, level=loaded.log_level)

    async def run() -> int:
        async with database.connect(
            loaded.database_url, size=1, wait_s=loaded.startup_wait_s, shutdown=Shutdown()
        ) as db:
            _, added = await seed(
                db,
                number=given.number,
                name=given.name,
                time_zone=given.time_zone,
                reset=given.reset,
            )
            return added

    try:
        added = asyncio.run(run())
    except (ServiceError, Invalid, Refused) as error:
        sys.stderr.write(f"seed: {error}\n")
        return 1
    sys.stdout.write(f"seeded {added} todos\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
