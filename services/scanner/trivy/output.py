"""Trivy's report, as far as we read it (aquasecurity/trivy v0.72.0, pkg/types/report.go, schema 2)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from services.kernel.reasons import Reason, ScanFailure

SCHEMA: Final = 2


class Layer(msgspec.Struct, frozen=True):
    """Where something came into the image; both may be empty."""

    digest: str = msgspec.field(default="", name="Digest")
    diff_id: str = msgspec.field(default="", name="DiffID")


class Identifier(msgspec.Struct, frozen=True):
    """Names a package of a result."""

    purl: str = msgspec.field(default="", name="PURL")
    uid: str = msgspec.field(default="", name="UID")


class Package(msgspec.Struct, frozen=True, rename="pascal"):
    """A package that Trivy found."""

    name: str = ""
    identifier: Identifier = Identifier()
    version: str = ""
    release: str = ""
    epoch: int = 0
    arch: str = ""
    src_name: str = ""
    src_version: str = ""
    src_release: str = ""
    src_epoch: int = 0
    modularitylabel: str = ""
    layer: Layer = Layer()
    file_path: str = ""


class Scores(msgspec.Struct, frozen=True):
    """CVSS base scores that one source gives."""

    v2: float = msgspec.field(default=0.0, name="V2Score")
    v3: float = msgspec.field(default=0.0, name="V3Score")
    v4: float = msgspec.field(default=0.0, name="V40Score")


class Vulnerability(msgspec.Struct, frozen=True, rename="pascal"):
    """A vulnerability of a package."""

    vulnerability_id: str = msgspec.field(name="VulnerabilityID")
    vendor_ids: tuple[str, ...] = msgspec.field(default=(), name="VendorIDs")
    pkg_name: str = ""
    pkg_path: str = ""
    pkg_identifier: Identifier = Identifier()
    installed_version: str = ""
    fixed_version: str = ""
    status: str = ""
    layer: Layer = Layer()
    severity_source: str = ""
    primary_url: str = msgspec.field(default="", name="PrimaryURL")
    title: str = ""
    severity: str = ""
    scores: Mapping[str, Scores] = msgspec.field(default_factory=dict, name="CVSS")


class Result(msgspec.Struct, frozen=True, rename="pascal"):
    """What one record of packages, or the system, gave."""

    target: str = ""
    class_: str = msgspec.field(default="", name="Class")
    type: str = ""
    packages: tuple[Package, ...] = ()
    vulnerabilities: tuple[Vulnerability, ...] = ()


class System(msgspec.Struct, frozen=True):
    """The distribution."""

    family: str = msgspec.field(default="", name="Family")
    name: str = msgspec.field(default="", name="Name")
    """Its release."""
    ended: bool = msgspec.field(default=False, name="EOSL")


class Metadata(msgspec.Struct, frozen=True):
    """What is known of the image."""

    system: System | None = msgspec.field(default=None, name="OS")


class ServerDatabase(msgspec.Struct, frozen=True, rename="pascal"):
    """The database of a Trivy server."""

    updated_at: datetime | None = None


class Versions(msgspec.Struct, frozen=True):
    """Of a Trivy server."""

    version: str = msgspec.field(default="", name="Version")
    database: ServerDatabase | None = msgspec.field(default=None, name="VulnerabilityDB")


class About(msgspec.Struct, frozen=True, rename="pascal"):
    """Who wrote the report."""

    version: str = ""
    server: Versions | None = None


class Document(msgspec.Struct, frozen=True, rename="pascal"):
    """A whole report."""

    schema_version: int
    artifact_type: str
    trivy: About = About()
    metadata: Metadata = Metadata()
    results: tuple[Result, ...] = ()


def read_output(path: Path, most: int) -> Document:
    """Reads a report from a file.

    Raises:
        ScanFailure: TRIVY_OUTPUT_TOO_LARGE, TRIVY_OUTPUT_INVALID.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise _invalid("it wrote none") from error
    if len(content) > most:
        raise ScanFailure(
            Reason.TRIVY_OUTPUT_TOO_LARGE,
            f"Trivy's report has more than {most:,} bytes.",
            hint="Raise DRYDOCK_TRIVY_OUTPUT_BYTES if the image has that many packages.",
        )
    try:
        document = msgspec.json.decode(content, type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid("it is not the JSON that it should be") from error
    if document.schema_version != SCHEMA or document.artifact_type != "container_image":
        raise _invalid("it has another form, or is of something else")
    return document


def _invalid(why: str) -> ScanFailure:
    return ScanFailure(
        Reason.TRIVY_OUTPUT_INVALID,
        f"Trivy's report cannot be read: {why}.",
        hint="Drydock reads the reports of Trivy 0.72: name such a one in DRYDOCK_TRIVY.",
    )
