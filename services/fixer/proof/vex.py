"""OpenVEX of a fixed image: what was in the original, and what became of it.

Format: OpenVEX 0.2.0, "Document Fields", "Statement Fields", "Status Labels"; read 2026-11-26. The document
follows from what it says alone: the same fix gives the same bytes.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from services.fixer.order import FindingOutcome, PlatformPlan, Verdict
from services.formats.identity import Json, oci_purl
from services.kernel.model.finding import Package
from services.kernel.model.report import Report

MEDIA_TYPE: Final = "application/vnd.openvex+json"
_CONTEXT: Final = "https://openvex.dev/ns/v0.2.0"
_DOCUMENTS: Final = uuid.UUID("0d1b6bfa-4c0f-5b8e-8a55-6669786572ff")
"""Namespace of these documents' names (RFC 9562, section 5.5); any fixed one will do."""


def to_openvex(platform: PlatformPlan, after: Report, *, repository: str, tag: str, moment: datetime) -> bytes:
    """Writes the statements on one platform's fixed image, as JSON.

    Args:
        platform: with the verdicts of the later scan, and the fixed image's digest.
        after: that scan's report, for the packages as they are now.
        repository: `HOST/PATH` of the image.
        tag: that was written.
        moment: of that scan.
    """
    image = oci_purl(
        repository, platform.fixed_digest, architecture=str(platform.platform).partition("/")[2], tag=tag
    )
    packages = {package.name: package for package in after.inventory.packages}
    statements = [
        _statement(outcome, image, packages.get(outcome.finding.package)) for outcome in _once(platform.outcomes)
    ]
    body: Json = {
        "author": "Drydock",
        "role": "Image fixer",
        "timestamp": moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": 1,
        "statements": statements,
    }
    name = uuid.uuid5(_DOCUMENTS, hashlib.sha256(msgspec.json.encode(body)).hexdigest())
    return msgspec.json.encode({"@context": _CONTEXT, "@id": f"urn:uuid:{name}", **body})


def _once(outcomes: Sequence[FindingOutcome]) -> Iterable[FindingOutcome]:
    """A vulnerability in a package is one statement, however many files tell of it: fixed where it is in all."""
    once: dict[tuple[str, str], FindingOutcome] = {}
    for each in outcomes:
        key = (each.finding.id, each.finding.package)
        if key not in once or once[key].verdict is Verdict.FIXED:
            once[key] = each
    return once.values()


def _statement(outcome: FindingOutcome, image: str, package: Package | None) -> Json:
    product: Json = {"@id": image}
    if package is not None:
        product["subcomponents"] = [{"@id": package.purl}]
    statement: Json = {"vulnerability": {"name": outcome.finding.id}, "products": [product]}
    if outcome.verdict is Verdict.FIXED:
        return {**statement, "status": "fixed", "status_notes": outcome.message}
    return {**statement, "status": "affected", "action_statement": outcome.message or _ACTION}


_ACTION: Final = "Build the image anew from a base in which it is mended."
