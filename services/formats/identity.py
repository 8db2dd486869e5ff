"""What every format names in the same words: the document, its moment, the image, its packages.

Pure, and of the report alone: the same report gives the same names.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

import msgspec
from packageurl import PackageURL

from services.kernel.model.engine import Engine
from services.kernel.model.finding import Finding, Package
from services.kernel.model.report import Coverage, Report, ReportWarning

Json: TypeAlias = dict[str, object]

TOOL: Final = "Drydock"

_DOCUMENTS: Final = uuid.UUID("5a1f3f2e-7c0b-5d0e-9b1a-6f6472796471")
"""Namespace of our documents' names (RFC 9562, section 5.5); any fixed one will do."""
_FILES: Final = ("oci:", "oci-archive:", "docker-archive:")


def tool_of(report: Report) -> tuple[str, str]:
    """Returns name and version of who made the report: of Trivy's, that it was Trivy."""
    own = next((each for each in report.engines if each.name == Engine.SECURITY_CENTER.value), report.engine)
    if own.name == Engine.SECURITY_CENTER.value:
        return TOOL, own.version
    return f"{TOOL} ({own.name})", own.version


def document_id(report: Report, form: str) -> uuid.UUID:
    """Returns the name of the document that a report becomes in one format: another report has another name."""
    content = msgspec.json.encode(report)
    return uuid.uuid5(_DOCUMENTS, f"{form}:{hashlib.sha256(content).hexdigest()}")


def moment_of(report: Report) -> str:
    """Returns when the image was scanned, in UTC and whole seconds, as `2026-01-02T03:04:05Z`.

    Reports of releases that did not write it down are as old as the advisories that judged them.
    """
    moment = datetime.fromisoformat(report.scanned_at or report.advisories.built_at)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def repository_of(reference: str) -> str:
    """Returns the name of an image without its tag and digest; of a folder or an archive all that was typed."""
    if reference.startswith(_FILES):
        return reference
    folder, slash, last = reference.partition("@")[0].rpartition("/")
    return folder + slash + last.partition(":")[0]


def purl_of_image(report: Report) -> str:
    """Returns an image's package URL (purl-spec, "oci"); empty for one that lies in a folder or an archive."""
    reference = report.image.reference
    if reference.startswith(_FILES):
        return ""
    repository = repository_of(reference)
    host, _, rest = repository.partition("/")
    tag = reference.partition("@")[0].removeprefix(repository).removeprefix(":")
    is_addressed = bool(rest) and ("." in host or ":" in host or host == "localhost")
    return oci_purl(
        repository,
        report.image.digest,
        architecture=report.image.platform.partition("/")[2],
        tag=tag,
        addressed=is_addressed,
    )


def oci_purl(repository: str, digest: str, *, architecture: str, tag: str, addressed: bool = True) -> str:
    """Returns an image's package URL; `addressed` tells whether its repository begins with a registry's host."""
    qualifiers = {"arch": architecture, "repository_url": repository if addressed else "", "tag": tag}
    return PackageURL("oci", None, repository.rpartition("/")[2], digest, qualifiers).to_string()


def package_ids(packages: Iterable[Package]) -> dict[Package, str]:
    """Returns a short name for each package, the same in every report that has it at the same place.

    In the order of the packages; a package that is listed twice has one name.
    """
    ids: dict[Package, str] = {}
    ordinals: Counter[str] = Counter()
    for package in packages:
        if package not in ids:
            place = hashlib.sha256(f"{package.purl}\0{package.path}".encode()).hexdigest()[:16]
            ordinals[place] += 1
            ids[package] = place if ordinals[place] == 1 else f"{place}-{ordinals[place]}"
    return ids


def distribution_of(packages: Iterable[Package]) -> tuple[str, str]:
    """Returns name and release of the distribution that the packages' URLs name; empty where none does.

    Others need it to match a system's packages: Trivy looks for it and not into the URLs.
    """
    for package in packages:
        qualifiers = dict(parse_qsl(package.purl.partition("?")[2].partition("#")[0]))
        if "distro" in qualifiers:
            name, _, release = qualifiers["distro"].rpartition("-")
            return (name, release) if name else (release, "")
    return "", ""


def place_of(finding: Finding) -> str:
    """Returns where a finding is: the file, its layer, and whether a later layer takes it away."""
    layer = f" of layer {finding.layer}" if finding.layer else ""
    return (finding.path or "somewhere") + layer + (", deleted by a later layer" if finding.deleted else "")


def told(warning: ReportWarning) -> str:
    """Returns a warning's sentence, and where it is from unless the sentence says so."""
    place = f" ({warning.path})" if warning.path and warning.path not in warning.message else ""
    return warning.message + place


def shortfall(report: Report) -> str:
    """Returns the sentence that a document needs whose list of findings is not the whole truth; else nothing."""
    if report.summary.coverage is Coverage.FULL:
        return ""
    if report.summary.coverage is Coverage.NONE:
        verdict = "Nothing in the image could be judged: that no findings are listed means nothing"
    else:
        verdict = "The image could not be judged in full: findings may be missing"
    return f"{verdict} ({report.summary.coverage_reason})."
