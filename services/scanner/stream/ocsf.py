"""Findings as events of the Open Cybersecurity Schema Framework, version 1.5.0 (https://schema.ocsf.io/1.5.0, read
2026-11-26): Vulnerability Finding 2002, Compliance Finding 2003, Detection Finding 2004.

The exact profile that we write is `docs/finding-event.schema.json`. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final, TypeAlias

from services.kernel.model.finding import Finding, FindingKind, FixState, Package
from services.kernel.model.severity import Severity
from services.kernel.release import VERSION
from services.scanner.stream.happenings import Happening
from services.scanner.stream.records import Activity, Ending

OCSF_VERSION: Final = "1.5.0"
Json: TypeAlias = Mapping[str, object]

_SEVERITIES: Final = {
    Severity.UNKNOWN: (0, "Unknown"),
    Severity.LOW: (2, "Low"),
    Severity.MEDIUM: (3, "Medium"),
    Severity.HIGH: (4, "High"),
    Severity.CRITICAL: (5, "Critical"),
}
_NEW, _RESOLVED = (1, "New"), (4, "Resolved")
_UNKNOWN, _PASS, _FAIL = (0, "Unknown"), (1, "Pass"), (3, "Fail")
_RULE = (1, "Rule")
_APPLICATION, _SYSTEM = (1, "Application"), (2, "Operating System")
_REGULAR_FILE: Final = 1
_SHA256, _MD5 = (3, "SHA-256"), (1, "MD5")
_UNKNOWN_MALWARE: Final = 0
_STANDARD: Final = "Drydock baseline"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OcsfClass:
    """A class of OCSF."""

    uid: int
    caption: str
    name: str


_VULNERABILITY = OcsfClass(uid=2002, caption="Vulnerability Finding", name="vulnerability_finding")
_COMPLIANCE = OcsfClass(uid=2003, caption="Compliance Finding", name="compliance_finding")
_DETECTION = OcsfClass(uid=2004, caption="Detection Finding", name="detection_finding")
_CLASSES: Final = {
    FindingKind.SYSTEM_VULNERABILITY: _VULNERABILITY,
    FindingKind.APPLICATION_VULNERABILITY: _VULNERABILITY,
    FindingKind.BASELINE_RISK: _COMPLIANCE,
    FindingKind.MALICIOUS_SAMPLE: _DETECTION,
}


def class_of(kind: FindingKind) -> OcsfClass:
    """Returns the class that findings of a kind are events of."""
    return _CLASSES[kind]


def ocsf_of(happening: Happening) -> Json:
    """Says what happened to a finding."""
    finding = happening.findings[0]
    of = class_of(finding.kind)
    activity, over = happening.activity, happening.activity is Activity.CLOSE
    severity_id, severity = _SEVERITIES[finding.severity]
    status_id, status = _RESOLVED if over else _NEW
    event: dict[str, object] = {
        "activity_id": activity.value,
        "activity_name": activity.name.capitalize(),
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": of.uid,
        "class_name": of.caption,
        "type_uid": of.uid * 100 + activity.value,
        "type_name": f"{of.caption}: {activity.name.capitalize()}",
        "time": _ms(happening.at),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "message": _message(happening),
        "metadata": _metadata(happening),
        "finding_info": _finding_info(happening),
        "resources": [_resource(happening)],
        "unmapped": _unmapped(happening),
    }
    if happening.ending is not None:
        event["status_code"] = happening.ending.value
    event.update(_DETAILS[of.uid](happening))
    return event


def _metadata(happening: Happening) -> Json:
    metadata: dict[str, object] = {
        "version": OCSF_VERSION,
        "uid": happening.event_id,
        "product": {
            "name": "Drydock",
            "vendor_name": "Drydock",
            "version": VERSION,
            "feature": {"name": happening.engine},
        },
        "tenant_uid": happening.image.instance_id,
    }
    if happening.scan_id:
        metadata["correlation_uid"] = happening.scan_id
    return metadata


def _finding_info(happening: Happening) -> Json:
    finding = happening.findings[0]
    info: dict[str, object] = {
        "uid": str(happening.uid),
        "title": finding.title or finding.id,
        "types": [finding.kind.value],
        "data_sources": [happening.engine],
        "created_time": _ms(happening.first_seen_at),
        "first_seen_time": _ms(happening.first_seen_at),
        "last_seen_time": _ms(happening.seen_at),
        "modified_time": _ms(happening.at),
    }
    if finding.link:
        info["src_url"] = finding.link
    if finding.package is None:
        type_id, type_ = _RULE
        info["analytic"] = {"uid": finding.id, "name": finding.id, "type_id": type_id, "type": type_}
    return info


def _resource(happening: Happening) -> Json:
    image = happening.image
    return {
        "type": "container image",
        "uid": image.digest,
        "name": f"{image.namespace}/{image.repository}@{image.digest}",
        "labels": [f"instance={image.instance_id}", f"platform={happening.platform}"],
    }


def _unmapped(happening: Happening) -> Json:
    """What the uid is made of, word for word, and what OCSF has no word for."""
    image, finding = happening.image, happening.findings[0]
    unmapped: dict[str, object] = {
        "instance_id": image.instance_id,
        "repo_id": image.repo_id,
        "repository": f"{image.namespace}/{image.repository}",
        "digest": image.digest,
        "platform": happening.platform,
        "engine": happening.engine,
        "kind": finding.kind.value,
        "id": finding.id,
        "purl": finding.package.purl if finding.package else "",
        "path": finding.path,
        "layer": finding.layer,
        "fix_state": finding.fix_state.value,
        "severity": finding.severity.value,
    }
    if finding.score is not None:
        unmapped["score"] = finding.score
    if finding.aliases:
        unmapped["aliases"] = list(finding.aliases)
    if finding.package is not None:
        unmapped["ecosystem"] = finding.package.ecosystem
    return unmapped


def _vulnerability(happening: Happening) -> Json:
    finding = happening.findings[0]
    severity = _SEVERITIES[finding.severity][1]
    said: dict[str, object] = {
        "title": finding.title,
        "severity": severity,
        "is_fix_available": finding.fix_state is FixState.FIXED,
        "vendor_name": happening.engine,
        "first_seen_time": _ms(happening.first_seen_at),
        "last_seen_time": _ms(happening.seen_at),
    }
    if finding.link:
        said["references"] = [finding.link]
    if finding.aliases:
        said["related_vulnerabilities"] = list(finding.aliases)
    if finding.id.startswith("CVE-"):
        cve: dict[str, object] = {"uid": finding.id, "title": finding.title}
        if finding.score is not None:  # whoever gave it did not tell by which version of CVSS
            cve["cvss"] = [{"base_score": finding.score, "version": "unknown", "severity": severity}]
        said["cve"] = cve
    else:
        said["advisory"] = {"uid": finding.id, "title": finding.title}
    if finding.package is not None:
        said["affected_packages"] = [_package(finding, finding.package)]
    return {"vulnerabilities": [said]}


def _package(finding: Finding, package: Package) -> Json:
    type_id, type_ = _SYSTEM if finding.kind is FindingKind.SYSTEM_VULNERABILITY else _APPLICATION
    said: dict[str, object] = {
        "name": package.name,
        "version": package.version,
        "type_id": type_id,
        "type": type_,
        "purl": package.purl,
    }
    if package.arch:
        said["architecture"] = package.arch
    if finding.path:
        said["path"] = finding.path
    if finding.fixed_version:
        said["fixed_in_version"] = finding.fixed_version
        said["remediation"] = {"desc": f"Update {package.name} to {finding.fixed_version} or later."}
    return said


def _compliance(happening: Happening) -> Json:
    finding = happening.findings[0]
    status_id, status = _FAIL
    if happening.ending is Ending.NOT_FOUND:
        status_id, status = _PASS
    elif happening.ending is Ending.IMAGE_DELETED:
        status_id, status = _UNKNOWN
    said: dict[str, object] = {
        "compliance": {
            "control": finding.id,
            "desc": finding.title,
            "standards": [_STANDARD],
            "status_id": status_id,
            "status": status,
        },
        "evidences": [_evidence(each) for each in happening.findings],
    }
    if finding.advice:
        said["remediation"] = {"desc": finding.advice}
    return said


def _detection(happening: Happening) -> Json:
    finding = happening.findings[0]
    malware: dict[str, object] = {
        "classification_ids": [_UNKNOWN_MALWARE],
        "classifications": ["Unknown"],
        "name": finding.title or finding.id,
        "uid": finding.id,
        "provider": happening.engine,
    }
    if finding.path:
        malware["path"] = finding.path
        malware["files"] = [_file(finding)]
    said: dict[str, object] = {
        "malware": [malware],
        "evidences": [_evidence(each) for each in happening.findings],
    }
    if finding.advice:
        said["remediation"] = {"desc": finding.advice}
    return said


def _file(finding: Finding) -> Json:
    hashes = [
        {"algorithm_id": algorithm_id, "algorithm": algorithm, "value": value}
        for (algorithm_id, algorithm), value in ((_SHA256, finding.sha256), (_MD5, finding.md5))
        if value
    ]
    file: dict[str, object] = {
        "name": PurePosixPath(finding.path).name or finding.path,
        "path": finding.path,
        "type_id": _REGULAR_FILE,
        "type": "Regular File",
    }
    if hashes:
        file["hashes"] = hashes
    return file


def _evidence(finding: Finding) -> Json:
    """What was seen, and where; secrets are masked in every report."""
    data: dict[str, object] = {"path": finding.path, "layer": finding.layer}
    for name, value in (
        ("line", finding.line),
        ("match", finding.match),
        ("sha256", finding.sha256),
        ("md5", finding.md5),
        ("deleted", finding.deleted),
        ("purl", finding.package.purl if finding.package else ""),
    ):
        if value:
            data[name] = value
    return {"data": data}


def _message(happening: Happening) -> str:
    finding, image = happening.findings[0], happening.image
    where = f"{finding.package.name} {finding.package.version}" if finding.package else finding.path
    what = f"{finding.id} in {where}" if where else finding.id
    word = {Activity.CREATE: "found", Activity.UPDATE: "changed", Activity.CLOSE: "over"}[happening.activity]
    return f"{what} {word}: {image.namespace}/{image.repository}@{image.digest}"


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


_DETAILS: Final = {2002: _vulnerability, 2003: _compliance, 2004: _detection}
