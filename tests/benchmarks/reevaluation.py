"""Newer advisories held against 50,000 images that were scanned, in a whole Drydock, and pushes beside it."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg

from services.scanner.advisories.compile import Source
from services.scanner.advisories.files import AdvisoryFiles
from tests.benchmarks.commits import Commits, watched_commits
from tests.benchmarks.figures import Figure, Result, percentile, ratio
from tests.benchmarks.kept_images import PACKAGES, Inventories, KeptInventory, keep
from tests.benchmarks.machine import cpu_seconds_below
from tests.benchmarks.pushes import Pushes, pushes_to
from tests.benchmarks.stage import Stage, whole_drydock
from tests.builders.advisories import affected, before, record, write_lines

_SHARED = Path(os.environ.get("DRYDOCK_SHARED", Path(__file__).parents[3] / "shared"))
_OSV = Path(os.environ.get("DRYDOCK_OSV_DIR", _SHARED / "osv"))
IMAGES: Final = 50_000
INVENTORIES: Final = 5_000
PUSHES: Final = 100
_SPACING_SECONDS: Final = 0.2
_PATIENCE_SECONDS: Final = 1800.0
_STREAM_OFF: Final = {"DRYDOCK_SCANNER_FINDINGS_STREAM": "false"}
"""These images were never told of: their first 40 million findings would be, beside what is measured."""


async def measure() -> Result:
    """Everything changes, nothing changes, and everything changes while pushes come."""
    zips = advisory_zips()
    if not zips:
        return Result(
            question=f"Not measured: there are no OSV zips in {_OSV.name}; set DRYDOCK_OSV_DIR.", figures=()
        )
    with tempfile.TemporaryDirectory(prefix="drydock-bench-") as folder:
        async with whole_drydock(environment=_STREAM_OFF) as stage, pushes_to(stage) as pushes:
            bench = _Bench(stage, pushes.instance_id, zips, Path(folder))
            kept, base = await bench.fill()
            async with watched_commits(stage.database_url) as commits:
                await _push(pushes, commits, "warm", 20)
                idle = await _push(pushes, commits, "idle", PUSHES)
                changed = await bench.run(base[0])
                same = await bench.run("")
                beside, pushed = await bench.run_beside(base[1], pushes, commits)
    findings = sum(each.findings for each in kept) / len(kept)
    return Result(
        question=(
            f"{IMAGES:,} scanned images of {PACKAGES} packages with {INVENTORIES:,} distinct inventories "
            f"({findings:,.0f} findings each) in a whole `drydock up`; advisories are replaced by those of "
            f"{len(zips)} OSV zips and one record more: from the swap of the file until every inventory was "
            "matched, every result written, every event relayed to the bus. The stream of findings is off: "
            "`findings-stream` measures that."
        ),
        figures=(*_figures(changed, same, beside), *_push_figures(idle, pushed)),
    )


def advisory_zips() -> Sequence[Path]:
    """Returns the zips of OSV records that are there."""
    return sorted(_OSV.glob("*.zip"))


class _Run:
    """What one replacement of the advisories cost."""

    def __init__(self, seconds: float, cpu: float, images: int, events: int) -> None:
        self.seconds = seconds
        self.cpu = cpu
        self.images = images
        self.events = events


class _Bench:
    def __init__(self, stage: Stage, instance_id: str, zips: Sequence[Path], folder: Path) -> None:
        self._stage = stage
        self._instance_id = instance_id
        self._zips = zips
        self._folder = folder
        self._files = AdvisoryFiles(stage.running.admin_token_file.parent)
        self._more: list[Path] = []

    async def fill(self) -> tuple[Sequence[KeptInventory], Sequence[str]]:
        """Writes the images; returns their inventories, and sources of packages that all of them have."""
        version = await self._import()
        await self._until("SELECT EXISTS (SELECT FROM scanner.generation WHERE version = $1)", version)
        kept, base = await asyncio.to_thread(self._make)
        await keep(self._stage.database_url, self._instance_id, kept, images=IMAGES, version=version)
        return kept, base

    async def run(self, source: str) -> _Run:
        """Imports one more record, on a source that all images have, or one that none has."""
        _, run = await self._run(source)
        return run

    async def run_beside(self, source: str, pushes: Pushes, commits: Commits) -> tuple[_Run, Sequence[float]]:
        """The same, with pushes while it begins."""
        version = await self._import_with(source)
        began, cpu = time.monotonic(), cpu_seconds_below(os.getpid())
        await self._until(
            "SELECT EXISTS (SELECT FROM scanner.generation WHERE version = $1 AND inventories > 0)", version
        )
        pushed = await _push(pushes, commits, "beside", PUSHES)
        assert await self._lags(version), "it was over before all pushes had come"
        return await self._ended(version, began, cpu), pushed

    async def _lags(self, version: str) -> bool:
        db = await asyncpg.connect(self._stage.database_url)
        try:
            query = "SELECT ended_at IS NULL FROM scanner.generation WHERE version = $1"
            return bool(await db.fetchval(query, version))
        finally:
            await db.close()

    async def _run(self, source: str) -> tuple[str, _Run]:
        version = await self._import_with(source)
        return version, await self._ended(version, time.monotonic(), cpu_seconds_below(os.getpid()))

    async def _import_with(self, source: str) -> str:
        number = len(self._more)
        about = affected("Debian:12", source or f"nobody-has-{number}", *before("99999"))
        lines = self._folder / f"more-{number}.ndjson"
        self._more.append(write_lines(lines, [record(f"CVE-2099-{number:04}", about)]))
        return await self._import()

    async def _import(self) -> str:
        sources = [Source(path=path, name=path.name) for path in (*self._zips, *self._more)]
        meta = await asyncio.to_thread(lambda: self._files.install(sources, now=datetime.now(UTC)))
        return meta.version

    async def _ended(self, version: str, began: float, cpu: float) -> _Run:
        await self._until(
            "SELECT EXISTS (SELECT FROM scanner.generation WHERE version = $1 AND ended_at IS NOT NULL) "
            "AND NOT EXISTS (SELECT FROM scanner.outbox)",
            version,
        )
        seconds, used = time.monotonic() - began, cpu_seconds_below(os.getpid()) - cpu
        db = await asyncpg.connect(self._stage.database_url)
        row = await db.fetchrow("SELECT * FROM scanner.generation WHERE version = $1", version)
        await db.close()
        assert row is not None
        assert (row["inventories"] >= INVENTORIES, row["failed"]) == (True, 0), dict(row)
        return _Run(seconds, used, row["images"], row["events"])

    def _make(self) -> tuple[Sequence[KeptInventory], Sequence[str]]:
        with self._files.open() as database:
            maker = Inventories(database)
            kept = [maker.one() for _ in range(INVENTORIES)]
        assert len({each.digest for each in kept}) == INVENTORIES
        return kept, [package.source.name for package in maker.base[::2] if package.source]

    async def _until(self, query: str, version: str) -> None:
        db = await asyncpg.connect(self._stage.database_url)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not await db.fetchval(query, version):
                    await asyncio.sleep(0.25)
        finally:
            await db.close()


async def _push(pushes: Pushes, commits: Commits, name: str, count: int) -> Sequence[float]:
    """Pushes images that nobody has seen, well apart; returns the seconds from webhook to begin."""
    digests = {f"{name}-{number}": await pushes.put(f"{name}-{number}") for number in range(count)}

    async def push(tag: str) -> float:
        sent = time.monotonic()
        await pushes.tell(tag, digests[tag])
        return await commits.at(tag, "RUNNING") - sent

    tasks = []
    async with asyncio.timeout(_PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        for tag in digests:
            tasks.append(group.create_task(push(tag)))
            await asyncio.sleep(_SPACING_SECONDS)
    return [task.result() for task in tasks]


def _figures(changed: _Run, same: _Run, beside: _Run) -> Sequence[Figure]:
    found = []
    for what, run, bar in (
        ("all have one finding more", changed, "<= 300"),
        ("nothing is different", same, "<= 300"),
        ("all have one finding more, pushes at its beginning", beside, "<= 300"),
    ):
        found += [
            Figure(what=what, rounds=(run.seconds,), unit="s", bar=bar),
            Figure(what=f"{what}: CPU of everything, database included", rounds=(run.cpu,), unit="s"),
            Figure(what=f"{what}: images rewritten", rounds=(float(run.images),), unit="images"),
            Figure(what=f"{what}: events", rounds=(float(run.events),), unit="events"),
        ]
    return found


def _push_figures(idle: Sequence[float], beside: Sequence[float]) -> Sequence[Figure]:
    found = []
    for percent in (50, 99):
        alone = Figure(
            what=f"idle: webhook to begin, p{percent}", rounds=(percentile(idle, percent) * 1000,), unit="ms"
        )
        both = Figure(
            what=f"beside: webhook to begin, p{percent}", rounds=(percentile(beside, percent) * 1000,), unit="ms"
        )
        found += [ratio(f"pushes beside / idle, p{percent}", both, alone), alone, both]
    return found
