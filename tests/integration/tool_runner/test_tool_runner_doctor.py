"""The doctor's look at PostgreSQL: well, away, refused, without a database, without tables, old."""

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from runtime import doctor
from runtime.doctor import Finding
from runtime.settings import Secret
from testbed.migrations import migrate, migrations_table
from testbed.ports import free_port
from tool_runner.database import NEWEST_MIGRATION
from tool_runner.doctor import checks
from tool_runner.settings import Settings


async def looked(dsn: str) -> list[Finding]:
    settings = Settings(nats_url="nats://127.0.0.1:1", database_url=Secret(dsn))
    database = [check for check in checks(settings) if check.name == "postgres"]
    return await doctor.examine(database)


async def test_a_migrated_database(dsn: str) -> None:
    findings = await looked(dsn)
    assert [(f.check, f.verdict) for f in findings] == [("postgres", "ok"), ("migrations", "ok")]
    assert NEWEST_MIGRATION in findings[1].says
    password = urlsplit(dsn).password
    assert not password or not any(password in f.says for f in findings)


async def test_a_database_without_tables(database: str) -> None:
    (found,) = await looked(database)
    assert "the tables admitted_calls" in found.says
    assert found.remedy == "Run the migrations: make migrate."


async def test_a_database_that_is_a_migration_behind(database: str, tmp_path: Path) -> None:
    folder = Path(__file__).parents[3] / "services/tool-runner/migrations"
    await migrate(database, folder, table=migrations_table("tool-runner"))
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(
            "DELETE FROM tool_runner_migrations WHERE version = $1", NEWEST_MIGRATION
        )
        _, found = await looked(database)
        assert found.verdict == "wrong"
        assert f"needs {NEWEST_MIGRATION}" in found.says
        await connection.execute("DROP TABLE tool_runner_migrations")
        _, found = await looked(database)
        assert "no migration is noted" in found.says
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda url: url._replace(netloc=f"u:a-password@127.0.0.1:{free_port()}"), "nothing answ"),
        (lambda url: url._replace(path=f"/no_{secrets.token_hex(4)}"), "no database of that name"),
    ],
)
async def test_a_database_that_is_not_there(dsn: str, change: Any, says: str) -> None:
    (found,) = await looked(change(urlsplit(dsn)).geturl())
    assert found.verdict == "wrong"
    assert says in found.says
    assert "a-password" not in found.says + found.remedy
    assert "DATABASE_URL" in found.says + found.remedy


async def test_a_password_that_is_refused(dsn: str) -> None:
    url = urlsplit(dsn)
    netloc = f"{url.username}:not-it@{url.hostname}:{url.port}"
    (found,) = await looked(url._replace(netloc=netloc).geturl())
    assert "refuses the user or the password" in found.says
    assert "not-it" not in found.says


async def test_an_address_that_is_none() -> None:
    (found,) = await looked("http://not-a-database")
    assert "DATABASE_URL cannot be used" in found.says
