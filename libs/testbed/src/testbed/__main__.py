"""`python -m testbed demo | demo-full | up | call | migrate | doctor`: behind the Makefile."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from testbed.demo import call, demo
from testbed.demo_full import demo_full
from testbed.desk_link import login_link
from testbed.doctor import doctor
from testbed.launcher import Launch, running, until_stopped
from testbed.layout import migration_folders
from testbed.migrations import migrate, migrations_table
from testbed.process import StartError
from testbed.screen import Screen

REPOSITORY = Path(__file__).resolve().parents[4]


def main() -> int:
    """Parse arguments and run; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m testbed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("demo", "one whole spoken call, judged"),
        ("demo-full", "a call with PIN, keys, a barge-in and a model that fails, judged"),
        ("up", "the system, to call"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--data", type=Path, default=REPOSITORY / ".run" / name)
        command.add_argument("--free-ports", action="store_true", help="not the documented ports")
        command.add_argument("--agents", type=int, default=1, help="agent workers")
    commands.add_parser("migrate", help="create or update the tables of DATABASE_URL")
    caller = commands.add_parser("call", help="spoken calls into the system started by up")
    caller.add_argument("--data", type=Path, default=REPOSITORY / ".run" / "up")
    caller.add_argument("--count", type=int, default=1, help="calls at once")
    looker = commands.add_parser("doctor", help="what is wrong with settings and the outside")
    looker.add_argument("--data", type=Path, default=REPOSITORY / ".run" / "up")
    looker.add_argument("--json", action="store_true", help="for programs")
    given = parser.parse_args()
    try:
        if given.command == "migrate":
            return asyncio.run(migrate_all(os.environ.get("DATABASE_URL", "")))
        if given.command == "call":
            return asyncio.run(call(given.data, given.count))
        if given.command == "doctor":
            return asyncio.run(doctor(given.data, os.environ, as_json=given.json))
        launch = Launch(
            REPOSITORY,
            given.data,
            dict(os.environ),
            free_ports=given.free_ports,
            agents=given.agents,
            show_logs=given.command == "up",
        )
        run = {"demo": demo, "demo-full": demo_full, "up": up}[given.command]
        return asyncio.run(run(launch))
    except KeyboardInterrupt:
        return 130


async def migrate_all(dsn: str) -> int:
    """Apply every service's migrations to one database; the exit code."""
    screen = Screen()
    if not dsn:
        screen.say("DATABASE_URL is not set: give the database to create the tables in", "bad")
        return 2
    try:
        for service, folder in migration_folders(REPOSITORY).items():
            await migrate(dsn, folder, table=migrations_table(service))
            screen.say(f"{service}: up to date")
    except StartError as error:
        screen.say(str(error), "bad")
        return 1
    return 0


async def up(launch: Launch) -> int:
    """Start everything and stay up until Ctrl-C; the exit code."""
    screen = Screen()
    screen.say("Trunkline: starting the system")
    try:
        async with running(launch, screen) as started:
            stack = started.stack
            screen.say(
                f"\nThe desk:  {stack.dashboard_url}\n"
                f"To log in: {await login_link(started.system)} (once, within 15 minutes)\n"
                f"Events:    nats sub --server {stack.nats_url} 'call.*.event.>'\n"
                f"Twilio:    voice webhook {stack.public_url}/twilio/voice,"
                f" media {stack.public_stream_url}/twilio/media\n"
                f"The phone: {stack.dashboard_url}/phone (in a browser, with a microphone)\n"
                f"A call:    make call (simulated phone"
                f"{', local voice model' if started.local_model else ''})\n"
                "Ctrl-C stops everything."
            )
            failure = await until_stopped(stack)
            if failure is not None:
                screen.say(failure, "bad")
            return 1 if failure else 0
    except StartError as error:
        screen.say(f"cannot start: {error}", "bad")
        return 1


if __name__ == "__main__":
    sys.exit(main())
