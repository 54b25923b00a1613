"""``python -m dashboard.doctor``: looks at what the desk needs: its settings, PostgreSQL with
current tables, somebody who may log in, and NATS.
"""

from dashboard.database import NEWEST_MIGRATION, TABLES
from dashboard.settings import Settings
from protocol.streams import CALLS
from runtime import database, doctor, doctor_database, doctor_nats, sql
from runtime.doctor import Check, Finding, note, ok

ADD = "Add one: python -m dashboard.add_operator NAME --role admin."


def main() -> int:
    """0: nothing is wrong, 1: something is."""
    return doctor.run("dashboard", Settings, checks)


def checks(settings: Settings) -> list[Check]:
    """All of the dashboard's."""
    statements = sql.load("dashboard", "doctor.sql")

    async def operators() -> list[Finding]:
        count = statements["operators"]
        problem, found = await database.looked_at(settings.database_url, TABLES, count)
        return [] if problem is not None else [people(int(found or 0))]

    return [
        doctor_database.check(
            settings,
            tables=TABLES,
            newest=NEWEST_MIGRATION,
            statement=statements["newest_migration"],
        ),
        Check("operators", operators),
        doctor_nats.check(settings, "dashboard", {CALLS.name: "webhooks"}),
    ]


def people(count: int) -> Finding:
    """What the number of operators who may log in means."""
    if not count:
        return note("operators", "Nobody may log in at the desk.", ADD)
    return ok("operators", f"Operators who may log in at the desk: {count}.")


if __name__ == "__main__":
    raise SystemExit(main())
