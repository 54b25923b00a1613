"""The embedded PostgreSQL: a real client, kill -9, freezing, private folders and errors."""

import asyncio
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from testbed import infra, postgres_files
from testbed.ports import LOOPBACK, is_free
from testbed.postgres import Postgres
from testbed.process import StartError


@pytest.fixture
def open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="trunkline-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def fresh_name() -> str:
    return f"test_{secrets.token_hex(6)}"


async def query(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_each_database_is_fresh_utf8_and_in_utc(database: str) -> None:
    assert await query(database, "SELECT count(*) FROM pg_tables WHERE schemaname='public'") == 0
    assert await query(database, "SHOW server_encoding") == "UTF8"
    assert await query(database, "SHOW timezone") == "UTC"
    assert await query(database, "SELECT gen_random_uuid() IS NOT NULL") is True


async def test_a_database_can_be_copied_from_a_template(postgres_server: Postgres) -> None:
    name = fresh_name()
    template = await postgres_server.create_database(name)
    await query(template, "CREATE TABLE t AS SELECT 7 AS n")
    copy = await postgres_server.create_database(fresh_name(), template=name)
    assert await query(copy, "SELECT n FROM t") == 7


async def test_a_refused_or_unsafe_database_name_is_an_error(postgres_server: Postgres) -> None:
    name = fresh_name()
    await postgres_server.create_database(name)
    with pytest.raises(StartError, match=f'database "{name}" already exists'):
        await postgres_server.create_database(name)
    with pytest.raises(ValueError, match="not a plain database name"):
        await postgres_server.create_database('x"; DROP DATABASE made_once; --')


async def test_one_server_through_kill_freeze_restart_and_a_new_start(open_folder: Path) -> None:
    server = await Postgres.start(open_folder / "data")
    try:
        dsn, first = server.dsn, server.pid
        await query(dsn, "CREATE TABLE kept AS SELECT 1 AS n")
        connection = await asyncpg.connect(dsn)

        server.suspend()
        frozen = asyncio.create_task(connection.fetchval("SELECT 2"))
        await asyncio.wait({frozen}, timeout=0.2)
        assert not frozen.done(), "open connections freeze with the server"
        server.resume()
        assert await asyncio.wait_for(frozen, 20) == 2

        server.suspend()
        await server.kill()
        assert not server.running
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await connection.fetchval("SELECT 3")
        connection.terminate()

        await server.restart()
        assert server.dsn == dsn
        assert server.pid != first
        assert await query(dsn, "SELECT n FROM kept") == 1
        await server.stop()
        assert is_free(server.port)

        server = await Postgres.start(open_folder / "data", server.port)
        assert server.dsn == dsn, "the password stays with the data"
        with pytest.raises(asyncpg.InvalidPasswordError):
            await query(f"postgres://postgres:wrong@{LOOPBACK}:{server.port}/postgres", "")
        assert await query(dsn, "SELECT n FROM kept") == 1
    finally:
        await server.stop()


async def test_a_taken_port_and_a_broken_folder_are_named(open_folder: Path) -> None:
    server = await Postgres.start(open_folder / "data")
    await server.stop()
    taken = pytest.raises(StartError, match=f"port {server.port} for PostgreSQL is taken")
    with socket.create_server((LOOPBACK, server.port)), taken:
        await server.restart()
    (open_folder / "data/data/PG_VERSION").write_text("9.1\n")
    with pytest.raises(StartError, match=r"died at its start with code 1: .*FATAL"):
        await Postgres.start(open_folder / "data")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
async def test_under_root_a_private_folder_becomes_a_link_to_reachable_data(tmp_path: Path) -> None:
    link = tmp_path / "data"
    os.chmod(tmp_path, 0o700)
    server = await Postgres.start(link)
    target = link.resolve()
    try:
        assert link.is_symlink()
        await query(server.dsn, "CREATE TABLE kept AS SELECT 1 AS n")
        await server.stop()
        server = await Postgres.start(link)
        assert await query(server.dsn, "SELECT n FROM kept") == 1
        await server.stop()
        link.unlink()
        server = await Postgres.start(link)
        assert link.resolve() == target
        assert await query(server.dsn, "SELECT to_regclass('kept')") is None, "no link, no data"
    finally:
        await server.stop()
        shutil.rmtree(target)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
async def test_under_root_private_binaries_are_copied_once_for_many_starters(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_files, "_readable_by_all", lambda _: False)
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))
    found = await asyncio.gather(*(asyncio.to_thread(postgres_files.binaries) for _ in range(3)))
    assert len(set(found)) == 1
    assert found[0].is_relative_to(open_folder)
    assert len(os.listdir(open_folder)) == 1, "losers of the race leave nothing behind"
    server = await Postgres.start(open_folder / "data")
    assert await query(server.dsn, "SELECT 1") == 1
    await server.stop()


async def test_a_given_dsn_is_used_as_it_is(postgres_server: Postgres, tmp_path: Path) -> None:
    async with infra.postgres(postgres_server.dsn, tmp_path / "unused") as given:
        assert await query(await given.create_database(fresh_name()), "SELECT 1") == 1
    assert not (tmp_path / "unused").exists()
