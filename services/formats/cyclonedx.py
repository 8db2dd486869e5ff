"""CycloneDX 1.6 as JSON: the inventory with what is wrong in it.

OWASP / Ecma-424, "CycloneDX Bill of Materials Standard", version 1.6, JSON reference; read 2026-11-26. How it is
filled: `docs/formats.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from services.formats.identity import (
    TOOL,
    Json,
    distribution_of,
    document_id,
    moment_of,
    package_ids,
    place_of,
    purl_of_image,
    shortfall,
    told,
    tool_of,
)
from services.kernel.model.finding import Finding, Package
from services.kernel.model.report import Coverage, Report
from services.kernel.model.severity import Severity

_IMAGE: Final = "image"
_SYSTEM: Final = "system"
_HASHES: Final = MappingProxyType({"sha256": "SHA-256", "sha512": "SHA-512"})
_GROUPS: Final = MappingProxyType({"Maven": ":", "npm": "/", "Packagist": "/"})
"""What parts the group from the name in the names of these ecosystems."""
_SOURCES: Final = (
    ("CVE-", "NVD", "https://nvd.nist.gov/vuln/detail/"),
    ("GHSA-", "GITHUB", "https://github.com/advisories/"),
    ("", "OSV", "https://osv.dev/vulnerability/"),
)


def to_cyclonedx(report: Report) -> Json:
    """Writes a report as a bill of materials with vulnerabilities."""
    refs = {package: f"package-{name}" for package, name in package_ids(report.inventory.packages).items()}
    document: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{document_id(report, 'cyclonedx')}",
        "version": 1,
        "metadata": _metadata(report),
        "components": [*_system(refs), *(_component(package, ref) for package, ref in refs.items())],
        "dependencies": [{"ref": _IMAGE, "dependsOn": list(refs.values())}],
        "vulnerabilities": [_vulnerability(group, refs) for group in _by_id(report.findings).values()],
    }
    if report.summary.coverage is Coverage.FULL:
        return document
    return document | {"compositions": [{"aggregate": "incomplete", "assemblies": [_IMAGE]}]}


def _metadata(report: Report) -> Json:
    tool, version = tool_of(report)
    return {
        "timestamp": moment_of(report),
        "tools": {
            "components": [{"type": "application", "name": tool, "version": version}],
        },
        "component": _image(report),
        "properties": list(_facts(report)),
    }


def _image(report: Report) -> Json:
    image = report.image
    algorithm, _, digits = image.digest.partition(":")
    purl = purl_of_image(report)
    return {
        "type": "container",
        "bom-ref": _IMAGE,
        "name": image.reference,
        "version": image.digest,
        "hashes": [{"alg": _HASHES[algorithm], "content": digits}],
        **({"purl": purl} if purl else {}),
        "properties": [
            _property("platform", image.platform),
            *(_property("layer", layer.digest) for layer in image.layers),
        ],
    }


def _facts(report: Report) -> Iterator[Json]:
    """What the verdict rests on, and what it lacks."""
    summary = report.summary
    yield _property("engine", report.engine.name)
    yield _property("advisories", report.advisories.version)
    yield _property("advisories-built-at", report.advisories.built_at)
    yield _property("findings", str(summary.findings))
    yield _property("coverage", summary.coverage.value)
    if lacking := shortfall(report):
        yield _property("coverage-reason", summary.coverage_reason)
        yield _property("shortfall", lacking)
    for warning in report.warnings:
        yield _property(f"warning:{warning.code}", told(warning))


def _system(packages: Iterable[Package]) -> Iterator[Json]:
    name, release = distribution_of(packages)
    if name:
        yield {"type": "operating-system", "bom-ref": _SYSTEM, "name": name, "version": release}


def _component(package: Package, ref: str) -> Json:
    group, _, name = package.name.rpartition(_GROUPS.get(package.ecosystem, "\0"))
    source = package.source
    facts = {
        "path": package.path,
        "layer": package.layer,
        "ecosystem": package.ecosystem,
        "arch": package.arch,
        "source": f"{source.name} {source.version}" if source else "",
    }
    return {
        "type": "library",
        "bom-ref": ref,
        **({"group": group} if group else {}),
        "name": name,
        "version": package.version,
        "purl": package.purl,
        "properties": [_property(word, value) for word, value in facts.items() if value],
    }


def _by_id(findings: Sequence[Finding]) -> Mapping[str, list[Finding]]:
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.id, []).append(finding)
    return groups


def _vulnerability(group: Sequence[Finding], refs: Mapping[Package, str]) -> Json:
    """One thing that is wrong, with all that has it."""
    worst = max(group, key=lambda finding: (finding.severity.rank, finding.score or 0))
    aliases = sorted({alias for finding in group for alias in finding.aliases})
    links = sorted({finding.link for finding in group if finding.link})
    advice = dict.fromkeys(filter(None, map(_advice, group)))
    return {
        "bom-ref": f"finding-{worst.id}",
        "id": worst.id,
        "source": _source(worst),
        "references": [{"id": alias, "source": _source_of(alias)} for alias in aliases],
        "ratings": list(_ratings(group)),
        "description": worst.title,
        **({"recommendation": "\n".join(advice)} if advice else {}),
        "advisories": [{"url": link} for link in links],
        "affects": _affected(group, refs),
        "properties": list(_details(group)),
    }


def _source(finding: Finding) -> Json:
    return {"name": TOOL} if finding.package is None else _source_of(finding.id)


def _source_of(identifier: str) -> Json:
    name, page = next((name, page) for prefix, name, page in _SOURCES if identifier.startswith(prefix))
    return {"name": name, "url": page + identifier}


def _ratings(group: Sequence[Finding]) -> Iterator[Json]:
    """What was said of it, each once.

    A score whose own severity is another one stands alone: a distribution's word for its package beats it.
    """
    ratings: dict[tuple[float | None, Severity], None] = {}
    for finding in group:
        if finding.score is None or _severity_of(finding.score) is finding.severity:
            ratings[(finding.score, finding.severity)] = None
        else:
            ratings[(None, finding.severity)] = ratings[(finding.score, _severity_of(finding.score))] = None
    for score, severity in ratings:
        words: Json = {"severity": severity.value.lower(), "method": "other"}
        yield words if score is None else {"score": score, **words}


def _severity_of(score: float) -> Severity:
    """CVSS v3.1, section 5, "Qualitative Severity Rating Scale"; its "None" is our LOW."""
    for least, severity in ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM)):
        if score >= least:
            return severity
    return Severity.LOW


def _advice(finding: Finding) -> str:
    package = finding.package
    if package is None:
        return finding.advice
    return f"Raise {package.name} to {finding.fixed_version}." if finding.fixed_version else ""


def _affected(group: Sequence[Finding], refs: Mapping[Package, str]) -> list[Json]:
    """Where it is: the packages, each with the version that is affected and the one that is not."""
    affected: dict[str, list[Json]] = {}
    for finding in group:
        package = finding.package
        if package is None:  # found in what a file holds: the image has it
            affected.setdefault(_IMAGE, [])
            continue
        versions = affected.setdefault(refs[package], [{"version": package.version, "status": "affected"}])
        fixed: Json = {"version": finding.fixed_version, "status": "unaffected"}
        if finding.fixed_version and fixed not in versions:
            versions.append(fixed)
    return [{"ref": ref, **({"versions": versions} if versions else {})} for ref, versions in affected.items()]


def _details(group: Sequence[Finding]) -> Iterator[Json]:
    for kind in dict.fromkeys(finding.kind for finding in group):
        yield _property("kind", kind.value)
    for state in dict.fromkeys(finding.fix_state for finding in group):
        yield _property("fix-state", state.value)
    for finding in group:
        if finding.package is None:
            yield _property("found", f"{finding.match} at {place_of(finding)}".strip())
            yield from (_property(word, digits) for word, digits in _hashes(finding) if digits)


def _hashes(finding: Finding) -> tuple[tuple[str, str], ...]:
    return ("sha256", finding.sha256), ("md5", finding.md5)


def _property(word: str, value: str) -> Json:
    return {"name": f"drydock:{word}", "value": value}
