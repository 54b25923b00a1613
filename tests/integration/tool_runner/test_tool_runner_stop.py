"""tool-runner as a process whose database lost its name: a stop does not wait for the resolver."""

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from testbed.migrations import migrate, migrations_table
from testbed.ports import free_port

# Stands in for a resolver: one name is the loopback address, until it gives no answer any more.
RESOLVER = """
import os, socket, time
real = socket.getaddrinfo
def getaddrinfo(host, *args, **more):
    if host in ("database.test", b"database.test"):
        if os.path.exists(os.environ["GONE"]):
            open(os.environ["GONE"], "a").write("asked\\n")
            time.sleep(90)
        host = "127.0.0.1"
    return real(host, *args, **more)
socket.getaddrinfo = getaddrinfo
"""
RESOLVER_S = 90
PATIENCE_S = 30.0


async def test_a_name_that_no_longer_resolves_does_not_hold_up_the_end(
    tmp_path: Path, database: str, migrations: Path, nats_server: Any
) -> None:
    await migrate(database, migrations, table=migrations_table("tool-runner"))
    (tmp_path / "sitecustomize.py").write_text(RESOLVER)
    gone = tmp_path / "gone"
    url = urlsplit(database)
    netloc = url.netloc.replace(url.hostname or "", "database.test")
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tool_runner"),
            env={
                "PYTHONPATH": str(tmp_path),
                "GONE": str(gone),
                "DATABASE_URL": url._replace(netloc=netloc).geturl(),
                "NATS_URL": nats_server.url,
                "TOOL_RUNNER_ADMIN_PORT": str(free_port()),
            },
            stdout=out,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                while '"serving"' not in log.read_text():
                    assert process.returncode is None, log.read_text()
                    await asyncio.sleep(0.05)
            gone.touch()
            # Whoever holds a connection loses it, as with a server that went away.
            connection = await asyncpg.connect(database)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await connection.close()
            async with asyncio.timeout(PATIENCE_S):
                while "asked" not in gone.read_text():
                    assert process.returncode is None, log.read_text()
                    await asyncio.sleep(0.05)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(RESOLVER_S):
                assert await process.wait() == 0, log.read_text()
            assert time.monotonic() - began < RESOLVER_S / 2, "it waited for the resolver"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    said = log.read_text()
    assert "service stopped" in said
    assert "Traceback" not in said
