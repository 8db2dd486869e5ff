"""Findings and rules in the reference's shapes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.fixcmd import fix_command, version_format
from services.gateway.acr.words import to_class, to_severity
from services.kernel.model.finding import Finding
from services.kernel.model.severity import Severity
from services.rules.api import ScanRule

_ORDER = {"Unknown": 0, "Low": 1, "Medium": 2, "High": 3}


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Sorts as the reference documents it: Unknown, Low, Medium, High, then name, package, version and path.

    Ours come sorted by five severities: High holds two of them, which have to be merged.
    """
    return sorted(findings, key=lambda finding: (_ORDER[to_severity(finding.severity)], finding.key))


def to_vulnerability(finding: Finding) -> pb.Vulnerability:
    """Writes one item of the result list."""
    package = finding.package
    return pb.Vulnerability(
        cve_name=finding.id,
        alias_name=finding.title,
        cve_link=finding.link,
        cve_location=finding.path,
        severity=to_severity(finding.severity),
        scan_type=to_class(finding.kind),
        feature=package.name if package else "",
        version=package.version if package else "",
        version_fixed=finding.fixed_version,
        version_format=version_format(finding),
        added_by=finding.layer,
        fix_cmd=fix_command(finding),
        description=finding.title,
    )


def to_fix_command(finding: Finding) -> pb.Vulnerability:
    """Writes one item of a list that asked for the fix command only."""
    return pb.Vulnerability(fix_cmd=fix_command(finding))


def to_summary(severities: Iterable[Severity], request_id: str) -> pb.GetRepoTagScanSummaryResponse:
    """Counts by the reference's four severities."""
    counts = dict.fromkeys(_ORDER, 0)
    for severity in severities:
        counts[to_severity(severity)] += 1
    return pb.GetRepoTagScanSummaryResponse(
        code="success",
        is_success=True,
        request_id=request_id,
        high_severity=counts["High"],
        medium_severity=counts["Medium"],
        low_severity=counts["Low"],
        unknown_severity=counts["Unknown"],
        total_severity=sum(counts.values()),
    )


def to_rule(rule: ScanRule, *, with_instance: bool) -> pb.ScanRule:
    """Writes a rule; in lists the reference leaves the instance out."""
    return pb.ScanRule(
        scan_rule_id=rule.rule_id,
        instance_id=rule.instance_id if with_instance else None,
        rule_name=rule.name,
        scan_scope=rule.scope.value,
        scan_type=rule.scan_type.value,
        trigger_type=rule.trigger.value,
        repo_tag_filter_pattern=rule.tag_pattern,
        namespaces=rule.namespaces,
        repo_names=rule.repo_names,
        create_time=to_milliseconds(rule.created_at),
        update_time=to_milliseconds(rule.updated_at),
    )


def to_milliseconds(moment: datetime) -> int:
    """Writes a time as milliseconds since 1970."""
    return int(moment.timestamp() * 1000)
