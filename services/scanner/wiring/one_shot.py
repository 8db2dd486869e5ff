"""Puts together what one scan needs, without database, bus or server, and imports no more: it starts soon."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from platform import machine

from services.kernel.clock import Clock, SystemClock
from services.kernel.model.access import RegistryAccess
from services.kernel.model.finding import FindingKind
from services.kernel.model.platform import Platform
from services.kernel.model.reference import ImageReference
from services.kernel.model.report import Report
from services.kernel.workers.template import Template
from services.registry.interface import ImageIndex
from services.scanner.bounds import ScanBounds, read_bounds
from services.scanner.images.open import name_in_source, open_source
from services.scanner.layers.library import RememberedAnalyses
from services.scanner.pipeline.remote import ready_remotely
from services.scanner.pipeline.scan import Progress
from services.scanner.reports import unpack_report
from services.scanner.search import Search, ask_clamd, open_search
from services.scanner.wiring.pipeline import open_pipeline
from services.scanner.wiring.workers import one_shot_workers

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""The machine's word for itself to Go's."""


async def one_shot(
    reference: ImageReference,
    *,
    template: Template,
    access: RegistryAccess | None = None,
    platform: Platform | None = None,
    advisories: Path | None = None,
    kinds: frozenset[FindingKind] = frozenset(FindingKind),
    data: Path,
    progress: Progress = lambda step, facts: None,
) -> Report:
    """Scans one image without database, bus or server.

    Of an image with several platforms, `platform` or else this machine's own is scanned; in the latter case the
    step "platform" tells which that is, and which `others` there are. `advisories` names OSV
    records (zip, folder or ndjson) that are used instead of the data directory's; they are compiled first.

    Only the given `kinds` are looked for: without those of content nobody looks into files. The workers come from
    the `template`, which stays the caller's to close.

    Raises:
        ScanFailure: the image cannot be scanned.
        ServiceError: the advisories cannot be read.
    """
    bounds, clock = read_bounds(), SystemClock()
    search = await asyncio.to_thread(_search, bounds, data, kinds)
    if search.inspection is not None:
        template.prepare(ready_remotely, search.inspection)
    with tempfile.TemporaryDirectory(prefix="drydock-") as folder:
        scratch = Path(folder)
        if advisories is not None:
            data = scratch
            progress("advisories", {"source": str(advisories)})
            await _import(advisories, data, clock)
        async with (
            open_pipeline(
                scratch / "spool",
                library=RememberedAnalyses(),
                workers=one_shot_workers(template, bounds),
                search=lambda: search,
                data=data,
                bounds=bounds,
                clock=clock,
            ) as pipeline,
            open_source(reference, access, bounds.source) as source,
        ):
            name = name_in_source(reference)
            result = await pipeline.scan(
                source, name=name, reference=str(reference), platform=platform, progress=progress
            )
            if isinstance(result, ImageIndex):
                own = _own_platform(result)
                others = [str(child.platform) for child in result.children if child.platform != own]
                progress("platform", {"chosen": str(own), "others": ", ".join(others)})
                result = await pipeline.scan(
                    source, name=name, reference=str(reference), platform=own, progress=progress
                )
    if isinstance(result, ImageIndex):
        raise TypeError("a named platform cannot resolve to an index")
    return unpack_report(result.report)


def _search(bounds: ScanBounds, data: Path, kinds: frozenset[FindingKind]) -> Search:
    return ask_clamd(open_search(bounds, data, kinds), bounds.clamd)


async def _import(advisories: Path, data: Path, clock: Clock) -> None:
    from services.kernel.log import configure_logs  # noqa: PLC0415
    from services.scanner.advisories.files import AdvisoryFiles  # noqa: PLC0415 - seldom, and large
    from services.scanner.advisories.settings import AdvisorySettings  # noqa: PLC0415
    from services.scanner.advisories.update import import_sources  # noqa: PLC0415

    configure_logs(level="error")
    await import_sources(AdvisoryFiles(data), [str(advisories)], settings=AdvisorySettings(), clock=clock)


def _own_platform(index: ImageIndex) -> Platform:
    """Returns the platform that this machine would run, or the index's first where it would run none."""
    own = _ARCHITECTURES.get(machine().lower(), machine().lower())
    for child in index.children:
        if (child.platform.os, child.platform.architecture) == ("linux", own):
            return child.platform
    return index.children[0].platform
