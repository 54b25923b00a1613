"""``python -m dashboard.add_operator NAME --role admin``: add an operator, or let one in again.

Prints a one-time link with which NAME logs in and may set a password. With ``--password`` the
password is typed instead, without being shown, or read from standard input; it is never an
argument.
"""

import argparse
import asyncio
import sys
from getpass import getpass

from dashboard import database
from dashboard.database import Connection
from dashboard.people import door, rules, trail
from dashboard.people.operator import ROLES, Operator, Role
from dashboard.people.passwords import hashing
from dashboard.people.repository import People
from dashboard.settings import Settings
from runtime import database as databases
from runtime import logging, settings
from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Refused, ServiceError, SettingsError
from runtime.service import Shutdown
from runtime.settings import Secret

_WITHIN_S = 10.0
COMMAND = Operator("(command)", "admin")
"""Stands in the trail for whoever can run commands beside the database."""


async def add_operator(
    db: Database, name: str, role: Role | None, password: Secret | None, url: str
) -> tuple[str, str]:
    """Add ``name``, or change an operator of that name: another role if one is given, enabled.
    Gives a sentence on what was done, and the link, "" when a password was set instead.

    Raises ServiceError for a new operator without a role, Refused as the database does.
    """
    hash = None
    if password is not None:
        async with hashing() as passwords:
            hash = await passwords.hash(password)
    async with db.transaction(_WITHIN_S) as connection:
        people = People(connection)
        await people.exclusively()
        record = await people.find(name)
        if record is None:
            if role is None:
                raise ServiceError(f"there is no operator {name} yet: give a --role")
            await door.add(connection, COMMAND, name, role)
            said = f"Added {name}, {role}."
        else:
            said = await _changed(connection, name, role, was=record.role, out=record.disabled)
        if hash is None:
            await trail.record(connection, COMMAND, "link_made", subject=name)
            return said, await door.make_link(connection, name, url, utc_now())
        await people.set_hash(name, hash)
        await people.end_all(name)
        await trail.record(connection, COMMAND, "password_changed", subject=name)
    return f"{said} The password is set.", ""


async def _changed(
    connection: Connection, name: str, role: Role | None, *, was: Role, out: bool
) -> str:
    people = People(connection)
    if role is not None and role != was:
        await people.set_role(name, role)
        await people.end_all(name)
        await trail.record(connection, COMMAND, "role_changed", subject=name, detail=role)
    if out:
        await people.set_disabled(name, disabled=False)
        await trail.record(connection, COMMAND, "operator_enabled", subject=name)
    return f"{name} is {role or was}."


def main() -> int:
    """The command; returns the exit code as a service does (see runtime.service.run)."""
    parser = argparse.ArgumentParser(prog="dashboard.add_operator", description=__doc__)
    parser.add_argument("name", help="small letters, digits, dots, dashes, like mira")
    parser.add_argument("--role", choices=ROLES, help="needed for a new operator")
    parser.add_argument("--password", action="store_true", help="type a password: no link")
    given = parser.parse_args()
    try:
        loaded = settings.load(Settings)
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"add_operator: {problem}\n")
        return 2
    logging.configure("add_operator", fmt=loaded.log_format, level="warning")

    async def run(password: Secret | None) -> tuple[str, str]:
        async with databases.connect(
            loaded.database_url,
            name="add_operator",
            tables=database.TABLES,
            size=1,
            wait_s=loaded.startup_wait_s,
            shutdown=Shutdown(),
        ) as db:
            return await add_operator(db, given.name, given.role, password, loaded.dashboard_url)

    try:
        if (problem := rules.name_problem(given.name)) is not None:
            raise ServiceError(problem)
        said, link = asyncio.run(run(_asked(given.name) if given.password else None))
    except (ServiceError, Refused) as error:
        sys.stderr.write(f"add_operator: {error}\n")
        return 1
    sys.stdout.write(f"{said}\n")
    if link:
        minutes = rules.LINK_LIVES.seconds // 60
        sys.stdout.write(f"To log in, once, within {minutes} minutes:\n{link}\n")
    return 0


def _asked(name: str) -> Secret:
    """The password from the keyboard (twice) or the first line of standard input. Raises
    ServiceError.
    """
    typed = sys.stdin.isatty()
    password = getpass("Password: ") if typed else sys.stdin.readline().rstrip("\r\n")
    password = rules.same_form(password)
    if problem := rules.password_problem(password, name):
        raise ServiceError(problem)
    if typed and rules.same_form(getpass("Password again: ")) != password:
        raise ServiceError("the two passwords differ")
    return Secret(password)


if __name__ == "__main__":
    raise SystemExit(main())
