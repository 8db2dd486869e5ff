"""A scanner whose scans the test scripts, and what its stream tells of them."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from services.kernel.bus.interface import FINDINGS, Message
from services.kernel.clock import SystemClock
from services.kernel.model.engine import Engine
from services.kernel.model.finding import Finding, FindingKind, FixState
from services.kernel.model.report import (
    AdvisoriesInfo,
    Coverage,
    EngineInfo,
    ReportWarning,
    count_by_kind,
    count_by_severity,
)
from services.kernel.model.severity import Severity
from services.kernel.outbox import Outbox
from services.scanner.advisories.compile import Source
from services.scanner.advisories.database import Meta
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.records import ImageAddress, ScannedImage, ScanRecord, TaskRecord
from services.scanner.reports import outcome_of, pack_report
from services.scanner.stream.metrics import StreamMetrics
from services.scanner.stream.records import StreamClaim
from services.scanner.stream.store import FIRST, StreamStore
from services.scanner.stream.teller import FindingTeller
from tests.builders.advisories import Json, write_lines
from tests.builders.scanner import ScannerBench, report, scanner_bench

ALL_KINDS = frozenset(FindingKind)
LATER = "2026-03-01T00:00:00Z"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Said:
    """What a scan is to say."""

    findings: Sequence[Finding] = ()
    warnings: Sequence[ReportWarning] = ()
    kinds: frozenset[FindingKind] = ALL_KINDS
    advisories: str = "a1"
    built_at: str = LATER
    sample: bool = False
    coverage: Coverage | None = None


def scanned_as(scan: ScanRecord, said: Said) -> ScannedImage:
    """Scans an image as the test says."""
    platform = scan.platform or "linux/amd64"
    plain = report(scan.key.digest, platform)
    findings = tuple(said.findings)
    coverage = said.coverage or (Coverage.PARTIAL if said.warnings else Coverage.FULL)
    whole = msgspec.structs.replace(
        plain,
        engine=EngineInfo(name=scan.key.engine.value, version="1"),
        advisories=AdvisoriesInfo(version=said.advisories, built_at=said.built_at, sample=said.sample),
        findings=findings,
        warnings=tuple(said.warnings),
        summary=msgspec.structs.replace(
            plain.summary,
            findings=len(findings),
            by_severity=count_by_severity(findings),
            by_kind=count_by_kind(findings, said.kinds),
            coverage=coverage,
            coverage_reason=said.warnings[0].code if said.warnings else "",
        ),
    )
    return ScannedImage(platform=platform, report=pack_report(whole), outcome=outcome_of(whole))


@dataclasses.dataclass(frozen=True)
class Told:
    """An event as a consumer has it."""

    topic: str
    key: str
    headers: Mapping[str, str]
    value: bytes

    @property
    def event(self) -> Any:
        return msgspec.json.decode(self.value)

    @property
    def activity(self) -> str:
        return str(self.event["activity_name"])

    @property
    def id(self) -> str:
        return str(self.event["unmapped"]["id"])


class StreamBench:
    """A scanner, its stream, and advisories."""

    def __init__(self, scanner: ScannerBench, data: Path, *, state: bool = False) -> None:
        self.scanner = scanner
        self.files = AdvisoryFiles(data)
        self.data = data
        self.store = StreamStore()
        self.counted = CollectorRegistry()
        self.teller = self.another_teller(state=state)
        self._scans = 0

    def another_teller(self, *, state: bool = False) -> FindingTeller:
        """A teller, as another process has one."""
        return FindingTeller(
            pool=self.scanner.pool,
            store=self.store,
            outbox=Outbox("scanner", "finding_outbox"),
            files=self.files,
            clock=SystemClock(),
            metrics=StreamMetrics(CollectorRegistry()),
            state=state,
        )

    def advised(self, *records: Json, at: datetime) -> Meta:
        """Imports advisories."""
        number = len(list(self.data.glob("*.ndjson")))
        source = write_lines(self.data / f"{number}.ndjson", records)
        return self.files.install([Source(path=source, name="test")], now=at)

    async def scan(
        self, image: ImageAddress, said: Said, *, engine: Engine = Engine.SECURITY_CENTER
    ) -> TaskRecord:
        """Scans an image anew: it is not taken for a scan that was."""

        async def script(scan: ScanRecord) -> ScannedImage:
            return scanned_as(scan, said)

        return await self.scan_by(image, script, engine=engine)

    async def scan_by(
        self, image: ImageAddress, script: Callable[[ScanRecord], Any], *, engine: Engine = Engine.SECURITY_CENTER
    ) -> TaskRecord:
        self._scans += 1
        self.scanner.versions.advisories = f"v{self._scans}"
        task = await self.scanner.ask(image, revision=self._scans, engine=engine)
        [ended] = await self.scanner.work_until(script, task.task_id)
        return ended

    async def tell(self) -> list[Told]:
        """Tells all there is to tell; returns the events, and takes them off the outbox."""
        while claims := await self.teller.claim(10):
            await self.teller.tell(claims)
        return await self.taken()

    async def claims(self) -> Sequence[StreamClaim]:
        return await self.teller.claim(10)

    async def taken(self) -> list[Told]:
        rows = await self.scanner.pool.fetch(
            "WITH gone AS (DELETE FROM scanner.finding_outbox RETURNING id, topic, key, value, headers) "
            "SELECT * FROM gone ORDER BY id"
        )
        return [
            Told(row["topic"], row["key"].decode(), msgspec.json.decode(row["headers"]), row["value"])
            for row in rows
        ]

    async def open_uids(self) -> set[uuid.UUID]:
        """What is open, as the database has it."""
        async with self.scanner.pool.acquire() as db:
            listed = await self.store.open_findings(db, "", after=FIRST, limit=100_000)
        return {one.finding.uid for one in listed}


@asynccontextmanager
async def stream_bench(url: str, data: Path, *, state: bool = False) -> AsyncIterator[StreamBench]:
    """A scanner with a stream on a fresh database."""
    async with scanner_bench(url) as scanner:
        yield StreamBench(scanner, data, state=state)


def rebuilt(told: Iterable[Told]) -> dict[str, Any]:
    """What a plain consumer makes of the events: deduplicated by id, the open ones by uid."""
    seen: set[str] = set()
    state: dict[str, Any] = {}
    for one in told:
        if one.topic != FINDINGS or one.headers["ce_id"] in seen:
            continue
        seen.add(one.headers["ce_id"])
        event = one.event
        uid = event["finding_info"]["uid"]
        if event["activity_id"] == 3:
            del state[uid]
        else:
            state[uid] = event
    return state


def a_risk(path: str = "/etc/passwd", rule: str = "accounts.empty-password", match: str = "root::0") -> Finding:
    """A baseline risk."""
    return Finding(
        kind=FindingKind.BASELINE_RISK,
        id=rule,
        aliases=(),
        severity=Severity.HIGH,
        score=None,
        title="An account has no password",
        link="",
        package=None,
        fixed_version="",
        path=path,
        layer="sha256:" + "c" * 64,
        fix_state=FixState.AFFECTED,
        advice="Lock the account.",
        match=match,
        line=1,
    )


def a_sample(path: str = "/usr/bin/miner") -> Finding:
    """A malicious sample."""
    return Finding(
        kind=FindingKind.MALICIOUS_SAMPLE,
        id="malware.miner",
        aliases=(),
        severity=Severity.CRITICAL,
        score=None,
        title="A miner",
        link="",
        package=None,
        fixed_version="",
        path=path,
        layer="sha256:" + "c" * 64,
        fix_state=FixState.AFFECTED,
        sha256="a" * 64,
        md5="b" * 32,
        deleted=True,
    )


def message_of(told: Told) -> Message:
    """The message that carries an event."""
    return Message(topic=told.topic, key=told.key.encode(), value=told.value, headers=told.headers)
