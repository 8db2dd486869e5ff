"""The way of one scan: resolve, fetch, catalog, judge. What comes of it is recorded by the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from services.kernel.clock import Clock
from services.kernel.model.digest import Digest
from services.kernel.model.platform import Platform
from services.kernel.model.report import EngineInfo, Layer
from services.kernel.reasons import Reason, ScanFailure
from services.kernel.workers.pool import WorkerDied, WorkerPool, WorkerTimedOut
from services.layers.fetch import fetch_layers
from services.layers.file import LayerFile
from services.registry.interface import ImageIndex, ImageSource
from services.registry.resolve import ResolvedImage, resolve
from services.registry.spool import LayerSpool
from services.scanner.bounds import ScanBounds
from services.scanner.inspectors.inspection import Inspection
from services.scanner.layers.analysis import decode_head
from services.scanner.layers.library import AnalysisLibrary
from services.scanner.pipeline.case import Case
from services.scanner.pipeline.catalog import CatalogStep
from services.scanner.pipeline.remote import judge_remotely
from services.scanner.records import Lease, ScannedImage
from services.scanner.search import Search

_LOOK_SECONDS: Final = 0.2
"""Between two looks whether another scanner has read a layer."""

Progress = Callable[[str, Mapping[str, object]], None]
"""Told of each step: its name and facts about it. Must return at once."""


class ScanPipeline:
    """Scans images; shared by all scans of a process, so that two of them never read one layer twice."""

    def __init__(
        self,
        *,
        library: AnalysisLibrary,
        spool: LayerSpool,
        workers: WorkerPool,
        cataloging: CatalogStep,
        search: Callable[[], Search],
        engine: EngineInfo,
        data: Path,
        bounds: ScanBounds,
        clock: Clock,
    ) -> None:
        self._library = library
        self._spool = spool
        self._workers = workers
        self._cataloging = cataloging
        self._search = search
        self._engine = engine
        self._data = data
        self._bounds = bounds
        self._clock = clock
        self._busy: dict[Digest, asyncio.Event] = {}

    async def scan(
        self,
        source: ImageSource,
        *,
        name: str,
        reference: str,
        platform: Platform | None = None,
        lease: Lease | None = None,
        progress: Progress = lambda step, facts: None,
    ) -> ScannedImage | ImageIndex:
        """Scans the image that `name` leads to; returns an index unscanned unless a platform is named.

        What is looked for is asked at its beginning, and stays so to its end.

        Under a lease, layers that another scanner reads at this moment are waited for, not read twice.

        Raises:
            ScanFailure: the scan cannot be done; nothing is left behind.
        """
        search = self._search()
        resolved = await resolve(source, name, platform, self._bounds.source.limits)
        if isinstance(resolved, ImageIndex):
            progress("resolved", {"platforms": [str(child.platform) for child in resolved.children]})
            return resolved
        progress("resolved", {"digest": resolved.manifest.digest, "layers": len(resolved.manifest.layers)})
        analyses = await self._analyse(source, resolved, search.inspection, lease, progress)
        result = await self._judge(resolved, reference, search, analyses, lease)
        progress("matched", {"findings": sum(result.outcome.findings.values())})
        return result

    async def _analyse(
        self,
        source: ImageSource,
        image: ResolvedImage,
        inspection: Inspection | None,
        lease: Lease | None,
        progress: Progress,
    ) -> Mapping[Digest, bytes]:
        """Returns an analysis of every layer; reads those that nobody has read or is reading."""
        digests = tuple({layer.digest for layer in image.manifest.layers})
        lacking: dict[Digest, bytes] = {}

        async def read(layer: LayerFile) -> None:
            digest = layer.descriptor.digest
            patient = lease is not None and lease.patient
            analysis = await self._cataloging.catalog(layer, inspection, patient=patient)
            if decode_head(analysis).lacking:
                lacking[digest] = analysis
            else:
                await self._library.keep(digest, inspection, analysis)
            progress("layer", {"digest": digest, "bytes": layer.descriptor.size})

        while True:
            known = {**await self._library.known(digests, inspection), **lacking}
            missing = {d.digest: d for d in image.manifest.layers if d.digest not in known}
            if not missing:
                _check_diff_ids(image, known)
                return known
            others = [self._busy[digest] for digest in missing if digest in self._busy]
            ours = [digest for digest in missing if digest not in self._busy]
            self._busy |= {digest: asyncio.Event() for digest in ours}
            try:
                turns = await self._library.take_turns(ours, inspection, lease)
                layers = [missing[digest] for digest in ours if digest in turns]
                await fetch_layers(source, layers, self._spool, read, self._bounds.worker_processes)
            finally:
                for digest in ours:
                    self._busy.pop(digest).set()
            for event in others:  # whether they did well shows in the library; if not, the layer is ours then
                await event.wait()
            if len(turns) < len(ours):
                await asyncio.sleep(_LOOK_SECONDS)

    async def _judge(
        self,
        image: ResolvedImage,
        reference: str,
        search: Search,
        analyses: Mapping[Digest, bytes],
        lease: Lease | None,
    ) -> ScannedImage:
        descriptors, diff_ids = image.manifest.layers, image.config.diff_ids
        case = Case(
            reference=reference,
            digest=image.manifest.digest,
            platform=str(image.config.platform),
            layers=tuple(
                Layer(digest=descriptor.digest, diff_id=diff_id, size=descriptor.size)
                for descriptor, diff_id in zip(descriptors, diff_ids, strict=True)
            ),
            analyses=tuple(analyses[descriptor.digest] for descriptor in descriptors),
            config=b"" if search.inspection is None else image.config.content,
            kinds=search.kinds,
            complaints=search.complaints,
            engine=self._engine,
            data=self._data,
            now=self._clock.now(),
            max_age=self._bounds.advisory_age,
            kept=lease is not None,
        )
        patient = lease is not None and lease.patient
        run = self._workers.run_patiently if patient else self._workers.run
        try:
            return await run(self._bounds.match_seconds, judge_remotely, case)
        except WorkerTimedOut as error:
            raise ScanFailure(
                Reason.SCAN_TIMED_OUT,
                f"Matching {image.manifest.digest} took longer than {self._bounds.match_seconds:.0f} seconds.",
                hint="Raise DRYDOCK_SCANNER_MATCH_SECONDS if the image has that many packages.",
            ) from error
        except WorkerDied as error:
            raise ScanFailure(
                Reason.WORKER_DIED,
                f"The worker that matched {image.manifest.digest} died.",
                hint="Raise DRYDOCK_SCANNER_WORKER_MEMORY_BYTES if it ran out of memory.",
            ) from error


def _check_diff_ids(image: ResolvedImage, analyses: Mapping[Digest, bytes]) -> None:
    """Holds what layers really unpack to, read now or long ago, against this image's configuration."""
    for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True):
        found = decode_head(analyses[layer.digest]).diff_id
        if found != diff_id:
            raise ScanFailure(
                Reason.DIFF_ID_MISMATCH,
                f"The layer {layer.digest} unpacks to {found}, but the image's configuration says {diff_id}.",
                hint="The image is damaged or was tampered with: build and push it again.",
                metadata={"layer": layer.digest},
            )
