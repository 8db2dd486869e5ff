"""Puts the pipeline together, for a server and for one scan alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from services.kernel.clock import Clock
from services.kernel.workers.pool import WorkerPool
from services.registry.spool import LayerSpool
from services.scanner.bounds import ScanBounds
from services.scanner.engine import ENGINE
from services.scanner.layers.library import AnalysisLibrary
from services.scanner.pipeline.catalog import CatalogStep
from services.scanner.pipeline.scan import ScanPipeline
from services.scanner.search import Search


def make_pipeline(
    *,
    spool: LayerSpool,
    library: AnalysisLibrary,
    workers: WorkerPool,
    search: Callable[[], Search],
    data: Path,
    bounds: ScanBounds,
    clock: Clock,
) -> ScanPipeline:
    """Returns a pipeline on an open spool."""
    return ScanPipeline(
        library=library,
        spool=spool,
        workers=workers,
        cataloging=CatalogStep(workers, bounds.layer_seconds, bounds.layers),
        search=search,
        engine=ENGINE,
        data=data,
        bounds=bounds,
        clock=clock,
    )
