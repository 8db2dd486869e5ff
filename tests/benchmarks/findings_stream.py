"""Telling findings: images that newer advisories changed, against reading the reports and writing the events."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from services.kernel.embedded.postgres import embedded_postgres
from services.kernel.wakeup import Wakeups
from services.scanner.advisories.compile import Source
from services.scanner.reports import read_judgement
from tests.benchmarks.figures import Figure, Result, ratio
from tests.benchmarks.kept_images import PACKAGES, Inventories, keep
from tests.benchmarks.machine import cpu_seconds_below
from tests.benchmarks.reevaluation import advisory_zips
from tests.builders.advisories import affected, before, record, write_lines
from tests.builders.reevaluation import ReevaluationStage, reevaluation_stage
from tests.builders.stream import StreamBench

IMAGES: Final = 300
INVENTORIES: Final = 30
ROUNDS: Final = 3
_CHUNK: Final = 200
"""Rows of a transaction, as the stream has it."""
_AT_ONCE: Final = 20
"""Reports that the limit reads at once."""
_PATIENCE_SECONDS: Final = 900.0
_MARK: Final = (
    "INSERT INTO scanner.stream_mark (instance_id, repo_id, namespace, repository, digest, gone) "
    "SELECT DISTINCT instance_id, repo_id, namespace, repository, digest, false FROM scanner.task"
)
_SCANNED_BEFORE: Final = "UPDATE scanner.stream_scan SET judged_at = judged_at - interval '1 second'"
_TOLD_OTHERWISE: Final = (
    "WITH scans AS (UPDATE scanner.stream_scan SET verdict = 'another') "
    "UPDATE scanner.stream_finding SET fingerprint = decode(repeat('00', 16), 'hex')"
)
_FORGET_EVENTS: Final = "TRUNCATE scanner.finding_outbox"
_EVENTS: Final = "SELECT topic, key, value, headers FROM scanner.finding_outbox ORDER BY id"
_ADD_EVENTS: Final = (
    "INSERT INTO scanner.finding_outbox (topic, key, value, headers) "
    "SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::jsonb[])"
)


async def measure() -> Result:
    """Tells images for the first time; then, round after round, with findings more, with others, with the same."""
    zips = advisory_zips()
    if not zips:
        return Result(question="Not measured: there are no OSV zips; set DRYDOCK_OSV_DIR.", figures=())
    with tempfile.TemporaryDirectory(prefix="drydock-bench-") as folder:
        root = Path(folder)
        async with embedded_postgres(root / "postgres") as url, reevaluation_stage(url, root) as stage:
            bench = _Bench(stage, url, zips, root)
            findings = await bench.fill()
            first = [await bench.run(_MARK)]
            more, limit, others, same = [], [], [], []
            for number in range(ROUNDS):
                await bench.judge_again(number)
                more.append(await bench.run())
                limit.append(await bench.limit())
                others.append(await bench.run(_TOLD_OTHERWISE, _MARK))
                same.append(await bench.run(_SCANNED_BEFORE, _MARK))
    return Result(
        question=(
            f"{IMAGES:,} images of {PACKAGES} packages and {findings:,.0f} findings, {INVENTORIES} distinct "
            "inventories: from marks to the stream's outbox, by one process. The limit reads and decodes the same "
            f"reports, writes the same events, {_CHUNK} in a transaction, and does nothing else."
        ),
        figures=_figures(first, more, limit, others, same),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What one telling of all images cost, and what it told."""

    seconds: float
    cpu: float
    """Seconds, of this process and the database's."""
    events: int


class _Bench:
    def __init__(self, stage: ReevaluationStage, url: str, zips: Sequence[Path], folder: Path) -> None:
        self._stage = stage
        self._url = url
        self._zips = zips
        self._folder = folder
        self._teller = StreamBench(stage.bench, stage.data).teller
        self._base: Sequence[str] = ()
        self._more: list[Path] = []

    async def fill(self) -> float:
        """Writes the images as scans leave them; returns how many findings each has."""
        stage = self._stage
        await self._advise()
        await stage.reevaluator().enter()
        with stage.files.open() as database:
            maker = Inventories(database)
            kept = [maker.one() for _ in range(INVENTORIES)]
            self._base = [package.source.name for package in maker.base[::2] if package.source]
        await keep(self._url, "cri-bench", kept, images=IMAGES, version=stage.meta.version)
        return sum(each.findings for each in kept) / len(kept)

    async def judge_again(self, number: int) -> None:
        """Imports a record more, that all images have, and holds it against all of them."""
        about = affected("Debian:12", self._base[number], *before("99999"))
        self._more.append(write_lines(self._folder / f"{number}.ndjson", [record(f"CVE-2099-{number:04}", about)]))
        await self._advise()
        await self._stage.reevaluator().catch_up(asyncio.Event())

    async def run(self, *statements: str) -> _Run:
        """Runs the statements; then has all told that there is to tell, and leaves it in the outbox."""
        for statement in (_FORGET_EVENTS, *statements):
            await self._stage.pool.execute(statement)
        await self._stage.pool.execute(
            "VACUUM (ANALYZE) scanner.stream_finding, scanner.stream_image, scanner.report"
        )
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(_PATIENCE_SECONDS):
            began, cpu = time.perf_counter(), _cpu()
            tasks.create_task(self._teller.run(Wakeups(self._url), stopping))
            while await self._stage.pool.fetchval(
                "SELECT EXISTS (SELECT FROM scanner.stream_mark) "
                "OR EXISTS (SELECT FROM scanner.stream_image WHERE heard > told)"
            ):
                await asyncio.sleep(0.02)
            seconds, used = time.perf_counter() - began, _cpu() - cpu
            stopping.set()
        assert (
            await self._stage.pool.fetchval("SELECT count(*) FROM scanner.stream_image WHERE told > 0") == IMAGES
        )
        events = await self._stage.pool.fetchval("SELECT count(*) FROM scanner.finding_outbox")
        return _Run(seconds=seconds, cpu=used, events=events)

    async def limit(self) -> _Run:
        """Reads the images' reports, one after the other, and writes the events that were written last."""
        pool = self._stage.pool
        events = await pool.fetch(_EVENTS)
        await pool.execute(_FORGET_EVENTS)
        began, cpu = time.perf_counter(), _cpu()
        scans = [str(row["scan_id"]) for row in await pool.fetch("SELECT scan_id FROM scanner.report")]
        for first in range(0, len(scans), _AT_ONCE):
            async with pool.acquire() as db:
                reports = await self._stage.bench.store.reports(db, scans[first : first + _AT_ONCE])
            for report in reports.values():
                await asyncio.to_thread(read_judgement, report)
        for first in range(0, len(events), _CHUNK):
            chunk = events[first : first + _CHUNK]
            await pool.execute(
                _ADD_EVENTS, *([row[name] for row in chunk] for name in ("topic", "key", "value", "headers"))
            )
        seconds, used = time.perf_counter() - began, _cpu() - cpu
        return _Run(seconds=seconds, cpu=used, events=len(events))

    async def _advise(self) -> None:
        sources = [Source(path=path, name=path.name) for path in (*self._zips, *self._more)]
        stage = self._stage
        stage.meta = await asyncio.to_thread(lambda: stage.files.install(sources, now=datetime.now(UTC)))


def _cpu() -> float:
    return time.process_time() + cpu_seconds_below(os.getpid())


def _figures(
    first: Sequence[_Run],
    more: Sequence[_Run],
    limit: Sequence[_Run],
    others: Sequence[_Run],
    same: Sequence[_Run],
) -> tuple[Figure, ...]:
    changed, bare = _rate("a finding or two more", more), _rate("the limit", limit)
    return (
        ratio("a finding or two more / the limit", changed, bare),
        changed,
        bare,
        *(
            figure
            for what, runs in (
                ("told for the first time", first),
                ("all findings told otherwise", others),
                ("scanned again, all the same", same),
            )
            for figure in (_rate(what, runs),)
        ),
        *(
            Figure(what=f"CPU of one: {what}", rounds=tuple(run.cpu / IMAGES * 1000 for run in runs), unit="ms")
            for what, runs in (
                ("a finding or two more", more),
                ("the limit", limit),
                ("told for the first time", first),
                ("all findings told otherwise", others),
                ("scanned again, all the same", same),
            )
        ),
        Figure(
            what="events: a finding or two more", rounds=tuple(float(run.events) for run in more), unit="events"
        ),
    )


def _rate(what: str, runs: Sequence[_Run]) -> Figure:
    return Figure(what=what, rounds=tuple(IMAGES / run.seconds for run in runs), unit="images/s")
