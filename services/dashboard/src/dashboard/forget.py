"""``python -m dashboard.forget NUMBER``: forget a caller everywhere, and say what was removed.

A running call of theirs is ended first. Nothing can be taken back: calls, words, todos and tool
results are gone.
"""

import argparse
import asyncio
import sys

from dashboard import database
from dashboard.add_operator import COMMAND
from dashboard.history.forget import Forgetter, NoNumber, NotForgotten, Report, number_of
from dashboard.settings import Settings
from runtime import bus as nats
from runtime import database as databases
from runtime import logging, settings
from runtime.errors import Refused, ServiceError, SettingsError
from runtime.service import Shutdown


async def forget(loaded: Settings, number: str) -> Report:
    """Forget the caller of ``number``. Raises NotForgotten, ServiceError, Refused."""
    shutdown = Shutdown()
    async with (
        databases.connect(
            loaded.database_url,
            name="forget",
            tables=database.TABLES,
            size=2,
            wait_s=loaded.startup_wait_s,
            shutdown=shutdown,
        ) as db,
        nats.connect(loaded, "forget", shutdown) as bus,
    ):
        return await Forgetter(db, bus).forget(number, COMMAND)


def main() -> int:
    """The command; returns the exit code as a service does (see runtime.service.run)."""
    parser = argparse.ArgumentParser(prog="dashboard.forget", description=__doc__)
    parser.add_argument("number", help="the whole number, like +4930123456, or a SIP address")
    given = parser.parse_args()
    try:
        loaded = settings.load(Settings)
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"forget: {problem}\n")
        return 2
    logging.configure("forget", fmt=loaded.log_format, level="warning")
    try:
        report = asyncio.run(forget(loaded, number_of(given.number)))
    except (NoNumber, NotForgotten, ServiceError, Refused) as error:
        sys.stderr.write(f"forget: {error}\n")
        return 1
    sys.stdout.write("\n".join(report.lines()) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
