"""What is an outage of the database, and what is our own mistake."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from services.kernel.db import connect, is_outage, open_pool
from services.kernel.errors import ServiceError

_SOCKET = ".s.PGSQL.5432"


async def test_a_closed_connection_and_a_closed_pool_are_outages(database: str) -> None:
    connection = await connect(database, application_name="tests")
    await connection.close()
    with pytest.raises(asyncpg.InterfaceError) as closed:
        await connection.execute("SELECT 1")
    assert is_outage(closed.value)
    async with open_pool(database, application_name="tests") as pool:
        pass
    with pytest.raises(asyncpg.InterfaceError) as ended:
        await pool.execute("SELECT 1")
    assert is_outage(ended.value)


async def test_a_connection_that_the_server_ends_in_a_transaction_is_an_outage(database: str) -> None:
    async with open_pool(database, application_name="tests") as pool:
        errors: list[BaseException] = []
        try:
            async with pool.acquire() as db, db.transaction():
                for _ in range(2):
                    try:
                        await db.execute("SELECT pg_terminate_backend(pg_backend_pid())")
                    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                        errors.append(error)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            errors.append(error)
    assert len(errors) >= 2
    assert all(map(is_outage, errors)), errors


async def test_a_server_that_says_goodbye_and_has_not_hung_up_yet_is_an_outage(
    database: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("s")
    server = Path(database.rpartition("host=")[2]) / _SOCKET
    clients: list[asyncio.StreamWriter] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer)
        far_reader, far_writer = await asyncio.open_unix_connection(server)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

    async with await asyncio.start_unix_server(relay, folder / _SOCKET):
        url = database.rpartition("host=")[0] + f"host={folder}"
        connection = await connect(url, application_name="tests")
        goodbye = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
        clients[0].write(b"E" + (len(goodbye) + 4).to_bytes(4, "big") + goodbye)
        for _ in range(3):
            await asyncio.sleep(0)  # both ends are of this loop: it has arrived
        # Found by the chaos suite: the library trips over its own state until the connection is closed.
        with pytest.raises(asyncpg.InternalClientError) as gone:
            await connection.fetch("SELECT 1")
        assert is_outage(gone.value)
        connection.terminate()
        clients[0].close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize(("query", "arguments"), [("SELECT $1::int", ["x"]), ("SELECT 1", [1])])
async def test_wrong_arguments_are_no_outage(database: str, query: str, arguments: list[object]) -> None:
    connection = await connect(database, application_name="tests")
    try:
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as wrong:
            await connection.execute(query, *arguments)
        assert not is_outage(wrong.value)
    finally:
        await connection.close()


@pytest.mark.parametrize("url", ["nonsense", "postgresql://localhost:port/x", "postgresql://h/x?sslmode=some"])
async def test_a_url_that_is_none_is_told_at_once(url: str) -> None:
    with pytest.raises(ServiceError) as wrong:
        async with open_pool(url, application_name="tests"):
            pass
    assert wrong.value.reason == "INVALID_DATABASE_URL"


@pytest.mark.parametrize("change", [("/test_", "/none_"), ("drydock@", "nobody@")])
async def test_a_server_that_lets_nobody_in_is_no_outage(database: str, change: tuple[str, str]) -> None:
    with pytest.raises(ServiceError) as caught:
        async with open_pool(database.replace(*change), application_name="tests"):
            pass
    assert caught.value.reason == "DATABASE_REFUSED"


async def test_a_plan_made_while_a_queue_was_short_reads_no_whole_queue_later(database: str) -> None:
    async with open_pool(database, application_name="t", max_size=1) as pool, pool.acquire() as conn:
        await conn.execute("CREATE TABLE queue (turn int, body text); CREATE INDEX ON queue (turn)")
        await conn.execute("INSERT INTO queue VALUES (1, 'b'); ANALYZE queue")
        await conn.execute("PREPARE head AS SELECT body FROM queue WHERE turn > $1 ORDER BY turn LIMIT 1")
        await conn.execute("EXECUTE head (0)")
        await conn.execute("INSERT INTO queue SELECT n, 'b' FROM generate_series(1, 1000) AS n")

        plan = [str(line[0]) for line in await conn.fetch("EXPLAIN EXECUTE head (0)")]
    assert any("Index Scan" in line for line in plan), plan
    assert not any("Sort" in line for line in plan), plan
