"""``python -m tool_runner.set_pin --number +15550100001``: set or remove a caller's PIN. The PIN is
typed without being shown, or read from standard input; it is never an argument.
"""

import argparse
import asyncio
import sys
from getpass import getpass

from runtime import clock, logging, settings
from runtime.assistant import E164
from runtime.errors import Refused, ServiceError, SettingsError
from runtime.service import Shutdown
from runtime.settings import DatabaseSettings, Secret
from tool_runner import database
from tool_runner.callers import rules as callers
from tool_runner.callers.repository import Callers
from tool_runner.database import Database
from tool_runner.pins import rules
from tool_runner.pins.hasher import hashing
from tool_runner.pins.repository import Pins
from tool_runner.text import Invalid

_WITHIN_S = 10.0


async def set_pin(db: Database, number: str, pin: Secret, *, time_zone: str) -> bool:
    """Give the caller of ``number`` (made in ``time_zone`` if there is none) this PIN; whether it
    replaced one. Failures and lock-out of the number are forgotten. Raises Refused.
    """
    async with hashing() as hasher:
        hash = await hasher.hash(pin)
    async with db.transaction(_WITHIN_S) as connection:
        caller = await Callers(connection).identify(number, time_zone)
        pins = Pins(connection)
        had = await pins.standing(number, clock.utc_now())
        await pins.keep(caller, hash)
    return had.has_pin


async def remove_pin(db: Database, number: str) -> bool:
    """Take the PIN off the caller of ``number``; whether there was one. Raises Refused."""
    async with db.transaction(_WITHIN_S) as connection:
        caller = await Callers(connection).find(number)
        if caller is None:
            return False
        pins = Pins(connection)
        had = await pins.standing(number, clock.utc_now())
        await pins.keep(caller, None)
    return had.has_pin


def main() -> int:
    """The command; returns the exit code as a service does (see runtime.service.run)."""
    parser = argparse.ArgumentParser(prog="tool_runner.set_pin", description=__doc__)
    parser.add_argument("--number", required=True, help="number of the caller, like +15550100001")
    parser.add_argument("--time-zone", default="UTC", help="IANA name, for a new caller")
    parser.add_argument("--remove", action="store_true", help="remove the PIN")
    given = parser.parse_args()
    number: str = given.number
    masked = f"{number[:3]}****{number[-4:]}"
    try:
        loaded = settings.load(DatabaseSettings)
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"set_pin: {problem}\n")
        return 2
    logging.configure("set_pin", fmt=loaded.log_format, level=loaded.log_level)

    async def run(pin: Secret | None) -> str:
        async with database.connect(
            loaded.database_url, size=1, wait_s=loaded.startup_wait_s, shutdown=Shutdown()
        ) as db:
            if pin is None:
                had = await remove_pin(db, number)
                return f"removed the PIN of {masked}" if had else f"{masked} has no PIN"
            had = await set_pin(db, number, pin, time_zone=given.time_zone)
            return f"changed the PIN of {masked}" if had else f"set a PIN for {masked}"

    try:
        if not E164.match(number):
            raise Invalid("number", "the number must be like +15550100001")
        callers.zone(given.time_zone)
        done = asyncio.run(run(None if given.remove else _asked()))
    except (ServiceError, Invalid, Refused) as error:
        sys.stderr.write(f"set_pin: {error}\n")
        return 1
    sys.stdout.write(f"{done}\n")
    return 0


def _asked() -> Secret:
    """The PIN from the keyboard (twice) or the first line of standard input. Raises Invalid."""
    typed = sys.stdin.isatty()
    pin = rules.pin((getpass("PIN: ") if typed else sys.stdin.readline()).strip())
    if pin is None:
        raise Invalid("pin", "a PIN is 4 to 8 digits")
    if typed and rules.pin(getpass("PIN again: ").strip()) != pin:
        raise Invalid("pin", "the two PINs differ")
    return pin


if __name__ == "__main__":
    raise SystemExit(main())
