"""Judge: layer analyses become the report of one image. Runs in a worker process."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from services.kernel.model.finding import Finding, Package
from services.kernel.model.report import (
    SCHEMA,
    AdvisoriesInfo,
    Inventory,
    Report,
    ReportImage,
    ReportWarning,
    Summary,
    count_by_kind,
    count_by_severity,
    sort_key,
)
from services.kernel.model.severity import Severity
from services.scanner.advisories.database import Database, Meta, facts_of
from services.scanner.advisories.ecosystems import family
from services.scanner.advisories.files import AdvisoryFiles, AdvisoryReader
from services.scanner.inventory import StoredInventory, pack_inventory, verdict_id
from services.scanner.layers.analysis import decode_analysis
from services.scanner.pipeline.case import Case
from services.scanner.pipeline.coalesce import Coalesced, coalesce
from services.scanner.pipeline.content import content_findings
from services.scanner.pipeline.match import Matched, match
from services.scanner.records import FoundInventory, ScannedImage
from services.scanner.reports import outcome_of, pack_report, verdict_of


def judge(case: Case) -> ScannedImage:
    """Coalesces the layers and matches the result.

    Raises:
        ServiceError: the advisories cannot be read.
    """
    layers = [
        (layer, decode_analysis(analysis)) for layer, analysis in zip(case.layers, case.analyses, strict=True)
    ]
    coalesced = coalesce(layers)
    database = current_database(case.data)
    unread = (*coalesced.warnings, *case.complaints)
    matched = match(
        coalesced.distribution,
        coalesced.packages,
        database,
        unread=unread,
        now=case.now,
        max_age=case.max_age,
    )
    found = [
        *matched.findings,
        *content_findings(coalesced.seen, case.config, [each.digest for each in case.layers]),
    ]
    findings = tuple(sorted((each for each in found if each.kind in case.kinds), key=sort_key))
    report = _report(case, coalesced, matched, findings, database.meta)
    return ScannedImage(
        platform=case.platform,
        report=pack_report(report),
        outcome=outcome_of(report),
        inventory=_inventory(case, coalesced, unread, report) if case.kept else None,
    )


def _inventory(
    case: Case, coalesced: Coalesced, unread: tuple[ReportWarning, ...], report: Report
) -> FoundInventory:
    """What the packages may be matched by again, without the layers."""
    digest, content = pack_inventory(
        StoredInventory(
            distribution=coalesced.distribution,
            packages=coalesced.packages,
            unread=unread,
            kinds=tuple(sorted(case.kinds, key=lambda kind: kind.value)),
        )
    )
    beside = count_by_severity(tuple(finding for finding in report.findings if finding.package is None))
    return FoundInventory(
        digest=digest,
        content=content,
        verdict=verdict_id(verdict_of(report)),
        beside={Severity(word): count for word, count in beside.items() if count},
    )


_readers: dict[Path, AdvisoryReader] = {}


def current_database(data: Path) -> Database:
    """Returns the current advisories of a data directory, kept open from case to case in this process."""
    if data not in _readers:
        _readers[data] = AdvisoryReader(AdvisoryFiles(data))
    return _readers[data].database()


def _report(
    case: Case, coalesced: Coalesced, matched: Matched, findings: tuple[Finding, ...], meta: Meta
) -> Report:
    return Report(
        schema=SCHEMA,
        image=ReportImage(
            reference=case.reference, digest=case.digest, platform=case.platform, layers=case.layers
        ),
        engine=case.engine,
        advisories=advisories_info(meta, coalesced.packages),
        inventory=Inventory(packages=coalesced.packages),
        findings=findings,
        summary=Summary(
            packages=len(coalesced.packages),
            findings=len(findings),
            by_severity=count_by_severity(findings),
            by_kind=count_by_kind(findings, case.kinds),
            coverage=matched.coverage,
            coverage_reason=matched.coverage_reason,
        ),
        warnings=matched.warnings,
        scanned_at=_written(case.now),
    )


def advisories_info(meta: Meta, packages: Iterable[Package]) -> AdvisoriesInfo:
    """Returns what a report on packages says of the advisories that it was judged by."""
    facts_at = facts_of(meta.families, {family(package.ecosystem) for package in packages}, meta.facts_at)
    return AdvisoriesInfo(
        version=meta.version,
        built_at=_written(meta.built_at),
        sample=meta.sample,
        facts_at=_written(facts_at) if facts_at is not None else "",
    )


def _written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
