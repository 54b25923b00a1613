"""``python -m tool_runner.doctor``: looks at what tool-runner needs: its settings, PostgreSQL with
current tables, and NATS.
"""

from protocol.streams import CALLS
from runtime import doctor, doctor_database, doctor_nats, sql
from runtime.doctor import Check
from tool_runner.database import NEWEST_MIGRATION, TABLES
from tool_runner.settings import Settings


def main() -> int:
    """0: nothing is wrong, 1: something is."""
    return doctor.run("tool-runner", Settings, checks)


def checks(settings: Settings) -> list[Check]:
    """All of tool-runner's."""
    statement = sql.load("tool_runner", "doctor.sql")["newest_migration"]
    return [
        doctor_database.check(
            settings, tables=TABLES, newest=NEWEST_MIGRATION, statement=statement
        ),
        doctor_nats.check(settings, "tool-runner", {CALLS.name: "webhooks"}),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
