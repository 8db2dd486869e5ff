"""What a scanner would match with, for whoever checks a process before it starts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from services.scanner.advisories.database import Database
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.advisories.settings import AdvisorySettings


def describe(data: Path, now: datetime) -> str:
    """Tells version and age of the advisory file below the data folder. Changes nothing.

    Raises:
        ServiceError: ADVISORIES_UNREADABLE.
    """
    path = AdvisoryFiles(data).current()
    if path is None:
        return "none yet: the sample that ships with Drydock will be used, and no verdict rests on it"
    database = Database(path)
    try:
        meta = database.meta
    finally:
        database.close()
    if meta.sample:
        return f"{meta.version}: the sample that ships with Drydock, and no verdict rests on it"
    stale = ", stale: no verdict rests on it" if meta.is_stale(now, AdvisorySettings().max_age) else ""
    return f"{meta.version}, imported {meta.built_at:%Y-%m-%d}{stale}"
