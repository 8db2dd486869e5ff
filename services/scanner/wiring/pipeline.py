"""Puts the pipeline together, for a server and for one scan alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from services.kernel.clock import Clock
from services.kernel.workers.pool import WorkerPool
from services.scanner.bounds import ScanBounds
from services.scanner.engine import ENGINE
from services.scanner.images.spool import LayerSpool
from services.scanner.layers.library import AnalysisLibrary
from services.scanner.pipeline.catalog import CatalogStep
from services.scanner.pipeline.scan import ScanPipeline
from services.scanner.search import Search


@asynccontextmanager
async def open_pipeline(
    spool_folder: Path,
    *,
    library: AnalysisLibrary,
    workers: WorkerPool,
    search: Callable[[], Search],
    data: Path,
    bounds: ScanBounds,
    clock: Clock,
) -> AsyncIterator[ScanPipeline]:
    """Yields a pipeline whose spool lies in the folder until exit."""
    async with LayerSpool(spool_folder, bounds.spool_bytes) as spool:
        yield ScanPipeline(
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
