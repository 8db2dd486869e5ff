"""Images as scans leave them: generated inventories, judged by real advisories, with every row of theirs."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from services.kernel.model.finding import FindingKind, Package
from services.kernel.model.reference import parse_repository
from services.kernel.model.report import (
    SCHEMA,
    Coverage,
    Inventory,
    Layer,
    Report,
    ReportImage,
    Summary,
)
from services.kernel.model.repository_id import repository_id
from services.scanner.advisories.database import Database, KnownPackage
from services.scanner.columns import counts_column
from services.scanner.engine import ENGINE
from services.scanner.inventory import StoredInventory, pack_inventory, verdict_id
from services.scanner.pipeline.judge import advisories_info
from services.scanner.reevaluate.rematch import verdict_on
from services.scanner.reports import outcome_of, pack_report, verdict_of, with_verdict
from tests.benchmarks.inventories import fitting_version, of_language, spread
from tests.builders.advisories import LAYER, debian

PACKAGES: Final = 400
_BASE: Final = 30
"""Packages of these that all inventories have, as images of one base do."""
_UNKNOWN: Final = 200
"""Packages of these that no advisory speaks of."""
_AGE: Final = timedelta(days=7)
_KINDS: Final = tuple(sorted(FindingKind, key=lambda kind: kind.value))
_ROWS_AT_ONCE: Final = 500


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeptInventory:
    """An inventory, and what a scan said of it."""

    digest: str
    content: bytes
    verdict: str
    report: bytes
    coverage: str
    reason: str
    counts: str
    findings: int


class Inventories:
    """Makes inventories of packages that advisories speak of: Debian's, npm's and PyPI's."""

    def __init__(self, database: Database, seed: int = 7) -> None:
        self._database = database
        self._random = random.Random(seed)
        self._sources = spread(database, "Debian:12", 180)
        self._languages = [
            *of_language(database, "npm", 450),
            *of_language(database, "PyPI", 1_400),
        ]
        self.base = _binaries(self._sources[: _BASE // 2])

    def one(self) -> KeptInventory:
        """Makes the next one."""
        sources = self._random.sample(self._sources[_BASE // 2 :], 50)
        languages = self._random.sample(self._languages, 70)
        unknown = [debian(f"quiet-{self._random.randrange(100_000)}-{each}", "1-1") for each in range(_UNKNOWN)]
        packages = (*self.base, *_binaries(sources), *languages, *unknown)
        assert len(packages) == PACKAGES
        inventory = StoredInventory(distribution=None, packages=packages, unread=(), kinds=_KINDS)
        verdict = verdict_on(inventory, self._database, now=datetime.now(UTC), max_age=_AGE)
        digest, content = pack_inventory(inventory)
        report = with_verdict(self._report(packages), verdict)
        assert verdict_id(verdict_of(report)) == verdict_id(verdict)
        outcome = outcome_of(report)
        return KeptInventory(
            digest=digest,
            content=content,
            verdict=verdict_id(verdict),
            report=pack_report(report),
            coverage=report.summary.coverage.value,
            reason=outcome.reason,
            counts=counts_column(outcome.findings),
            findings=len(verdict.findings),
        )

    def _report(self, packages: tuple[Package, ...]) -> Report:
        summary = Summary(
            packages=len(packages),
            findings=0,
            by_severity={},
            by_kind={kind.value: 0 for kind in FindingKind},
            coverage=Coverage.NONE,
            coverage_reason="",
        )
        return Report(
            schema=SCHEMA,
            image=ReportImage(
                reference="kept",
                digest=LAYER,
                platform="linux/amd64",
                layers=(Layer(digest=LAYER, diff_id=LAYER, size=1),),
            ),
            engine=ENGINE,
            advisories=advisories_info(self._database.meta, packages),
            inventory=Inventory(packages=packages),
            findings=(),
            summary=summary,
            warnings=(),
            scanned_at=datetime.now(UTC).isoformat(),
        )


async def keep(
    database_url: str, instance_id: str, kept: Sequence[KeptInventory], *, images: int, version: str
) -> None:
    """Writes so many images, evenly on the inventories, as complete as scans with that version leave them."""
    db = await asyncpg.connect(database_url, command_timeout=600)
    try:
        generation = await db.fetchval("SELECT generation FROM scanner.generation WHERE version = $1", version)
        assert generation
        await db.copy_records_to_table(
            "inventory",
            schema_name="scanner",
            records=[(each.digest, each.content, generation) for each in kept],
            columns=["digest", "content", "generation"],
        )
        for first in range(0, images, _ROWS_AT_ONCE):
            rows = [
                _Image(instance_id, number, kept[number % len(kept)], version)
                for number in range(first, min(first + _ROWS_AT_ONCE, images))
            ]
            for table, columns in _COLUMNS.items():
                records = [tuple(row.columns(columns, generation)) for row in rows]
                await db.copy_records_to_table(
                    table, schema_name="scanner", records=records, columns=list(columns)
                )
        await db.execute("VACUUM (ANALYZE) scanner.report, scanner.scan, scanner.task, scanner.tag")
        await db.execute("VACUUM (ANALYZE) scanner.inventory")
    finally:
        await db.close()


_COLUMNS: Final = {
    "scan": (
        *("scan_id", "instance_id", "namespace", "repository", "digest", "platform", "engine", "engine_version"),
        *("state", "reason", "coverage", "findings", "advisories_version", "ended_at"),
    ),
    "report": ("scan_id", "content", "inventory", "verdict", "generation"),
    "task": (
        *("task_id", "instance_id", "repo_id", "namespace", "repository", "tag", "digest", "engine", "scan_id"),
        *("state", "reason", "coverage", "findings", "advisories_version", "rule_ids", "target_ids"),
        *("created_at", "ended_at"),
    ),
    "tag": (
        *("repo_id", "tag", "instance_id", "namespace", "repository", "digest", "revision", "task_id", "seen_at"),
    ),
}


class _Image:
    """One image with all its rows."""

    def __init__(self, instance_id: str, number: int, kept: KeptInventory, version: str) -> None:
        name = parse_repository(f"kept{number % 20}/app{number % 1000}")
        now = datetime.now(UTC)
        self._values: dict[str, object] = {
            "scan_id": uuid.uuid4(),
            "task_id": uuid.uuid4(),
            "instance_id": instance_id,
            "repo_id": repository_id(instance_id, name),
            "namespace": name.namespace,
            "repository": name.name,
            "tag": f"kept-{number}",
            "digest": f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}",
            "platform": "linux/amd64",
            "engine": "SECURITY_CENTER",
            "engine_version": "bench",
            "state": "COMPLETE",
            "reason": kept.reason,
            "coverage": kept.coverage,
            "findings": kept.counts,
            "advisories_version": version,
            "rule_ids": ["crscnr-1"],
            "target_ids": [],
            "content": kept.report,
            "inventory": kept.digest,
            "verdict": kept.verdict,
            "revision": 1,
            "created_at": now,
            "ended_at": now,
            "seen_at": now,
        }

    def columns(self, names: Sequence[str], generation: int) -> Iterator[object]:
        """Its values of these columns."""
        for name in names:
            yield generation if name == "generation" else self._values[name]


def _binaries(sources: Sequence[KnownPackage]) -> tuple[Package, ...]:
    return tuple(_two_of_each(sources))


def _two_of_each(sources: Sequence[KnownPackage]) -> Iterator[Package]:
    for known in sources:
        for number in range(2):
            yield debian(f"{known.name}-{number}", fitting_version(known), source=known.name)
