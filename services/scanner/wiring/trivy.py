"""Puts the TRIVY engine together, for a server and for one scan alike."""

from __future__ import annotations

from pathlib import Path

from services.kernel.clock import Clock
from services.kernel.model.finding import FindingKind
from services.kernel.workers.pool import WorkerPool
from services.registry.spool import LayerSpool
from services.scanner.advisories.settings import AdvisorySettings
from services.scanner.bounds import ScanBounds
from services.scanner.settings import TrivySettings
from services.scanner.trivy.program import ProgramFinder
from services.scanner.trivy.scan import TrivyScan
from services.scanner.trivy.watch import TrivyWatch


def databases_of(settings: TrivySettings, data: Path) -> Path:
    """Returns the folder that Trivy's databases are in."""
    return (settings.trivy_databases or data / "trivy").expanduser()


async def describe_trivy(data: Path, clock: Clock) -> str:
    """Tells which Trivy and which database the process would scan with, or what is missing."""
    settings = TrivySettings()
    watch = TrivyWatch(settings, databases_of(settings, data), max_age=AdvisorySettings().max_age, clock=clock)
    await watch.open()
    health = watch.health()
    if not health.ready:
        return f"the TRIVY engine is not ready: {health.message} [{health.reason}]"
    note = f"; {health.message}" if health.message else ""
    return f"Trivy {health.version}, database {health.database_version}{note}"


def trivy_scan(
    *,
    spool: LayerSpool,
    workers: WorkerPool,
    kinds: frozenset[FindingKind],
    data: Path,
    bounds: ScanBounds,
    settings: TrivySettings,
    clock: Clock,
) -> TrivyScan:
    """Returns the engine; nothing is looked for yet."""
    return TrivyScan(
        finder=ProgramFinder(settings),
        databases=databases_of(settings, data),
        spool=spool,
        workers=workers,
        kinds=kinds,
        settings=settings,
        bounds=bounds,
        clock=clock,
    )
