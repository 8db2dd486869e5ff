"""SARIF 2.1.0, for code scanning: findings alone, each with its rule.

OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0 Plus Errata 01"; what code scanning wants
of it: GitHub Docs, "SARIF support for code scanning"; read 2026-11-26. How it is filled: `docs/formats.md`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from services.formats.identity import Json, moment_of, repository_of, shortfall, tool_of
from services.kernel.model.finding import Finding, FindingKind
from services.kernel.model.report import Coverage, Report, ReportWarning
from services.kernel.model.severity import Severity

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"

_ROOT: Final = "IMAGE"
_MAX_DESCRIPTION: Final = 1024
"""Characters of a description that code scanning takes."""
_LEVELS: Final = MappingProxyType(
    {
        Severity.UNKNOWN: "note",
        Severity.LOW: "note",
        Severity.MEDIUM: "warning",
        Severity.HIGH: "error",
        Severity.CRITICAL: "error",
    }
)
_BANDS: Final = MappingProxyType(
    {
        Severity.LOW: (0.1, 2.0, 3.9),
        Severity.MEDIUM: (4.0, 5.5, 6.9),
        Severity.HIGH: (7.0, 8.0, 8.9),
        Severity.CRITICAL: (9.0, 9.5, 10.0),
    }
)
"""Numbers that code scanning shows as this severity: the least, one for findings without a score, the greatest."""
_RULES: Final = MappingProxyType(
    {
        FindingKind.SYSTEM_VULNERABILITY: ("SystemVulnerability", "vulnerability"),
        FindingKind.APPLICATION_VULNERABILITY: ("ApplicationVulnerability", "vulnerability"),
        FindingKind.BASELINE_RISK: ("BaselineRisk", "baseline"),
        FindingKind.MALICIOUS_SAMPLE: ("MaliciousSample", "malware"),
    }
)
"""Name and tag of a kind's rules."""


def to_sarif(report: Report) -> Json:
    """Writes the findings of a report as one run."""
    rules = _rules(report.findings)
    places = {identifier: place for place, identifier in enumerate(rules)}
    ordinals: Counter[str] = Counter()
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(report, rules)},
                "automationDetails": {"id": _category(report)},
                "invocations": [_invocation(report)],
                "originalUriBaseIds": {_ROOT: {"description": {"text": "Root folder of the image."}}},
                "results": [_result(finding, places[finding.id], ordinals) for finding in report.findings],
                "properties": _facts(report),
            }
        ],
    }


def _rules(findings: Sequence[Finding]) -> Mapping[str, Finding]:
    """Returns for each id the worst finding: rules are told of by it."""
    worst: dict[str, Finding] = {}
    for finding in findings:
        known = worst.setdefault(finding.id, finding)
        if (finding.severity.rank, finding.score or 0) > (known.severity.rank, known.score or 0):
            worst[finding.id] = finding
    return worst


def _driver(report: Report, rules: Mapping[str, Finding]) -> Json:
    name, version = tool_of(report)
    return {
        "name": name,
        "version": version,
        "rules": [_rule(worst) for worst in rules.values()],
    }


def _rule(worst: Finding) -> Json:
    name, tag = _RULES[worst.kind]
    description = {"text": _text(worst.title[:_MAX_DESCRIPTION])}
    rule: Json = {
        "id": worst.id,
        "name": name,
        "shortDescription": description,
        "fullDescription": description,
        "help": {"text": _text("\n".join(_help(worst)))},
        "defaultConfiguration": {"level": _LEVELS[worst.severity]},
        "properties": {
            "tags": ["security", tag, worst.severity.value],
            "precision": "very-high",
            **_security_severity(worst),
        },
    }
    return rule | ({"helpUri": worst.link} if worst.link else {})


def _help(worst: Finding) -> Iterator[str]:
    yield f"{worst.id}: {worst.title}"
    yield f"Severity: {worst.severity.value}" + ("" if worst.score is None else f", score {worst.score}")
    if worst.aliases:
        yield f"Also known as: {', '.join(worst.aliases)}"
    yield from filter(None, (worst.advice, worst.link))


def _security_severity(worst: Finding) -> Json:
    """The severity as the number that code scanning makes it from again; nothing where it is unknown.

    It is the score, unless a distribution's word for its own package says otherwise: then the nearest number that
    is shown as that word.
    """
    if worst.severity not in _BANDS:
        return {}
    least, typical, greatest = _BANDS[worst.severity]
    number = typical if worst.score is None else min(max(worst.score, least), greatest)
    return {"security-severity": f"{number:.1f}"}


def _result(finding: Finding, rule: int, ordinals: Counter[str]) -> Json:
    return {
        "ruleId": finding.id,
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": _text(_sentence(finding))},
        "locations": [_location(finding)],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(finding, ordinals)},
        "properties": _details(finding),
    }


def _sentence(finding: Finding) -> str:
    package = finding.package
    if package is None:
        gone = " A later layer deletes the file, but the image still has it." if finding.deleted else ""
        return f"{finding.title.rstrip('.')}: {finding.match or finding.path}.{gone}"
    title = "" if finding.title.startswith(finding.id) else f": {finding.title.rstrip('.')}"
    fix = f"Fixed in {finding.fixed_version}." if finding.fixed_version else "No fixed version is known."
    return f"{finding.id} in {package.name} {package.version}{title}. {fix}"


def _location(finding: Finding) -> Json:
    line = finding.line or 1
    location: Json = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(finding.path.lstrip("/")), "uriBaseId": _ROOT},
            "region": {"startLine": line, "startColumn": 1, "endLine": line, "endColumn": 1},
        }
    }
    if finding.package is not None:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.package.purl, "kind": "package"}]
    if finding.layer:
        location["message"] = {"text": f"In layer {finding.layer}."}
    return location


def _fingerprint(finding: Finding, ordinals: Counter[str]) -> str:
    """What a finding is known by from scan to scan, whatever its version and layer.

    Those that only version or layer tell apart are numbered, in the order of the report.
    """
    name = finding.package.name if finding.package else finding.match
    identity = "\0".join((finding.id, name, finding.path, finding.sha256))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    ordinals[digest] += 1
    return f"{digest}:{ordinals[digest]}"


def _details(finding: Finding) -> Json:
    details: Json = {
        "kind": finding.kind.value,
        "severity": finding.severity.value,
        "score": finding.score,
        "aliases": finding.aliases,
        "path": finding.path,
        "layer": finding.layer,
        "fix_state": finding.fix_state.value,
        "fixed_version": finding.fixed_version,
    }
    if finding.engines:
        conflicts = {each.about: each.said for each in finding.disagreements}
        details |= {"engines": finding.engines, "disagreements": conflicts}
    package = finding.package
    if package is not None:
        details |= {"purl": package.purl, "package": package.name, "version": package.version}
        return details | {"ecosystem": package.ecosystem}
    seen = {"match": finding.match, "deleted": finding.deleted}
    return details | seen | {"sha256": finding.sha256, "md5": finding.md5}


def _invocation(report: Report) -> Json:
    """How the scan went: where nothing could be judged it is one that failed, as no results would mean nothing."""
    level = "error" if report.summary.coverage is Coverage.NONE else "warning"
    return {
        "executionSuccessful": report.summary.coverage is not Coverage.NONE,
        "endTimeUtc": moment_of(report),
        "toolExecutionNotifications": [_notification(warning, level) for warning in report.warnings],
    }


def _notification(warning: ReportWarning, level: str) -> Json:
    notification: Json = {
        "descriptor": {"id": warning.code},
        "level": level,
        "message": {"text": _text(warning.message)},
    }
    if warning.path:
        place = {"uri": quote(warning.path.lstrip("/")), "uriBaseId": _ROOT}
        notification["locations"] = [{"physicalLocation": {"artifactLocation": place}}]
    return notification


def _category(report: Report) -> str:
    """Parts one image's findings from another's: all before the last slash is the category of code scanning."""
    return f"drydock/{repository_of(report.image.reference)}/{report.image.platform}/{report.image.digest}"


def _facts(report: Report) -> Json:
    image, summary = report.image, report.summary
    return {
        "image": image.reference,
        "digest": image.digest,
        "platform": image.platform,
        "layers": [layer.digest for layer in image.layers],
        "engine": report.engine.name,
        "advisories": report.advisories.version,
        "coverage": summary.coverage.value,
        "coverage_reason": summary.coverage_reason,
        "shortfall": shortfall(report),
        "findings": summary.findings,
        "packages": summary.packages,
    }


def _text(words: str) -> str:
    """Writes words that came from outside as a message: no placeholder, no link (SARIF, 3.11.5 and 3.11.6)."""
    for char, written in (("[", "\\["), ("]", "\\]"), ("{", "{{"), ("}", "}}")):
        words = words.replace(char, written)
    return words
