"""Watching Trivy: a process knows what it would scan with, and why it cannot, without asking at each scan."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from services.kernel.clock import Clock
from services.kernel.model.engine import Engine
from services.kernel.reasons import Reason, ScanFailure
from services.kernel.wakeup import wait
from services.scanner.engines import EngineHealth
from services.scanner.pipeline.reservations import SAMPLE_ADVISORIES, STALE_ADVISORIES
from services.scanner.settings import TrivySettings
from services.scanner.trivy.database import TrivyDatabase, java_moment, read_databases
from services.scanner.trivy.program import Program, ProgramFinder
from services.scanner.trivy.server import ask_server

log = structlog.get_logger()

_LOOK_SECONDS: Final = 5.0
_READER: Final = 1
"""Raised whenever the same report of Trivy's would give another one of ours."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was there when somebody last looked."""

    program: Program | None = None
    database: TrivyDatabase | None = None
    failure: ScanFailure | None = None
    """Why it cannot scan."""


class TrivyWatch:
    """Follows the program and its database, or its server's."""

    def __init__(self, settings: TrivySettings, databases: Path, *, max_age: timedelta, clock: Clock) -> None:
        self._settings = settings
        self._databases = databases
        self._finder = ProgramFinder(settings)
        self._max_age = max_age
        self._clock = clock
        self._seen = _Seen()

    @property
    def engine_version(self) -> str:
        """Everything but the advisories that changes what a scan finds, or whether it is made."""
        program, database = self._seen.program, self._seen.database
        version = program.version if program else "missing"
        java = database.java if database else ""
        return f"{version};reader={_READER};layer={self._settings.trivy_layer_bytes};java={java or 'none'}"

    @property
    def advisories_version(self) -> str:
        """Version of the database, so that a new one scans anew; `none` while there is none."""
        return self._seen.database.version if self._seen.database else "none"

    @property
    def stale(self) -> tuple[str, ...]:
        """The families that are too old for a verdict now; `all` where it does not tell them apart."""
        database = self._seen.database
        if database is None:
            return ()
        parts = database.stale_parts(self._clock.now(), self._max_age, database.families)
        return tuple(sorted(name or "all" for name in parts))

    @property
    def advisories_at(self) -> datetime | None:
        """When the database was made; None while there is none, or where nobody says."""
        return self._seen.database.built_at if self._seen.database else None

    def health(self) -> EngineHealth:
        """Returns how the engine was when somebody last looked."""
        seen, reason, message = self._seen, "", ""
        if seen.failure is not None:
            reason, message = seen.failure.reason, seen.failure.sentence()
        elif seen.database is not None and seen.database.sample:
            reason = SAMPLE_ADVISORIES
            message = "Trivy's database was made of the sample of advisories: no verdict rests on it."
        elif seen.database is not None and self._is_old(seen.database):
            reason = STALE_ADVISORIES
            message = "Trivy's database is older than DRYDOCK_ADVISORY_MAX_AGE_DAYS: no verdict rests on it."
        return EngineHealth(
            engine=Engine.TRIVY,
            ready=seen.failure is None and seen.database is not None,
            version=seen.program.version if seen.program else "",
            database_version=seen.database.version if seen.database else "",
            database_at=seen.database.facts_at if seen.database else None,
            reason=reason,
            message=message,
        )

    async def open(self) -> None:
        """Looks for the first time. That something is missing is no failure: it may come."""
        self._seen = await self._look()

    async def run(self, stopping: asyncio.Event) -> None:
        """Looks every few seconds until `stopping`."""
        while not await wait(stopping, _LOOK_SECONDS):
            before, self._seen = self._seen, await self._look()
            if _told(before) != _told(self._seen):
                log.info("trivy.changed", **_told(self._seen))

    async def _look(self) -> _Seen:
        program = None
        try:
            program = await self._finder.find()
            return _Seen(program=program, database=await self._database())
        except ScanFailure as failure:
            return _Seen(program=program, failure=failure)
        except OSError as error:
            message = f"Trivy's database in {self._databases} cannot be read: {error.strerror}."
            return _Seen(program=program, failure=ScanFailure(Reason.TRIVY_DATABASE_BROKEN, message))

    async def _database(self) -> TrivyDatabase:
        if not self._settings.trivy_server:
            return await asyncio.to_thread(read_databases, self._databases)
        server = await ask_server(self._settings.trivy_server)
        java = await asyncio.to_thread(java_moment, self._databases)
        return dataclasses.replace(server.database, java=java)

    def _is_old(self, database: TrivyDatabase) -> bool:
        """Whether all of it is: which of its families matter, an image tells."""
        moment = database.facts_at
        return moment is None or self._clock.now() - moment > self._max_age


def _told(seen: _Seen) -> dict[str, str]:
    return {
        "program": seen.program.version if seen.program else "",
        "database": seen.database.version if seen.database else "",
        "reason": seen.failure.reason if seen.failure else "",
    }
