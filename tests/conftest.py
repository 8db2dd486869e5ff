"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.databases import fresh_database, session_server


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real PostgreSQL that lives as long as the session."""
    with session_server(tmp_path_factory.mktemp("pg")) as url:
        yield url


@pytest.fixture
async def database(database_server: str) -> AsyncIterator[str]:
    """The URL of an empty database of the test's own."""
    async with fresh_database(database_server) as url:
        yield url
