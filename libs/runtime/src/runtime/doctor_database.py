"""The doctor's look at PostgreSQL: reached, let in, the tables there, the migrations current.

A part of doctor, for the services with tables.
"""

from collections.abc import Sequence

from runtime import database
from runtime.doctor import Check, Finding, ok, wrong
from runtime.settings import DatabaseSettings, host_port

MIGRATE = "Run the migrations: make migrate, or the image trunkline/migrations."


def check(
    settings: DatabaseSettings, *, tables: Sequence[str], newest: str, statement: str
) -> Check:
    """``newest`` is the version of the last migration that this service's code knows,
    ``statement`` the SQL that gives the last one applied.
    """

    async def look() -> list[Finding]:
        where = "{}:{}".format(*host_port(settings.database_url.reveal(), default_port=5432))
        problem, applied = await database.looked_at(settings.database_url, tables, statement)
        if problem is not None:
            says, _, remedy = problem.partition("; ")
            remedy = f"{remedy[:1].upper()}{remedy[1:]}." if remedy else ""
            return [wrong("postgres", f"PostgreSQL at {where} (DATABASE_URL): {says}.", remedy)]
        return [ok("postgres", f"PostgreSQL at {where} lets us in."), current(newest, applied)]

    return Check("postgres", look)


def current(newest: str, applied: str) -> Finding:
    """What the last migration applied means for code that knows ``newest``."""
    if not applied:
        says = "The tables are there, but no migration is noted for them."
        return wrong("migrations", says, MIGRATE)
    if applied < newest:
        says = f"The tables are of migration {applied}, and this service needs {newest}."
        return wrong("migrations", says, MIGRATE)
    return ok("migrations", f"The tables are current (migration {applied}).")
