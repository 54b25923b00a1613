"""``python -m dashboard.rebuild``: work out the whole history anew, from the events it keeps and
from what the log still holds. Desks may run meanwhile; forgotten calls stay forgotten.
"""

import argparse
import asyncio
import sys

from dashboard import database
from dashboard.history.archive import rebuild
from dashboard.settings import Settings
from runtime import bus as nats
from runtime import database as databases
from runtime import logging, settings
from runtime.errors import NatsAway, Refused, ServiceError, SettingsError
from runtime.service import Shutdown


async def run(loaded: Settings, *, without_log: bool) -> tuple[int, int]:
    """Rebuild: events added from the log, calls worked out. Raises ServiceError, Refused,
    NatsAway.
    """
    shutdown = Shutdown()

    async def said(text: str) -> None:
        sys.stderr.write(f"rebuild: {text}\n")

    async with databases.connect(
        loaded.database_url,
        name="rebuild",
        tables=database.TABLES,
        size=2,
        wait_s=loaded.startup_wait_s,
        shutdown=shutdown,
    ) as db:
        if without_log:
            return await rebuild(db, None, said)
        async with nats.connect(loaded, "rebuild", shutdown) as bus:
            return await rebuild(db, bus, said)


def main() -> int:
    """The command; returns the exit code as a service does (see runtime.service.run)."""
    parser = argparse.ArgumentParser(prog="dashboard.rebuild", description=__doc__)
    parser.add_argument(
        "--without-log", action="store_true", help="from the events kept alone: NATS is not asked"
    )
    given = parser.parse_args()
    try:
        loaded = settings.load(Settings)
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"rebuild: {problem}\n")
        return 2
    logging.configure("rebuild", fmt=loaded.log_format, level="warning")
    try:
        added, calls = asyncio.run(run(loaded, without_log=given.without_log))
    except (ServiceError, Refused, NatsAway) as error:
        sys.stderr.write(f"rebuild: {error}\n")
        return 1
    sys.stdout.write(f"{calls} calls worked out; {added} events were added from the log.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
