"""A task of both engines: one scan of each platform by each of them, shared like any other, and one verdict."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.engine import Engine
from services.kernel.model.finding import Finding
from services.kernel.model.platform import Platform
from services.kernel.model.report import Coverage, EngineInfo
from services.kernel.model.severity import Severity
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import Descriptor, ImageIndex, IndexChild
from services.scanner.api import State
from services.scanner.records import ScannedImage, ScanRecord, TaskRecord
from services.scanner.reports import outcome_of, pack_report, read_report
from services.scanner.tasks.platforms import platform_reports
from tests.builders.reports import LOG4J, OPENSSL, a_report, vulnerability
from tests.builders.scanner import ScannerBench, image, scanner_bench

OURS = (
    vulnerability(OPENSSL, "CVE-1", severity=Severity.LOW),
    vulnerability(LOG4J, "CVE-2", severity=Severity.LOW),
)
ITS = (vulnerability(OPENSSL, "CVE-1", severity=Severity.CRITICAL),)
PLATFORMS = ("linux/amd64", "linux/arm64")


@pytest.fixture
async def scanner(database: str) -> AsyncIterator[ScannerBench]:
    async with scanner_bench(database) as bench:
        yield bench


class Engines:
    """Does scans as both engines would; one of them may fail."""

    def __init__(self, *platforms: str) -> None:
        self.platforms = platforms
        self.runs: list[tuple[Engine, Digest]] = []
        self.failing: dict[Engine, Reason] = {}

    async def __call__(self, scan: ScanRecord) -> ScannedImage | ImageIndex:
        engine, digest = scan.key.engine, scan.key.digest
        self.runs.append((engine, digest))
        if engine is Engine.ALL:
            return index(digest, self.platforms)
        if engine in self.failing:
            raise ScanFailure(self.failing[engine], "It cannot.")
        return said(engine, OURS if engine is Engine.SECURITY_CENTER else ITS)


def index(digest: Digest, platforms: tuple[str, ...]) -> ImageIndex:
    """An index of these platforms, or of the image itself."""
    digests = {name: digest_of(name.encode()) for name in platforms} or {PLATFORMS[0]: digest}
    children = [
        IndexChild(
            descriptor=Descriptor(media_type="", digest=each, size=0),
            platform=Platform(os="linux", architecture=name.partition("/")[2]),
        )
        for name, each in digests.items()
    ]
    return ImageIndex(digest=digest, children=tuple(children))


def said(engine: Engine, findings: tuple[Finding, ...]) -> ScannedImage:
    report = a_report(findings)
    report = msgspec.structs.replace(report, engine=EngineInfo(name=engine.value, version="1"))
    return ScannedImage(platform=PLATFORMS[0], report=pack_report(report), outcome=outcome_of(report))


async def both(scanner: ScannerBench, engines: Engines) -> TaskRecord:
    task = await scanner.ask(image(), engine=Engine.ALL)
    [ended] = await scanner.work_until(engines, task.task_id)
    return ended


async def test_each_engine_scans_and_the_task_ends_with_one_verdict(scanner: ScannerBench) -> None:
    engines = Engines()

    task = await both(scanner, engines)

    assert sorted(engine.value for engine, _ in engines.runs) == ["ALL", "SECURITY_CENTER", "TRIVY"]
    outcome = task.outcome
    assert (outcome.state, outcome.coverage, outcome.reason) == (State.COMPLETE, Coverage.FULL, "")
    assert {severity: count for severity, count in outcome.findings.items() if count} == {
        Severity.LOW: 1,
        Severity.CRITICAL: 1,
    }
    assert await scanner.events() == ["SCANNING", "COMPLETE"]
    async with scanner.pool.acquire() as db:
        parts = await scanner.store.parts_of(db, task.scan_id)
        packed = await scanner.store.reports(db, [part.scan_id for part in parts])
    assert [part.engine for part in parts] == [Engine.SECURITY_CENTER, Engine.TRIVY]
    [report] = platform_reports(parts, {key: read_report(each) for key, each in packed.items()}).values()
    assert {each.id: each.engines for each in report.findings} == {
        "CVE-1": ("SECURITY_CENTER", "TRIVY"),
        "CVE-2": ("SECURITY_CENTER",),
    }


async def test_every_platform_is_scanned_by_each(scanner: ScannerBench) -> None:
    engines = Engines(*PLATFORMS)

    task = await both(scanner, engines)

    assert task.outcome.state is State.COMPLETE
    assert len(engines.runs) == 1 + 2 * len(PLATFORMS)
    async with scanner.pool.acquire() as db:
        parts = await scanner.store.parts_of(db, task.scan_id)
    assert [(part.platform, part.engine.value) for part in parts] == [
        (platform, engine) for platform in PLATFORMS for engine in ("SECURITY_CENTER", "TRIVY")
    ]


async def test_what_one_engine_has_scanned_is_shared(scanner: ScannerBench) -> None:
    engines = Engines()
    alone = await scanner.ask(image(), engine=Engine.SECURITY_CENTER)
    await scanner.work_until(engines, alone.task_id)

    await both(scanner, engines)

    assert [engine for engine, _ in engines.runs] == [Engine.SECURITY_CENTER, Engine.ALL, Engine.TRIVY]


async def test_what_one_engine_cannot_do_spoils_neither_verdict_nor_the_other(
    scanner: ScannerBench,
) -> None:
    engines = Engines()
    engines.failing = {Engine.TRIVY: Reason.LAYER_TOO_LARGE}

    task = await both(scanner, engines)
    single = [await scanner.ask(image(), engine=engine) for engine in Engine.ALL.members]

    assert (task.outcome.state, task.outcome.coverage) == (State.COMPLETE, Coverage.PARTIAL)
    assert task.outcome.reason == "ENGINE_FAILED"
    assert "TRIVY could not scan the image (LAYER_TOO_LARGE)" in task.outcome.message
    assert sum(task.outcome.findings.values()) == 2
    assert [each.outcome.state for each in single] == [State.COMPLETE, State.FAILED]
    assert (single[0].outcome.coverage, single[1].outcome.reason) == (Coverage.FULL, "LAYER_TOO_LARGE")


async def test_without_any_engine_there_is_no_verdict(scanner: ScannerBench) -> None:
    engines = Engines()
    engines.failing = dict.fromkeys(Engine.ALL.members, Reason.LAYER_CORRUPT)

    task = await both(scanner, engines)

    assert (task.outcome.state, task.outcome.reason) == (State.FAILED, "LAYER_CORRUPT")
    assert task.outcome.message.startswith("linux/amd64: ")


async def test_the_next_task_tries_again_the_engine_that_failed_and_only_that(scanner: ScannerBench) -> None:
    scanner.settings = scanner.settings.model_copy(update={"attempts": 1})
    engines = Engines()
    engines.failing = {Engine.TRIVY: Reason.TRIVY_TIMED_OUT}
    first = await both(scanner, engines)
    engines.failing, engines.runs = {}, []

    second = await both(scanner, engines)

    assert [engine for engine, _ in engines.runs] == [Engine.ALL, Engine.TRIVY]
    assert (first.outcome.coverage, second.outcome.coverage) == (Coverage.PARTIAL, Coverage.FULL)
    assert (await scanner.task(first.task_id)).outcome == first.outcome
