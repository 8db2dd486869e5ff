"""SPDX 2.3 as JSON: the inventory, with the advisories of its packages as references.

"The Software Package Data Exchange (SPDX) Specification", version 2.3, sections 6 to 12 and annex K; read
2026-11-26. How it is filled: `docs/formats.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from services.formats.identity import (
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
from services.kernel.model.report import Report

_DOCUMENT: Final = "SPDXRef-DOCUMENT"
_IMAGE: Final = "SPDXRef-Image"
_SYSTEM: Final = "SPDXRef-System"
_UNSAID: Final = "NOASSERTION"


def to_spdx(report: Report) -> Json:
    """Writes the inventory of a report, with links to what is known to be wrong with it."""
    refs = {package: f"SPDXRef-Package-{name}" for package, name in package_ids(report.inventory.packages).items()}
    known = _by_package(report.findings)
    systems = list(_system(refs))
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": report.image.reference,
        "documentNamespace": f"urn:uuid:{document_id(report, 'spdx')}",
        "creationInfo": {"created": moment_of(report), "creators": [_creator(report)]},
        "comment": _comment(report),
        "annotations": [_annotation(report, words) for words in _warnings(report)],
        "packages": [
            _image(report, known.get(None, ())),
            *systems,
            *(_package(report, package, ref, known.get(package, ())) for package, ref in refs.items()),
        ],
        "relationships": [
            _related(_DOCUMENT, "DESCRIBES", _IMAGE),
            *(_related(_IMAGE, "CONTAINS", _SYSTEM) for _ in systems),
            *(_related(_IMAGE, "CONTAINS", ref) for ref in refs.values()),
        ],
    }


def _by_package(findings: Sequence[Finding]) -> Mapping[Package | None, list[Finding]]:
    known: dict[Package | None, list[Finding]] = {}
    for finding in findings:
        known.setdefault(finding.package, []).append(finding)
    return known


def _creator(report: Report) -> str:
    return f"Tool: {'-'.join(tool_of(report))}"


def _comment(report: Report) -> str:
    """What the verdict rests on, and what it lacks."""
    judged = f"Judged by advisories {report.advisories.version}: {report.summary.findings} findings."
    return " ".join(filter(None, (judged, shortfall(report))))


def _warnings(report: Report) -> Iterator[str]:
    for warning in report.warnings:
        yield f"{warning.code}: {told(warning)}"


def _annotation(report: Report, words: str) -> Json:
    return {
        "annotationDate": moment_of(report),
        "annotationType": "OTHER",
        "annotator": _creator(report),
        "comment": words,
    }


def _image(report: Report, findings: Sequence[Finding]) -> Json:
    """The image itself; what was found in its files is said beside it, as no package has it."""
    image = report.image
    algorithm, _, digits = image.digest.partition(":")
    layers = ", ".join(layer.digest for layer in image.layers)
    purl = purl_of_image(report)
    return {
        **_nothing_said_of(_IMAGE, image.reference, image.digest),
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{"algorithm": algorithm.upper(), "checksumValue": digits}],
        "comment": f"Platform {image.platform}. Layers: {layers}.",
        "externalRefs": [_purl(purl)] if purl else [],
        "annotations": [_annotation(report, _sentence(finding)) for finding in findings],
    }


def _system(packages: Iterable[Package]) -> Iterator[Json]:
    name, release = distribution_of(packages)
    if name:
        yield {**_nothing_said_of(_SYSTEM, name, release), "primaryPackagePurpose": "OPERATING-SYSTEM"}


def _package(report: Report, package: Package, ref: str, findings: Sequence[Finding]) -> Json:
    source = f", built from {package.source.name} {package.source.version}" if package.source else ""
    layer = f" of layer {package.layer}" if package.layer else ""
    linked = [_advisory(finding) for finding in findings if finding.link]
    return {
        **_nothing_said_of(ref, package.name, package.version),
        "sourceInfo": f"Found in {package.path or 'the image'}{layer}{source}.",
        "externalRefs": [_purl(package.purl), *linked],
        "annotations": [_annotation(report, _sentence(finding)) for finding in findings if not finding.link],
    }


def _nothing_said_of(ref: str, name: str, version: str) -> Json:
    """A package of which Drydock knows neither licence nor origin; its files were not analysed one by one."""
    return {
        "SPDXID": ref,
        "name": name,
        "versionInfo": version,
        "supplier": _UNSAID,
        "downloadLocation": _UNSAID,
        "filesAnalyzed": False,
        "licenseConcluded": _UNSAID,
        "licenseDeclared": _UNSAID,
        "copyrightText": _UNSAID,
    }


def _purl(purl: str) -> Json:
    return {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}


def _advisory(finding: Finding) -> Json:
    """A finding, as annex K has it: a link to the advisory."""
    return {
        "referenceCategory": "SECURITY",
        "referenceType": "advisory",
        "referenceLocator": finding.link,
        "comment": _sentence(finding),
    }


def _sentence(finding: Finding) -> str:
    match = f": {finding.match}" if finding.match else ""
    fix = f" Fixed in {finding.fixed_version}." if finding.fixed_version else ""
    head = f"{finding.kind.value} {finding.id}, {finding.severity.value} at {place_of(finding)}"
    return f"{head}: {finding.title.rstrip('.')}{match}.{fix}"


def _related(one: str, how: str, other: str) -> Json:
    return {"spdxElementId": one, "relationshipType": how, "relatedSpdxElement": other}
