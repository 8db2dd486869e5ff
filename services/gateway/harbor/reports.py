"""Reports in Harbor's shapes: `HarborVulnerabilityReport` and `HarborSbomReport` of its API. Pure.

Vulnerabilities and malicious samples are items; baseline risks are not: Harbor has no word for them, and counts
every item as a vulnerability. It keeps an item by id, package and version, so what lies in several places is one
item with its places. It knows no warnings: what lowers the coverage is an item of unknown severity, so that an
image that could not be judged in full is never shown as one without findings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from services.formats.cyclonedx import to_cyclonedx
from services.formats.identity import Json, told
from services.formats.spdx import to_spdx
from services.gateway.harbor import media
from services.kernel.model.finding import VULNERABILITIES, Finding, FindingKind
from services.kernel.model.report import Coverage, Report, ReportWarning
from services.kernel.model.severity import Severity
from services.kernel.release import VERSION
from services.scanner.api import Task

SCANNER: Final[Json] = {"name": "Drydock", "vendor": "Drydock", "version": VERSION}
"""Who we are, in metadata and reports alike."""
NOTICE: Final = "DRYDOCK-"
"""What ids of items begin with that stand for warnings; the code follows."""
_KINDS: Final = VULNERABILITIES | {FindingKind.MALICIOUS_SAMPLE}
_MOST_PLACES: Final = 100
_FORMS: Final = {media.SPDX: to_spdx, media.CYCLONEDX: to_cyclonedx}


def to_vulnerability_report(task: Task, report: Report) -> Json:
    """Writes what is wrong with an image."""
    findings = [finding for finding in report.findings if finding.kind in _KINDS]
    worst = max((finding.severity for finding in findings), key=lambda each: each.rank, default=Severity.UNKNOWN)
    return {
        **_head(task, report),
        "severity": _word(worst),
        "vulnerabilities": [*_items(findings), *_notices(report)],
    }


def to_sbom_report(task: Task, report: Report, form: str) -> Json:
    """Writes what an image consists of, in one of `media.SBOM_FORMS`."""
    summary = report.summary
    return {
        **_head(task, report),
        "media_type": form,
        "sbom": _FORMS[form](report),
        "vendor_attributes": {
            "coverage": summary.coverage.value,
            "coverage_reason": summary.coverage_reason,
            "packages": summary.packages,
        },
    }


def _head(task: Task, report: Report) -> Json:
    path = task.repository if task.namespace == "_" else f"{task.namespace}/{task.repository}"
    return {
        "generated_at": report.scanned_at or report.advisories.built_at,
        "artifact": {"repository": path, "digest": task.digest},
        "scanner": SCANNER,
    }


def _items(findings: Sequence[Finding]) -> Iterator[Json]:
    """One item for each id, package and version; of these the worst severity speaks."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        name, version = _subject(finding)
        groups.setdefault((finding.id, name, version), []).append(finding)
    for (identifier, name, version), group in groups.items():
        worst = max(group, key=lambda each: each.severity.rank)
        yield {
            "id": identifier,
            "package": name,
            "version": version,
            "fix_version": next((each.fixed_version for each in group if each.fixed_version), ""),
            "severity": _word(worst.severity),
            "description": worst.title,
            "links": sorted({each.link for each in group if each.link}),
            **({"preferred_cvss": {"score_v3": worst.score}} if worst.score is not None else {}),
            "vendor_attributes": _attributes(worst, group),
        }


def _subject(finding: Finding) -> tuple[str, str]:
    """What has it: a package; of a malicious sample its file, by the file's hash."""
    if finding.package is not None:
        return finding.package.name, finding.package.version
    return finding.path, finding.sha256


def _attributes(finding: Finding, group: Sequence[Finding]) -> Json:
    places = dict.fromkeys((each.path, each.layer) for each in group if each.path)
    said = {
        "kind": finding.kind.value,
        "aliases": finding.aliases,
        "purl": finding.package.purl if finding.package is not None else "",
        "fix_state": finding.fix_state.value,
        "engines": finding.engines,
        "match": finding.match,
        "advice": finding.advice,
        "deleted": all(each.deleted for each in group),
        "places": [{"path": path, "layer": layer} for path, layer in list(places)[:_MOST_PLACES]],
    }
    return {word: value for word, value in said.items() if value}


def _notices(report: Report) -> Iterator[Json]:
    by_code: dict[str, list[ReportWarning]] = {}
    for warning in report.warnings:
        by_code.setdefault(warning.code, []).append(warning)
    summary = report.summary
    if summary.coverage is not Coverage.FULL and not by_code:
        code = summary.coverage_reason or "NOT_JUDGED_IN_FULL"
        by_code[code] = [ReportWarning(code=code, message="A part of the image could not be judged.")]
    if report.advisories.sample and "SAMPLE_ADVISORIES" not in by_code:
        message = "Only a sample of advisories was used."
        by_code["SAMPLE_ADVISORIES"] = [ReportWarning(code="SAMPLE_ADVISORIES", message=message)]
    for code, warnings in by_code.items():
        more = f" And {len(warnings) - 1} more of these." if len(warnings) > 1 else ""
        yield {
            "id": f"{NOTICE}{code}",
            "package": "drydock",
            "version": "",
            "fix_version": "",
            "severity": _word(Severity.UNKNOWN),
            "description": f"This is no vulnerability: some may be missing here. {told(warnings[0])}{more}",
            "links": [],
            "vendor_attributes": {"kind": "NOTICE", "coverage": summary.coverage.value},
        }


def _word(severity: Severity) -> str:
    return severity.value.capitalize()
