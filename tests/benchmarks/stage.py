"""A whole Drydock in processes of its own, on a PostgreSQL of its own: what is measured shares no loop with us."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType

from services.kernel.embedded.postgres import embedded_postgres
from services.standalone import Running
from tests.commandline import drydock_up
from tests.running import Client, client_of


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BusChoice:
    """A bus, and how `drydock up` is told to use it."""

    name: str
    arguments: tuple[str, ...] = ()


BUSES = (BusChoice(name="postgresql"), BusChoice(name="kafka", arguments=("--kafka", "embedded")))
"""What is measured on each bus runs on these."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A Drydock that runs, and its database."""

    client: Client
    running: Running
    database_url: str


@contextlib.asynccontextmanager
async def whole_drydock(
    bus: BusChoice = BUSES[0], *, environment: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Stage]:
    """Runs `drydock up` on this bus, with these settings, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="drydock-bench-") as folder:
        root = Path(folder)
        async with (
            embedded_postgres(root / "postgres") as database_url,
            drydock_up(root / "data", database_url, *bus.arguments, environment=environment) as running,
            client_of(running) as client,
        ):
            yield Stage(client=client, running=running, database_url=database_url)
