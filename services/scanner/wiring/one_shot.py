"""Puts together what one scan needs, without database, bus or server, and imports no more: it starts soon."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from platform import machine

from services.kernel.clock import Clock, SystemClock
from services.kernel.model.access import RegistryAccess
from services.kernel.model.engine import Engine
from services.kernel.model.finding import FindingKind
from services.kernel.model.platform import Platform
from services.kernel.model.reference import ImageReference
from services.kernel.model.report import Report
from services.kernel.reasons import ScanFailure
from services.kernel.workers.template import Template
from services.registry.interface import ImageIndex, ImageSource
from services.registry.spool import LayerSpool
from services.scanner.bounds import ScanBounds, read_bounds
from services.scanner.images.open import name_in_source, open_source
from services.scanner.layers.library import RememberedAnalyses
from services.scanner.pipeline.remote import ready_remotely
from services.scanner.pipeline.scan import Progress
from services.scanner.records import Outcome, ScannedImage
from services.scanner.reports import unpack_report
from services.scanner.search import Search, ask_clamd, open_search
from services.scanner.state import State
from services.scanner.wiring.pipeline import make_pipeline
from services.scanner.wiring.workers import one_shot_workers

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""The machine's word for itself to Go's."""

ScanWay = Callable[..., Awaitable[ScannedImage | ImageIndex]]
"""How an engine scans: `ScanPipeline.scan` and its like."""


async def one_shot(
    reference: ImageReference,
    *,
    template: Template,
    access: RegistryAccess | None = None,
    platform: Platform | None = None,
    advisories: Path | None = None,
    engine: Engine = Engine.SECURITY_CENTER,
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
        ScanFailure: the image cannot be scanned, by none of the engines where both are asked.
        ServiceError: the advisories cannot be read.
    """
    bounds, clock = read_bounds(), SystemClock()
    search = None
    if Engine.SECURITY_CENTER in engine.members:
        search = await asyncio.to_thread(_search, bounds, data, kinds)
        if search.inspection is not None:
            template.prepare(ready_remotely, search.inspection)
    with tempfile.TemporaryDirectory(prefix="drydock-") as folder:
        scratch, databases = Path(folder), data
        if advisories is not None and Engine.SECURITY_CENTER in engine.members:
            data = scratch
            progress("advisories", {"source": str(advisories)})
            await _import(advisories, data, clock)
        workers = one_shot_workers(template, bounds)
        async with (
            LayerSpool(scratch / "spool", bounds.spool_bytes) as spool,
            open_source(reference, access, bounds.source) as source,
        ):
            ways: dict[Engine, ScanWay] = {}
            if search is not None:
                ways[Engine.SECURITY_CENTER] = make_pipeline(
                    spool=spool,
                    library=RememberedAnalyses(),
                    workers=workers,
                    search=lambda: search,
                    data=data,
                    bounds=bounds,
                    clock=clock,
                ).scan
            if Engine.TRIVY in engine.members:
                from services.scanner.settings import TrivySettings  # noqa: PLC0415 - seldom, and large
                from services.scanner.wiring.trivy import trivy_scan  # noqa: PLC0415

                ways[Engine.TRIVY] = trivy_scan(
                    spool=spool,
                    workers=workers,
                    kinds=kinds,
                    data=databases,
                    bounds=bounds,
                    settings=TrivySettings(),
                    clock=clock,
                ).scan
            image = _Image(source=source, name=name_in_source(reference), reference=str(reference))
            if len(ways) > 1:
                return await _both(ways, image, platform, progress)
            [way] = ways.values()
            return await _scanned(way, image, platform, progress)


def advisory_age() -> timedelta:
    """Returns how old the advisories of a verdict may be."""
    return read_bounds().advisory_age


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """What is scanned."""

    source: ImageSource
    name: str
    reference: str


async def _scanned(way: ScanWay, image: _Image, platform: Platform | None, progress: Progress) -> Report:
    asked = functools.partial(way, image.source, name=image.name, reference=image.reference, progress=progress)
    result = await asked(platform=platform)
    if isinstance(result, ImageIndex):
        own = _own_platform(result)
        others = [str(child.platform) for child in result.children if child.platform != own]
        progress("platform", {"chosen": str(own), "others": ", ".join(others)})
        result = await asked(platform=own)
    if isinstance(result, ImageIndex):
        raise TypeError("a named platform cannot resolve to an index")
    return unpack_report(result.report)


async def _both(
    ways: Mapping[Engine, ScanWay], image: _Image, platform: Platform | None, progress: Progress
) -> Report:
    """Has all engines scan at once; what one of them cannot do, the report says."""
    from services.scanner.tasks.verdict import merge_engines  # noqa: PLC0415 - seldom

    async def attempt(way: ScanWay) -> Report | ScanFailure:
        try:
            return await _scanned(way, image, platform, progress)
        except ScanFailure as failure:
            return failure

    async with asyncio.TaskGroup() as group:
        asked = {engine: group.create_task(attempt(way), name=engine.value) for engine, way in ways.items()}
    ended = {engine: task.result() for engine, task in asked.items()}
    reports = [each for each in ended.values() if isinstance(each, Report)]
    failures = {engine: each for engine, each in ended.items() if isinstance(each, ScanFailure)}
    if not reports:
        raise next(iter(failures.values()))
    outcomes = {
        engine: Outcome(state=State.FAILED, reason=each.reason, message=each.sentence())
        for engine, each in failures.items()
    }
    return await asyncio.to_thread(merge_engines, reports, outcomes)


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
