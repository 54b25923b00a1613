"""PostgreSQL for the repositories: the pool, transactions with a deadline, and how it is noticed
that the database is away. Called by app, the endpoints and the seed; it knows no table's columns.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import asyncpg

from runtime import logging
from runtime.errors import Refused, ServiceError
from runtime.service import Shutdown, waiting
from runtime.settings import Secret, host_port
from tool_runner import metrics, sql

_log = logging.get("database")

ACQUIRE_S = 2.0
"""Longest wait for a connection: a caller is on the phone."""
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
        self._sql = sql.load("tool_runner", "database.sql")
        self._up = True
        metrics.database_up.set(1)

    @property
    def up(self) -> bool:
        """Whether the database answered when it was last asked."""
        return self._up

    @contextlib.asynccontextmanager
    async def transaction(self, within_s: float) -> AsyncGenerator[Connection]:
        """One transaction, committed when the block ends and rolled back when it raises.

        Raises Refused(503) when the database is away or has no connection free within ACQUIRE_S,
        and DeadlineMissed (504) when all of it took more than ``within_s`` seconds.
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
                raise Refused(503, "the database is busy") from error
            raise self._away(error) from error

    def _away(self, error: BaseException) -> Refused:
        self._is(False, kind=type(error).__name__)
        return Refused(503, "the database is away")

    def _is(self, up: bool, **why: str) -> None:
        if up != self._up:
            self._up = up
            metrics.database_up.set(up)
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
    url: Secret, *, size: int, wait_s: int, shutdown: Shutdown
) -> AsyncGenerator[Database]:
    """The database at ``url`` with at most ``size`` connections; waits until it answers and has
    its tables.

    Raises ServiceError with one sentence when it cannot be used in time, and at once when
    waiting cannot help (a malformed DATABASE_URL, a refused password).
    """
    where = "PostgreSQL at {}:{} (DATABASE_URL)".format(*host_port(url.reveal(), default_port=5432))
    await waiting(where, lambda: _problem(url, where), wait_s=wait_s, shutdown=shutdown)
    pool: Any = asyncpg.create_pool(
        url.reveal(),
        min_size=0,
        max_size=size,
        timeout=ACQUIRE_S,
        command_timeout=_COMMAND_S,
        server_settings={"application_name": "tool-runner", "timezone": "UTC"},
    )
    await pool
    try:
        yield Database(pool)
    finally:
        try:
            async with asyncio.timeout(_CLOSE_S):
                await pool.close()
        except _GONE:
            pool.terminate()


async def _problem(url: Secret, where: str) -> str | None:
    """Why the database cannot be used yet, as a phrase for ``waiting``; None when it can."""
    try:
        async with asyncio.timeout(ACQUIRE_S):
            connection = await _open(url.reveal(), timeout=ACQUIRE_S)
            try:
                missing: list[Mapping[str, Any]] = await connection.fetch(
                    sql.load("tool_runner", "database.sql")["missing_tables"]
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
