"""The report of one scan: also, word for word, the JSON that `drydock scan --format json` prints.

Its JSON Schema is `docs/report.schema.json`.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Collection

import msgspec

from services.kernel.model.finding import Finding, FindingKey, FindingKind, Package
from services.kernel.model.severity import Severity

SCHEMA = "drydock.report/v1"


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer of the image, in the order of the manifest."""

    digest: str
    diff_id: str
    size: int
    """Compressed bytes."""


class ReportImage(msgspec.Struct, frozen=True, kw_only=True):
    """What was scanned."""

    reference: str
    digest: str
    """Of the platform's own manifest."""
    platform: str
    layers: tuple[Layer, ...]


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who scanned it."""

    name: str
    version: str


class AdvisoriesInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which advisories it was matched with."""

    version: str
    built_at: str
    """When they were imported, RFC 3339, UTC; their facts may be older."""
    sample: bool
    """True for the small snapshot that ships with Drydock: no verdict rests on it."""
    facts_at: str = ""
    """Of when their facts are, RFC 3339, UTC: the youngest one of that family of the image's packages of which the
    least recent is known. Empty where nothing tells, and in reports of older releases."""
    newer: str = ""
    """Version of younger ones, by which it was not judged when it was read; empty where none were there."""


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What is installed; sorted by path, name and version."""

    packages: tuple[Package, ...]


class Coverage(enum.Enum):
    """How much of the image could be read and judged."""

    FULL = "FULL"
    PARTIAL = "PARTIAL"
    """A part could not be read, or not be judged by advisories that are whole and young: see the warnings."""
    NONE = "NONE"
    """Nothing could be judged: an empty list of findings means nothing."""


class EngineVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one of several engines had to say."""

    name: str
    version: str
    """Empty of one that failed."""
    advisories: AdvisoriesInfo | None
    """None of one that failed."""
    findings: int
    coverage: Coverage
    coverage_reason: str
    """Of one that failed, why."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, and how far they may be trusted."""

    packages: int
    findings: int
    by_severity: dict[str, int]
    """Every severity has its key."""
    coverage: Coverage
    coverage_reason: str
    """Code of the first warning that lowers the coverage; empty when it is FULL."""
    by_kind: dict[str, int] = msgspec.field(default_factory=dict)
    """Every kind that was looked for has its key; empty in reports of releases that knew only vulnerabilities."""


class ReportWarning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why findings may be missing: a broken record, a system without advisories. Each lowers the coverage."""

    code: str
    message: str
    path: str = ""
    layer: str = ""
    engine: str = ""
    """Whose it is, where several were asked."""
    ecosystem: str = ""
    """Whose packages alone it is about, where it is about those of one."""


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that a scan of one image on one platform says."""

    schema: str
    image: ReportImage
    engine: EngineInfo
    advisories: AdvisoriesInfo
    inventory: Inventory
    findings: tuple[Finding, ...]
    """Sorted: severity from Unknown upward, then id, package, version, path."""
    summary: Summary
    warnings: tuple[ReportWarning, ...]
    scanned_at: str = ""
    """When it was judged, RFC 3339, UTC; empty in a report of a release that did not write it down."""
    engines: tuple[EngineVerdict, ...] = ()
    """Those that were asked, where these were several: `engine` is ALL then, and each finding says whose it is."""


def sort_key(finding: Finding) -> tuple[int, FindingKey]:
    """The default order of findings: severity from Unknown upward, ties by id, package, version and path."""
    return (finding.severity.rank, finding.key)


def count_by_severity(findings: tuple[Finding, ...]) -> dict[str, int]:
    """Counts findings for every severity, zero included."""
    counts = {severity.value: 0 for severity in Severity}
    for finding in findings:
        counts[finding.severity.value] += 1
    return counts


def count_by_kind(findings: tuple[Finding, ...], kinds: Collection[FindingKind]) -> dict[str, int]:
    """Counts findings for every kind that was looked for or found, zero included."""
    counts = Counter(finding.kind for finding in findings)
    return {kind.value: counts[kind] for kind in FindingKind if kind in kinds or counts[kind]}
