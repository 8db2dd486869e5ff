"""A report as an in-toto attestation of vulnerabilities.

in-toto attestation framework: "Statement" layer, v1; predicate `vulns`, version 0.2; read 2026-11-26. It is not
signed: who signs images signs it like any other content of the registry.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.formats.identity import Json, moment_of, shortfall, told, tool_of
from services.kernel.model.finding import VULNERABILITIES, Finding
from services.kernel.model.report import Report

MEDIA_TYPE: Final = "application/vnd.in-toto+json"
PREDICATE: Final = "https://in-toto.io/attestation/vulns/v0.2"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"


def to_vulns_attestation(report: Report, *, name: str) -> Json:
    """Writes which vulnerabilities an image has; `name` is what the subject is called beside its digest.

    An empty list of results says that there is none: where the report cannot vouch for that, an entry of its own
    says so.
    """
    algorithm, _, value = report.image.digest.partition(":")
    tool, version = tool_of(report)
    moment = moment_of(report)
    return {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {algorithm: value}}],
        "predicateType": PREDICATE,
        "predicate": {
            "scanner": {
                "uri": f"urn:drydock:scanner:{report.engine.name.lower()}",
                "version": f"{tool} {version}",
                "db": {
                    "uri": "https://osv.dev",
                    "version": report.advisories.version,
                    "lastUpdate": report.advisories.facts_at or report.advisories.built_at,
                },
                "result": [*_results(report.findings), *_doubts(report)],
            },
            "metadata": {"scanStartedOn": moment, "scanFinishedOn": moment},
        },
    }


def _results(findings: Iterable[Finding]) -> Iterable[Json]:
    for finding in findings:
        if finding.kind not in VULNERABILITIES or finding.package is None:
            continue
        score = "" if finding.score is None else f"{finding.score:g}"
        severity: list[Json] = [{"method": "vendor", "score": finding.severity.value}]
        if score:
            severity.append({"method": "CVSS_BASE", "score": score})
        yield {
            "id": finding.id,
            "severity": severity,
            "annotations": [{"purl": finding.package.purl, "fixed_version": finding.fixed_version}],
        }


def _doubts(report: Report) -> Iterable[Json]:
    words = shortfall(report)
    if words:
        yield {
            "id": report.summary.coverage_reason,
            "severity": [{"method": "vendor", "score": "UNKNOWN"}],
            "annotations": [{"message": words, "warnings": [told(each) for each in report.warnings]}],
        }
