"""The TRIVY engine: resolve, refuse what is too large, fetch, run, read. The sibling of `pipeline.scan`."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.kernel.blocking import in_thread
from services.kernel.clock import Clock
from services.kernel.model.engine import Engine
from services.kernel.model.finding import FindingKind
from services.kernel.model.platform import Platform
from services.kernel.model.report import EngineInfo, Layer
from services.kernel.reasons import Reason, ScanFailure
from services.kernel.workers.pool import WorkerDied, WorkerPool, WorkerTimedOut
from services.registry.interface import ImageIndex, ImageManifest, ImageSource
from services.registry.resolve import ResolvedImage, resolve
from services.registry.room import Room
from services.registry.spool import LayerSpool
from services.scanner.bounds import ScanBounds
from services.scanner.pipeline.scan import Progress
from services.scanner.records import ScannedImage
from services.scanner.settings import TrivySettings
from services.scanner.trivy.case import TrivyCase, report_remotely
from services.scanner.trivy.database import TrivyDatabase, dated, lend_databases, lend_java_database
from services.scanner.trivy.layout import write_image
from services.scanner.trivy.program import Program, ProgramFinder
from services.scanner.trivy.run import run_trivy

_ROOM_SECONDS: Final = 600.0
_GRACE_SECONDS: Final = 30.0
"""So much later Trivy would end itself: only where nobody is left to kill it."""
_PASSED_ON: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Variables of ours that Trivy sees, for the way to its server; any of its own would change what it does."""
_ARGUMENTS: Final = (
    *("--cache-backend", "memory"),
    *("--scanners", "vuln"),
    *("--format", "json", "--list-all-pkgs"),
    "--skip-db-update",
    "--skip-java-db-update",
    "--offline-scan",
    "--skip-version-check",
    "--disable-telemetry",
    "--no-progress",
)
"""Nothing is asked of anybody, nothing told to anybody."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What one run is made with."""

    program: Program
    database: TrivyDatabase
    folder: Path


class TrivyScan:
    """Scans images with Trivy; shared by all scans of a process, so that they are bounded together."""

    def __init__(
        self,
        *,
        finder: ProgramFinder,
        databases: Path,
        spool: LayerSpool,
        workers: WorkerPool,
        kinds: frozenset[FindingKind],
        settings: TrivySettings,
        bounds: ScanBounds,
        clock: Clock,
    ) -> None:
        self._finder = finder
        self._databases = databases
        self._spool = spool
        self._workers = workers
        self._kinds = kinds
        self._settings = settings
        self._bounds = bounds
        self._clock = clock
        self._turns = asyncio.Semaphore(settings.trivy_concurrent_scans)
        self._room = Room(settings.trivy_image_bytes, _ROOM_SECONDS)

    async def scan(
        self,
        source: ImageSource,
        *,
        name: str,
        reference: str,
        platform: Platform | None = None,
        progress: Progress = lambda step, facts: None,
    ) -> ScannedImage | ImageIndex:
        """Scans the image that `name` leads to; returns an index unscanned unless a platform is named.

        Raises:
            ScanFailure: the scan cannot be done; nothing is left behind.
        """
        program = await self._finder.find()  # before anybody is asked for an image that could not be scanned
        resolved = await resolve(source, name, platform, self._bounds.source.limits)
        if isinstance(resolved, ImageIndex):
            progress("resolved", {"platforms": [str(child.platform) for child in resolved.children]})
            return resolved
        progress("resolved", {"digest": resolved.manifest.digest, "layers": len(resolved.manifest.layers)})
        _refuse_large_layers(resolved.manifest, self._settings.trivy_layer_bytes)
        async with self._turns, self._spool.workplace() as folder:
            run = _Run(program=program, database=await self._lend(folder), folder=folder)
            size = sum(layer.size for layer in resolved.manifest.layers)
            await self._room.take(size)
            try:
                await write_image(source, resolved, self._spool, folder / "image", self._bounds.worker_processes)
                progress("fetched", {"bytes": size})
                said = await self._run(run)
                result = await self._read(resolved, reference, run, said)
            finally:
                self._room.give_back(size)
        progress("matched", {"findings": sum(result.outcome.findings.values())})
        return result

    async def _lend(self, folder: Path) -> TrivyDatabase:
        """Makes the run's folders. A server has a database of its own; that of jars is always here."""
        await in_thread(_make_folders, folder)
        if not self._settings.trivy_server:
            return await in_thread(lend_databases, self._databases, folder / "cache")
        return dated(None, await in_thread(lend_java_database, self._databases, folder / "cache"))

    async def _run(self, run: _Run) -> str:
        folder, seconds = run.folder, self._settings.trivy_seconds
        server = ("--server", self._settings.trivy_server) if self._settings.trivy_server else ()
        command = (
            *(run.program.path, "image", "--input", folder / "image", "--cache-dir", folder / "cache"),
            *_ARGUMENTS,
            *server,
            *("--timeout", f"{seconds + _GRACE_SECONDS:.0f}s", "--output", folder / "report.json"),
        )
        return await run_trivy(command, self._environment(folder), folder / "home", seconds)

    def _environment(self, folder: Path) -> Mapping[str, str]:
        """Nothing of ours but the way to a server: its token, and no credentials of any registry."""
        environment = {
            "HOME": str(folder / "home"),
            "PATH": os.defpath,
            "TMPDIR": str(folder / "tmp"),
            "XDG_DATA_HOME": str(folder / "home"),
        }
        token = self._settings.trivy_token.get_secret_value()
        if self._settings.trivy_server:
            words = (*_PASSED_ON, *(word.lower() for word in _PASSED_ON))
            environment |= {word: os.environ[word] for word in words if word in os.environ}
            environment |= {"TRIVY_TOKEN": token} if token else {}
        return environment

    async def _read(self, image: ResolvedImage, reference: str, run: _Run, said: str) -> ScannedImage:
        descriptors, diff_ids = image.manifest.layers, image.config.diff_ids
        case = TrivyCase(
            reference=reference,
            digest=image.manifest.digest,
            platform=str(image.config.platform),
            layers=tuple(
                Layer(digest=descriptor.digest, diff_id=diff_id, size=descriptor.size)
                for descriptor, diff_id in zip(descriptors, diff_ids, strict=True)
            ),
            output=run.folder / "report.json",
            output_bytes=self._settings.trivy_output_bytes,
            said=said,
            kinds=self._kinds,
            engine=EngineInfo(name=Engine.TRIVY.value, version=run.program.version),
            database=run.database,
            now=self._clock.now(),
            max_age=self._bounds.advisory_age,
        )
        try:
            return await self._workers.run(self._bounds.match_seconds, report_remotely, case)
        except (WorkerTimedOut, WorkerDied) as error:
            raise ScanFailure(
                Reason.TRIVY_OUTPUT_TOO_LARGE,
                f"Trivy's report on {image.manifest.digest} could not be read within the bounds of a worker.",
                hint="Raise DRYDOCK_SCANNER_MATCH_SECONDS or DRYDOCK_SCANNER_WORKER_MEMORY_BYTES.",
            ) from error


def _refuse_large_layers(manifest: ImageManifest, most: int) -> None:
    """Refuses by what the descriptors say, before anything is fetched."""
    for layer in manifest.layers:
        if layer.size > most:
            raise ScanFailure(
                Reason.LAYER_TOO_LARGE,
                f"The layer {layer.digest} has {layer.size:,} bytes; the TRIVY engine takes at most {most:,}.",
                hint="Scan with the engine security-center, which has no such limit.",
                metadata={"layer": layer.digest, "limit": str(most)},
            )


def _make_folders(folder: Path) -> None:
    for name in ("image", "cache", "home", "tmp"):
        (folder / name).mkdir(mode=0o700)
