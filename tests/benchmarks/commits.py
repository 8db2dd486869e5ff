"""When tasks were committed: the database says so itself, to a session that listens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

import asyncpg

# PostgreSQL delivers a notification when the transaction that made it is committed, not before.
_TELL = """
CREATE FUNCTION bench_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('bench', json_build_array(NEW.tag, NEW.state)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER bench_tell AFTER INSERT OR UPDATE OF state ON scanner.task
    FOR EACH ROW EXECUTE FUNCTION bench_tell();
"""


class Commits:
    """Remembers when a task of a tag was first seen committed in a state."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], float] = {}
        self._heard = asyncio.Event()

    def hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        """Takes a notification."""
        tag, state = json.loads(str(payload))
        self._seen.setdefault((tag, state), time.monotonic())
        self._heard.set()

    async def at(self, tag: str, state: str) -> float:
        """Waits for the commit and returns its moment, by `time.monotonic`."""
        while (tag, state) not in self._seen:
            self._heard.clear()
            await self._heard.wait()
        return self._seen[tag, state]


@contextlib.asynccontextmanager
async def watched_commits(database_url: str) -> AsyncIterator[Commits]:
    """Listens to every change of a task's state until the end of the block."""
    commits = Commits()
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(_TELL)
        await connection.add_listener("bench", commits.hear)
        yield commits
    finally:
        await connection.close()
