"""A report as people read it: findings, counts, warnings, and how far to trust them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from services.cli.output import cell, console_for, styled, table_of
from services.kernel.model.finding import Finding
from services.kernel.model.report import Coverage, EngineInfo, EngineVerdict, Report

_TITLES = ("SEVERITY", "ID", "PACKAGE OR MATCH", "VERSION", "FIXED", "PATH")
_SAID_BY = "SAID BY"
_MAX_CONFLICTS = 20


def print_report(report: Report, findings: Sequence[Finding]) -> None:
    """Prints the report with the given ones of its findings to standard output."""
    console = console_for(sys.stdout)
    if findings:
        titles = (*_TITLES, _SAID_BY) if report.engines else _TITLES
        console.print(table_of(titles, (_row(each)[: len(titles)] for each in findings)))
        console.print()
    for name, value in _facts(report):
        console.print(styled(name.ljust(11), "dim").append_text(cell(value)), soft_wrap=True)
    for conflict in _conflicts(findings):
        console.print(styled("conflict   ", "yellow").append_text(cell(conflict)), soft_wrap=True)
    for warning in report.warnings:
        place = f" ({warning.path})" if warning.path else ""
        whose = f"{warning.engine}: " if warning.engine else ""
        line = styled("warning    ", "yellow").append_text(
            styled(f"{whose}{warning.message}{place} [{warning.code}]", "")
        )
        console.print(line, soft_wrap=True)


def _row(finding: Finding) -> tuple[str, ...]:
    package = finding.package
    return (
        finding.severity.value,
        finding.id,
        package.name if package else finding.match,
        package.version if package else "",
        finding.fixed_version,
        f"{finding.path} (deleted)" if finding.deleted else finding.path,
        ", ".join(finding.engines),
    )


def _conflicts(findings: Sequence[Finding]) -> list[str]:
    """Tells what engines do not agree on, one line for each, those of the worst findings first."""
    lines = [
        f"{finding.id} in {finding.package.name if finding.package else finding.path}, {each.about}: "
        + ", ".join(f"{engine} says {said or 'nothing'}" for engine, said in each.said.items())
        for finding in reversed(findings)
        for each in finding.disagreements
    ]
    more = len(lines) - _MAX_CONFLICTS
    return lines if more <= 0 else [*lines[:_MAX_CONFLICTS], f"and {more} more: see --format json"]


def _facts(report: Report) -> list[tuple[str, object]]:
    summary = report.summary
    coverage = summary.coverage.value
    if summary.coverage is not Coverage.FULL:
        coverage += f" ({summary.coverage_reason})"
    sample = ", a sample" if report.advisories.sample else ""
    return [
        ("image", report.image.reference),
        ("digest", report.image.digest),
        ("platform", report.image.platform),
        *([("engine", _verdict(each)) for each in report.engines] or [("engine", _named(report.engine))]),
        ("advisories", f"{report.advisories.version}, built {report.advisories.built_at}{sample}"),
        ("packages", summary.packages),
        ("findings", f"{summary.findings}: {_counts(summary.by_severity)}"),
        ("kinds", ", ".join(f"{count} {_kind(kind)}" for kind, count in summary.by_kind.items())),
        ("coverage", coverage),
    ]


def _named(engine: EngineInfo | EngineVerdict) -> str:
    return f"{engine.name} {engine.version}".strip()


def _verdict(engine: EngineVerdict) -> str:
    limit = "" if engine.coverage is Coverage.FULL else f" ({engine.coverage_reason})"
    return f"{_named(engine)}: {engine.findings} findings, coverage {engine.coverage.value}{limit}"


def _kind(word: str) -> str:
    return word.replace("_", " ").lower()


def _counts(by_severity: dict[str, int]) -> str:
    return ", ".join(f"{count} {severity.lower()}" for severity, count in reversed(by_severity.items()))
