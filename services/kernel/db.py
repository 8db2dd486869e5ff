"""The connection pool to PostgreSQL, the one truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import structlog

from services.kernel.errors import Kind, ServiceError, invalid

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:  # asyncpg's classes take no parameters at run time
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection

log = structlog.get_logger()

_COMMAND_SECONDS = 30.0
# The server's own: by these it notices that a client is gone. We notice a server that is gone by our deadlines.
_KEEPALIVE = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
# Our statements are short, and their best plan is the same whatever the arguments. Left to itself the server plans
# them anew for every execution, as long as tables are cut by hash: 0.2 to 0.4 ms each, most of its work.
# And a plan stays with its connection: one that was made while a queue was short would later read all of a long
# one, so that reading whole tables is left to statements that have no index.
_PLANS = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
_OUTAGES = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver may say of a connection whose server was killed in mid-answer
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.TransactionRollbackError,
    OSError,
    TimeoutError,
)
"""What may pass by itself; ask `is_outage`, which knows our own mistakes among them."""
_REFUSALS = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""What the URL is to blame for."""


def is_outage(error: BaseException) -> bool:
    """Tells whether an error passes by itself.

    The database is away, restarting, too slow, or chose us as the victim of a deadlock. Arguments that a query
    cannot take are no outage: tried again, they fail again.
    """
    if isinstance(error, asyncpg.InternalClientError):
        # The server has said goodbye and has not hung up yet: the library then trips over its own state.
        return str(error).startswith(("cannot switch to state", "not connected"))
    if isinstance(error, asyncpg.InterfaceError):
        # It tells of a closed connection; but what derives from it, or speaks of arguments, of our own mistake.
        return type(error) is asyncpg.InterfaceError and "argument" not in str(error)
    return isinstance(error, _OUTAGES)


@asynccontextmanager
async def open_pool(
    url: str,
    *,
    application_name: str,
    max_size: int = 10,
    patience_seconds: float = 30.0,
) -> AsyncIterator[Pool]:
    """Opens a pool and closes it at exit.

    A database that is still starting is waited for. Connections go back to the pool without a reset query:
    nothing may leave state on one (no SET, no session lock, no LISTEN).

    Args:
        url: of the database.
        application_name: by which the database lists the connections.
        max_size: how many connections there are at most.
        patience_seconds: how long a database that does not answer is waited for.

    Raises:
        ServiceError: DATABASE_UNAVAILABLE when it does not answer for `patience_seconds`; DATABASE_REFUSED;
            INVALID_DATABASE_URL.
    """
    settings = {"application_name": application_name, **_KEEPALIVE, **_PLANS}
    pool = await _connect(url, settings, max_size, patience_seconds)
    try:
        yield pool
    finally:
        await _close(pool)


async def describe_server(pool: Pool) -> str:
    """Returns version, database and user in words for people."""
    row = await pool.fetchrow(
        "SELECT current_setting('server_version') AS version, current_database() AS name, current_user AS owner"
    )
    return "" if row is None else f"PostgreSQL {row['version']}, database {row['name']}, user {row['owner']}"


async def connect(url: str, *, application_name: str) -> asyncpg.Connection[asyncpg.Record]:
    """Opens one connection of its own, for what needs a session: LISTEN and advisory locks.

    A command that gets no answer for 30 s ends with a TimeoutError, an outage. Whoever only listens asks something
    now and then: nothing else tells of a server that went without a word.
    """
    return await asyncpg.connect(
        url,
        timeout=10,
        command_timeout=_COMMAND_SECONDS,
        server_settings={"application_name": application_name, **_KEEPALIVE},
    )


async def _connect(url: str, settings: dict[str, str], max_size: int, patience_seconds: float) -> Pool:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_seconds
    while True:
        try:
            return await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=max_size,
                timeout=10,
                command_timeout=_COMMAND_SECONDS,
                max_inactive_connection_lifetime=300,
                reset=_leave_as_it_is,
                server_settings=settings,
            )
        except ValueError:
            # Not with what the driver says: it quotes pieces of the URL, which may be pieces of the password.
            raise invalid(
                "INVALID_DATABASE_URL",
                "The database's URL, or a parameter in it, cannot be read.",
                hint="It looks like postgresql://USER:PASSWORD@HOST:PORT/DATABASE.",
            ) from None
        except _REFUSALS as error:
            raise refused() from error
        except Exception as error:
            if not is_outage(error):
                raise
            if loop.time() >= give_up:
                raise unavailable() from error
            log.info("database.awaited", error=type(error).__name__)
            await asyncio.sleep(0.2)


async def _leave_as_it_is(connection: Connection) -> None:
    # The default RESET costs one round trip and half of the server's time for each release.
    del connection


async def _close(pool: Pool) -> None:
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except TimeoutError:
        pool.terminate()


def unavailable() -> ServiceError:
    """The error that callers see while the database is away."""
    return ServiceError(
        Kind.UNAVAILABLE,
        "DATABASE_UNAVAILABLE",
        "The database does not answer.",
        hint="Try again in a few seconds.",
        retry_after=2.0,
    )


def refused() -> ServiceError:
    """The error of a URL whose user, password or database the server does not know."""
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "DATABASE_REFUSED",
        "The database server does not let us in: it knows no such user, password or database.",
        hint="Look at the user, the password and the name of the database in DRYDOCK_DATABASE_URL.",
    )
