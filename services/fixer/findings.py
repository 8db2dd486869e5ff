"""From a report to what a fix is asked for: which findings, and which of them no package can mend. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from services.fixer.plan.outcome import FindingRef, NotFixable, Refusal
from services.kernel.model.engine import Engine
from services.kernel.model.finding import Finding, FindingKind
from services.kernel.model.report import Report


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of one platform."""

    findings: tuple[FindingRef, ...]
    """Vulnerabilities of system packages, each once, sorted by id and package."""
    refusals: tuple[Refusal, ...]
    """Findings that were named, and that are nothing that packages of the system could mend."""


def wanted_of(report: Report, named: Collection[str]) -> Wanted:
    """Returns the findings with these ids, or with none named every vulnerability of the system's packages.

    Only what SECURITY_CENTER found counts: where both engines looked, what it said of each finding.
    """
    refs: dict[tuple[str, str, str, str], FindingRef] = {}
    refusals: dict[tuple[str, str, str, str], Refusal] = {}
    for finding in report.findings:
        if (named and finding.id not in named) or not _is_ours(finding, report):
            continue
        ref = _ref(finding)
        key = (ref.id, ref.package, ref.version, ref.path)
        if finding.kind is FindingKind.SYSTEM_VULNERABILITY and finding.package is not None:
            refs[key] = ref
        elif named:
            refusals[key] = Refusal(finding=ref, why=NotFixable.NOT_A_SYSTEM_PACKAGE, message=_other(finding))
    return Wanted(
        findings=tuple(refs[key] for key in sorted(refs)),
        refusals=tuple(refusals[key] for key in sorted(refusals)),
    )


def _is_ours(finding: Finding, report: Report) -> bool:
    ours = Engine.SECURITY_CENTER.value
    return ours in finding.engines if finding.engines else report.engine.name == ours


def _ref(finding: Finding) -> FindingRef:
    package = finding.package
    return FindingRef(
        id=finding.id,
        package=package.name if package else "",
        version=package.version if package else "",
        fixed_version=finding.fixed_version,
        path=finding.path,
        severity=finding.severity.value,
    )


def _other(finding: Finding) -> str:
    if finding.package is not None:
        return (
            f"{finding.package.name} {finding.package.version} in {finding.path} is no package of the system: "
            "raise it where the application is built."
        )
    return f"It was found in the content of {finding.path or 'the image'}: no package mends that."
