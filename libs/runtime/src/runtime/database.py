"""PostgreSQL for the services that have tables: the pool, transactions with a deadline, and how it
is noticed that the database is away. It knows no table's columns.

``connect`` waits until the database can be used; ``opened`` does not, for a service that has work
without it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, cast

import asyncpg
from prometheus_client import Gauge

from runtime import logging, sql
from runtime.clock import utc_now
from runtime.errors import Refused, ServiceError
from runtime.service import Shutdown, waiting
from runtime.settings import Secret, host_port

_log = logging.get("database")
_database_up = Gauge(
    "trunkline_database_up", "1 while PostgreSQL answers; 0: what needs it fails until it is back"
)

ACQUIRE_S = 2.0
"""Longest wait for a connection: somebody is on the phone, or looks at a page."""
CHECK_EVERY_S = 1.0
CHECK_WITHIN_S = 1.0
_COMMAND_S = 10.0
_CLOSE_S = 3.0

# asyncpg carries next to no types, and its timeouts take fractions.
_open = cast("Callable[..., Awaitable[Any]]", asyncpg.connect)

_GONE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # A connection that the server ended while nothing was asked may say so in this odd way.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    # A migration changed a table under a prepared statement: the next try prepares it again.
    asyncpg.InvalidCachedStatementError,
)
"""What asyncpg raises while the server is stopped, starting, full, frozen or unreachable."""


class Connection(Protocol):
    """What repositories use of an asyncpg connection. Rows are read by column name."""

    async def execute(self, query: str, *args: Any) -> str: ...
    async def fetch(self, query: str, *args: Any) -> Sequence[Mapping[str, Any]]: ...
    async def fetchrow(self, query: str, *args: Any) -> Mapping[str, Any] | None: ...
    async def fetchval(self, query: str, *args: Any) -> Any: ...


class DatabaseAway(Refused):
    """The database cannot be used right now (away, busy, without its tables): nothing happened."""

    def __init__(self, why: str = "the database is away") -> None:
        super().__init__(503, why)


class DeadlineMissed(Refused):
    """A transaction took longer than allowed: it was rolled back, or its commit went unanswered
    (then a repeat under the same idempotency key tells what happened).
    """

    def __init__(self) -> None:
        super().__init__(504, "the database did not confirm it in time")


class Database:
    """A pool of connections. Make it with ``connect``; it lives as long as that block."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool  # asyncpg.Pool, which carries no types
        self._sql = sql.load("runtime", "database.sql")
        self._away_since: datetime | None = None
        _database_up.set(1)

    @property
    def up(self) -> bool:
        """Whether the database answered when it was last asked."""
        return self._away_since is None

    @property
    def away_since(self) -> datetime | None:
        """Since when it does not answer; None while it does."""
        return self._away_since

    @contextlib.asynccontextmanager
    async def transaction(self, within_s: float) -> AsyncGenerator[Connection]:
        """One transaction, committed when the block ends and rolled back when it raises.

        Raises DatabaseAway (503) when the database is away, has no connection free within ACQUIRE_S
        or lacks the tables, and DeadlineMissed (504) when all of it took more than ``within_s``
        seconds.
        """
        deadline = asyncio.timeout(within_s)
        try:
            async with deadline:
                connection = await self._acquire()
                try:
                    async with _rolling_back(connection, self._sql["limit"], within_s):
                        yield connection
                finally:
                    with contextlib.suppress(*_GONE):
                        await self._pool.release(connection, timeout=1)
        except asyncpg.UndefinedTableError as error:
            raise DatabaseAway(
                "its tables are missing; run the migrations: make migrate"
            ) from error
        except _GONE as error:
            if deadline.expired() or isinstance(error, asyncpg.QueryCanceledError):
                raise DeadlineMissed() from error
            raise self._away(error) from error

    async def watch(self) -> None:
        """Ask the database every second, for ever, so that ``up`` is true to life."""
        while True:
            try:
                connection = await self._acquire()
                try:
                    async with asyncio.timeout(CHECK_WITHIN_S):
                        await connection.fetchval("SELECT 1")
                except BaseException:
                    connection.terminate()
                    raise
                finally:
                    await self._pool.release(connection, timeout=1)
            except _GONE as error:
                self._away(error)
            except Refused:
                pass  # said by _acquire
            else:
                self._is(True)
            await asyncio.sleep(CHECK_EVERY_S)

    async def _acquire(self) -> Any:
        try:
            return await self._pool.acquire(timeout=ACQUIRE_S)
        except _GONE as error:
            # With every connection in use the wait is over too, but the database may be well.
            if (
                isinstance(error, TimeoutError)
                and self._pool.get_size() == self._pool.get_max_size()
            ):
                raise DatabaseAway("the database is busy") from error
            raise self._away(error) from error

    def _away(self, error: BaseException) -> DatabaseAway:
        self._is(False, kind=type(error).__name__)
        return DatabaseAway()

    def _is(self, up: bool, **why: str) -> None:
        if up != self.up:
            self._away_since = None if up else utc_now()
            _database_up.set(up)
            if up:
                _log.info("database is back")
            else:
                _log.warning("database away", **why)


@contextlib.asynccontextmanager
async def _rolling_back(connection: Any, limit: str, within_s: float) -> AsyncGenerator[None]:
    try:
        transaction = connection.transaction()
        await transaction.start()
        # The server gives up too, should this process freeze while it holds locks.
        await connection.execute(limit, str(max(1, int(within_s * 1000))))
        try:
            yield
        except _GONE:
            raise
        except Exception:
            await transaction.rollback()
            raise
        await transaction.commit()
    except (asyncio.CancelledError, *_GONE):
        # A ROLLBACK would wait for the same server; a closed connection is rolled back by it.
        connection.terminate()
        raise


@contextlib.asynccontextmanager
async def connect(
    url: Secret,
    *,
    name: str,
    tables: Sequence[str],
    size: int,
    wait_s: int,
    shutdown: Shutdown,
) -> AsyncGenerator[Database]:
    """The database at ``url`` with at most ``size`` connections, known there as ``name``; waits
    until it answers and has ``tables``.

    Raises ServiceError with one sentence when it cannot be used in time, and at once when
    waiting cannot help (a malformed DATABASE_URL, a refused password).
    """
    where = _where(url)
    await waiting(where, lambda: _problem(url, where, tables), wait_s=wait_s, shutdown=shutdown)
    async with _pool(url, name, size) as pool:
        yield Database(pool)


@contextlib.asynccontextmanager
async def opened(
    url: Secret, *, name: str, tables: Sequence[str], size: int
) -> AsyncGenerator[Database]:
    """As ``connect``, without waiting: while the database cannot be used, transactions say so.

    Raises ServiceError as ``connect`` does where waiting cannot help.
    """
    problem = await _problem(url, _where(url), tables)
    if problem is not None:
        _log.warning("database cannot be used yet", problem=problem)
    async with _pool(url, name, size) as pool:
        yield Database(pool)


@contextlib.asynccontextmanager
async def _pool(url: Secret, name: str, size: int) -> AsyncGenerator[Any]:
    pool: Any = asyncpg.create_pool(
        url.reveal(),
        min_size=0,
        max_size=size,
        timeout=ACQUIRE_S,
        command_timeout=_COMMAND_S,
        server_settings={"application_name": name, "timezone": "UTC"},
    )
    await pool
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(_CLOSE_S):
                await pool.close()
        except _GONE:
            pool.terminate()


async def looked_at(
    url: Secret, tables: Sequence[str], newest_migration: str
) -> tuple[str | None, str]:
    """For a doctor, tried once: why the database cannot be used (None: it can), and what the
    statement ``newest_migration`` gives, "" for nothing. Raises ServiceError as ``connect`` does.
    """
    problem = await _problem(url, _where(url), tables)
    if problem is not None:
        return problem, ""
    try:
        async with asyncio.timeout(ACQUIRE_S):
            connection = await _open(url.reveal(), timeout=ACQUIRE_S)
            try:
                return None, str(await connection.fetchval(newest_migration) or "")
            finally:
                connection.terminate()
    except asyncpg.UndefinedTableError:
        return None, ""
    except (*_GONE, asyncpg.PostgresError) as error:
        return f"it does not answer ({type(error).__name__})", ""


def _where(url: Secret) -> str:
    return "PostgreSQL at {}:{} (DATABASE_URL)".format(*host_port(url.reveal(), default_port=5432))


async def _problem(url: Secret, where: str, tables: Sequence[str]) -> str | None:
    """Why the database cannot be used yet, as a phrase for ``waiting``; None when it can."""
    try:
        async with asyncio.timeout(ACQUIRE_S):
            connection = await _open(url.reveal(), timeout=ACQUIRE_S)
            try:
                missing: list[Mapping[str, Any]] = await connection.fetch(
                    sql.load("runtime", "database.sql")["missing_tables"], list(tables)
                )
            finally:
                connection.terminate()
    except asyncpg.InvalidAuthorizationSpecificationError:
        raise ServiceError(
            f"{where} refuses the user or the password: correct DATABASE_URL"
        ) from None
    except asyncpg.InvalidCatalogNameError:
        return "it has no database of that name; create it, or correct DATABASE_URL"
    except asyncpg.CannotConnectNowError:
        return "it is still starting"
    except (ValueError, asyncpg.ClientConfigurationError):
        raise ServiceError(
            "DATABASE_URL cannot be used: it must be like "
            "postgresql://user:password@host:5432/database"
        ) from None
    except (OSError, TimeoutError):
        return "nothing answers there; start it, or correct DATABASE_URL"
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return f"it refused the connection ({type(error).__name__})"
    if missing:
        names = ", ".join(row["name"] for row in missing)
        return f"the tables {names} are missing; run the migrations: make migrate"
    return None
