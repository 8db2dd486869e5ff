"""Drydock itself, by the command that its users type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from services.kernel.model.report import Report
from tests.quality.facts import Fact, Said, fact_of

_PATIENCE_SECONDS = 300
_NESTED = ":"
"""Between the path of an archive and a path inside it."""


def ask(image: str, layout: Path, data: Path) -> Said:
    """Scans the image with the advisories of a data directory."""
    ran = subprocess.run(
        [Path(sys.executable).with_name("drydock"), "scan", f"oci:{layout}", "--data", data, "--format", "json"],
        capture_output=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    if ran.returncode != 0:
        raise RuntimeError(f"drydock scan of {image} ended with {ran.returncode}: {ran.stderr.decode()[-2000:]}")
    report = msgspec.json.decode(ran.stdout, type=Report)
    packages = frozenset(
        fact_of(image, package.purl, package.version, package.path.split(_NESTED)[0])
        for package in report.inventory.packages
    )
    findings: set[Fact] = set()
    fixes: dict[Fact, str] = {}
    for finding in report.findings:
        if finding.package is not None and finding.kind.value.endswith("VULNERABILITY"):
            fact = fact_of(image, finding.package.purl, finding.package.version, finding.id)
            findings.add(fact)
            if finding.fixed_version:
                fixes[fact] = finding.fixed_version
    warnings = tuple(f"{warning.code}: {warning.message} {warning.path}".strip() for warning in report.warnings)
    return Said(packages=packages, findings=frozenset(findings), fixes=fixes, warnings=warnings)
