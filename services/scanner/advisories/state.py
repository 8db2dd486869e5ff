"""What a scanner would match with, for whoever checks a process before it starts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from services.scanner.advisories.database import Database
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.advisories.settings import AdvisorySettings


def describe(data: Path, now: datetime) -> str:
    """Tells version and ages of the advisory file below the data folder. Changes nothing.

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
    stale = meta.stale_families(now, AdvisorySettings().max_age)
    ages = "; ".join(
        f"{family} {_age(now, moment)}{', stale: no verdict rests on it' if family in stale else ''}"
        for family, moment in meta.families.items()
    )
    return f"{meta.version}, imported {meta.built_at:%Y-%m-%d}: {ages or 'nothing that Drydock can match'}"


def _age(now: datetime, moment: datetime | None) -> str:
    return "of an unknown age" if moment is None else f"{max(0, (now - moment).days)} days old"
