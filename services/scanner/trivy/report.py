"""From Trivy's report to ours. Runs in a worker process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from services.kernel.model.finding import Finding, FindingKey, FindingKind, FixState, Package
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
from services.kernel.model.severity import Severity
from services.kernel.versions import sort_key as version_key
from services.scanner.advisories.database import facts_of
from services.scanner.advisories.ecosystems import family, scheme_of
from services.scanner.pipeline.coverage import coverage_of
from services.scanner.records import ScannedImage
from services.scanner.reports import outcome_of, pack_report
from services.scanner.trivy import output
from services.scanner.trivy.case import TrivyCase
from services.scanner.trivy.database import dated
from services.scanner.trivy.packages import LANGUAGE, SYSTEM, Translator, distribution_of, purl_of, text
from services.scanner.trivy.reservations import Trust, reservations

KINDS: Final = {SYSTEM: FindingKind.SYSTEM_VULNERABILITY, LANGUAGE: FindingKind.APPLICATION_VULNERABILITY}
"""What Trivy looks for here, by the class of its results; secrets and settings are not asked of it."""
_STATES: Final = {"end_of_life": FixState.END_OF_LIFE}
_MAX_ALIASES: Final = 50
_MAX_FIXES: Final = 50


def report_of(case: TrivyCase) -> ScannedImage:
    """Makes the report.

    Raises:
        ScanFailure: TRIVY_OUTPUT_TOO_LARGE, TRIVY_OUTPUT_INVALID.
    """
    document = output.read_output(case.output, case.output_bytes)
    server = document.trivy.server.database if document.trivy.server else None
    database = dated(server.updated_at, case.database.java) if server else case.database
    distribution = distribution_of(document.metadata.system)
    translator = Translator(case.layers, distribution)
    packages: dict[tuple[str, str, str, str], Package] = {}
    found: dict[FindingKey, Finding] = {}
    for result in document.results:
        kind = KINDS.get(result.class_)
        if kind is None:
            continue
        by_uid = {each.identifier.uid: translator.package(result, each) for each in result.packages}
        for package in by_uid.values():
            packages.setdefault(_identity(package), package)
        if kind in case.kinds:
            for finding in _findings(translator, result, by_uid, kind):
                found.setdefault(finding.key, finding)
                if finding.package is not None:  # of some, the list of packages says nothing
                    packages.setdefault(_identity(finding.package), finding.package)
    inventory = tuple(sorted(packages.values(), key=lambda each: (each.path, each.name, each.version)))
    findings = tuple(sorted(found.values(), key=sort_key))
    trust = Trust(database=database, now=case.now, max_age=case.max_age)
    warnings = tuple(reservations(document, distribution, inventory, trust, said=case.said))
    judged = any(database.speaks_of(package.ecosystem) for package in inventory)
    coverage, reason = coverage_of(warnings, judged=judged)
    families = {family(package.ecosystem) for package in inventory}
    report = Report(
        schema=SCHEMA,
        image=ReportImage(
            reference=case.reference, digest=case.digest, platform=case.platform, layers=case.layers
        ),
        engine=case.engine,
        advisories=AdvisoriesInfo(
            version=database.version,
            built_at=_written(database.built_at),
            sample=database.sample,
            facts_at=_written(facts_of(database.families, families, database.facts_at)),
        ),
        inventory=Inventory(packages=inventory),
        findings=findings,
        summary=Summary(
            packages=len(inventory),
            findings=len(findings),
            by_severity=count_by_severity(findings),
            by_kind=count_by_kind(findings, case.kinds & frozenset(KINDS.values())),
            coverage=coverage,
            coverage_reason=reason,
        ),
        warnings=warnings,
        scanned_at=_written(case.now),
    )
    return ScannedImage(platform=case.platform, report=pack_report(report), outcome=outcome_of(report))


def _identity(package: Package) -> tuple[str, str, str, str]:
    return package.purl, package.path, package.layer, package.version


def _findings(
    translator: Translator, result: output.Result, by_uid: Mapping[str, Package], kind: FindingKind
) -> Iterator[Finding]:
    for said in result.vulnerabilities:
        package = by_uid.get(said.pkg_identifier.uid) if said.pkg_identifier.uid else None
        if package is None:
            package = _named(translator, result, said)
        identifier = text(said.vulnerability_id)
        if not identifier:
            continue
        fixed = _fixed_version(package, said.fixed_version)
        aliases = {text(each) for each in said.vendor_ids[:_MAX_ALIASES]} - {identifier, ""}
        yield Finding(
            kind=kind,
            id=identifier,
            aliases=tuple(sorted(aliases)),
            severity=_severity(said.severity),
            score=_score(said),
            title=text(said.title) or f"{identifier} in {package.name}",
            link=text(said.primary_url) if said.primary_url.startswith("https://") else "",
            package=package,
            fixed_version=fixed,
            path=translator.path(result, said.pkg_path) or package.path,
            layer=translator.layer(said.layer) or package.layer,
            fix_state=FixState.FIXED if fixed else _STATES.get(said.status, FixState.AFFECTED),
        )


def _named(translator: Translator, result: output.Result, said: output.Vulnerability) -> Package:
    """The package of a vulnerability that the list of packages does not have."""
    return Package(
        purl=purl_of(said.pkg_identifier.purl, said.pkg_name, said.installed_version),
        name=text(said.pkg_name),
        version=text(said.installed_version),
        ecosystem=translator.ecosystem(result),
        path=translator.path(result, said.pkg_path),
        layer=translator.layer(said.layer),
    )


def _fixed_version(package: Package, said: str) -> str:
    """Returns the least of the versions, of which Trivy names one for each branch, above the installed one."""
    versions = [text(each.strip()) for each in said.split(",")[:_MAX_FIXES] if each.strip()]
    scheme = scheme_of(package.ecosystem)
    if scheme is None or len(versions) < 2:
        return versions[0] if versions else ""
    installed = version_key(scheme, package.version)
    newer = [each for each in versions if installed < version_key(scheme, each)]
    return min(newer or versions, key=lambda each: version_key(scheme, each))


def _severity(word: str) -> Severity:
    return Severity(word) if word in Severity.__members__ else Severity.UNKNOWN


def _score(said: output.Vulnerability) -> float | None:
    """The score of whoever gave the severity, or of the NVD, or the highest; newer forms before older ones."""
    for source in (said.severity_source, "nvd"):
        if source in said.scores and (score := _best(said.scores[source])) is not None:
            return score
    scores = (_best(each) for each in said.scores.values())
    return max((score for score in scores if score is not None), default=None)


def _best(scores: output.Scores) -> float | None:
    return next((each for each in (scores.v3, scores.v4, scores.v2) if 0.0 < each <= 10.0), None)


def _written(moment: datetime | None) -> str:
    return moment.isoformat().replace("+00:00", "Z") if moment else ""
