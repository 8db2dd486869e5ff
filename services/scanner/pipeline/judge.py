"""Judge: layer analyses become the report of one image. Runs in a worker process."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from services.kernel.model.finding import Finding
from services.kernel.model.report import (
    SCHEMA,
    AdvisoriesInfo,
    Inventory,
    Report,
    ReportImage,
    Summary,
    count_by_kind,
    count_by_severity,
    sort_key,
)
from services.scanner.advisories.database import Database, Meta, facts_of
from services.scanner.advisories.ecosystems import family
from services.scanner.advisories.files import AdvisoryFiles, AdvisoryReader
from services.scanner.layers.analysis import decode_analysis
from services.scanner.pipeline.case import Case
from services.scanner.pipeline.coalesce import Coalesced, coalesce
from services.scanner.pipeline.content import content_findings
from services.scanner.pipeline.match import Matched, match
from services.scanner.records import ScannedImage
from services.scanner.reports import outcome_of, pack_report


def judge(case: Case) -> ScannedImage:
    """Coalesces the layers and matches the result.

    Raises:
        ServiceError: the advisories cannot be read.
    """
    layers = [
        (layer, decode_analysis(analysis)) for layer, analysis in zip(case.layers, case.analyses, strict=True)
    ]
    coalesced = coalesce(layers)
    database = _database(case)
    matched = match(
        coalesced.distribution,
        coalesced.packages,
        database,
        unread=(*coalesced.warnings, *case.complaints),
        now=case.now,
        max_age=case.max_age,
    )
    found = [
        *matched.findings,
        *content_findings(coalesced.seen, case.config, [each.digest for each in case.layers]),
    ]
    findings = tuple(sorted((each for each in found if each.kind in case.kinds), key=sort_key))
    report = _report(case, coalesced, matched, findings, database.meta)
    return ScannedImage(platform=case.platform, report=pack_report(report), outcome=outcome_of(report))


_readers: dict[Path, AdvisoryReader] = {}


def _database(case: Case) -> Database:
    """Returns the current advisories, kept open from case to case in this process."""
    if case.data not in _readers:
        _readers[case.data] = AdvisoryReader(AdvisoryFiles(case.data))
    return _readers[case.data].database()


def _report(
    case: Case, coalesced: Coalesced, matched: Matched, findings: tuple[Finding, ...], meta: Meta
) -> Report:
    families = {family(package.ecosystem) for package in coalesced.packages}
    facts_at = facts_of(meta.families, families, meta.facts_at)
    return Report(
        schema=SCHEMA,
        image=ReportImage(
            reference=case.reference, digest=case.digest, platform=case.platform, layers=case.layers
        ),
        engine=case.engine,
        advisories=AdvisoriesInfo(
            version=meta.version,
            built_at=_written(meta.built_at),
            sample=meta.sample,
            facts_at=_written(facts_at) if facts_at is not None else "",
        ),
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


def _written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
