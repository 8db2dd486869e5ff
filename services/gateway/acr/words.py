"""The reference's words for our values, and back: total functions, nothing else.

Vocabulary: Container Registry, API version 2018-12-01, actions `GetRepoTagScanStatus`, `ListRepoTagScanResult`
and `CreateScanRule`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from services.kernel.errors import ServiceError, invalid
from services.kernel.model.engine import Engine
from services.kernel.model.finding import VULNERABILITIES, FindingKind
from services.kernel.model.report import Coverage
from services.kernel.model.severity import Severity
from services.rules.api import ScanType, Scope, Trigger
from services.scanner.api import State, Task

T = TypeVar("T")
_SERVICES = {Engine.TRIVY: "ACR_SCAN_SERVICE", Engine.SECURITY_CENTER: "SAS_SCAN_SERVICE"}
_ENGINES = {word: engine for engine, word in _SERVICES.items()}
_STATUSES = {
    State.PENDING: "SCANNING",
    State.RUNNING: "SCANNING",
    State.RETRYING: "RETRYING",
    State.COMPLETE: "COMPLETE",
    State.FAILED: "FAILED",
}
_NO_INVENTORY = "NO_PACKAGES"
"""The reason of a report without any package."""
_SEVERITIES = {
    Severity.UNKNOWN: "Unknown",
    Severity.LOW: "Low",
    Severity.MEDIUM: "Medium",
    Severity.HIGH: "High",
    Severity.CRITICAL: "High",  # the reference has no fifth word
}
_LEVELS = {
    Severity.UNKNOWN: "low",
    Severity.LOW: "low",
    Severity.MEDIUM: "medium",
    Severity.HIGH: "high",
    Severity.CRITICAL: "high",
}
_THREATS = {"high": "serious", "medium": "suspicious", "low": "remind"}
"""What levels are called where files are malicious."""
_SCAN_TYPES = {kind.value: kind for kind in ScanType}
_SCOPES = {scope.value: scope for scope in Scope}
_TRIGGERS = {trigger.value: trigger for trigger in Trigger}
_CLASSES = {FindingKind.SYSTEM_VULNERABILITY: "cve", FindingKind.APPLICATION_VULNERABILITY: "sca"}


def to_status(task: Task, scan_type: ScanType) -> str:
    """Says how a task stands for who asked what is wrong (VUL), or what is inside (SBOM).

    What could not be judged at all is FAILED for the one, since an empty list would look clean; for the other only
    where no package was found, since an empty inventory would look like an empty image.
    """
    nothing_judged = task.state is State.COMPLETE and task.coverage is Coverage.NONE
    if nothing_judged and (scan_type is ScanType.VUL or task.reason == _NO_INVENTORY):
        return "FAILED"
    return _STATUSES[task.state]


def to_scan_service(engine: Engine) -> str:
    """Names an engine; the reference has no word for both: the one that finds every kind stands for both."""
    return _SERVICES[Engine.SECURITY_CENTER if engine is Engine.ALL else engine]


def from_scan_service(text: str) -> Engine | None:
    """Reads an engine; None where the caller leaves it to the instance."""
    if not text:
        return None
    engine = _ENGINES.get(text)
    if engine is None:
        raise _unknown("scan_service", text, _ENGINES)
    return engine


def to_severity(severity: Severity) -> str:
    """Names a severity."""
    return _SEVERITIES[severity]


def from_severity(text: str) -> frozenset[Severity]:
    """Reads a severity filter; empty for every one."""
    if not text:
        return frozenset()
    severities = frozenset(severity for severity, word in _SEVERITIES.items() if word == text)
    if not severities:
        raise _unknown("severity", text, dict.fromkeys(_SEVERITIES.values()))
    return severities


def to_level(severity: Severity) -> str:
    """Names how bad a baseline risk is."""
    return _LEVELS[severity]


def to_threat(severity: Severity) -> str:
    """Names how bad a malicious file is."""
    return _THREATS[_LEVELS[severity]]


def from_level(text: str, *, threats: bool) -> frozenset[Severity]:
    """Reads a filter by level, in any case; empty for every one. The words for `threats` count only there."""
    if not text:
        return frozenset()
    words = {level: level for level in _THREATS}
    if threats:
        words |= {threat: level for level, threat in _THREATS.items()}
    level = words.get(text.lower())
    if level is None:
        raise _unknown("level", text, words)
    return frozenset(severity for severity, word in _LEVELS.items() if word == level)


def to_class(kind: FindingKind) -> str:
    """Names a kind of vulnerability; empty for kinds that the reference lists elsewhere."""
    return _CLASSES.get(kind, "")


def from_class(text: str) -> frozenset[FindingKind]:
    """Reads the class filter of result lists; all vulnerabilities when empty."""
    if not text:
        return VULNERABILITIES
    kinds = frozenset(kind for kind, word in _CLASSES.items() if word == text)
    if not kinds:
        raise _unknown("scan_type", text, dict.fromkeys(_CLASSES.values()))
    return kinds


def from_scan_type(text: str) -> ScanType:
    """Reads what a scan or a rule wants to know; VUL when empty."""
    return _known("scan_type", text or "VUL", _SCAN_TYPES)


def from_scope(text: str) -> Scope:
    """Reads how far a rule reaches."""
    return _known("scan_scope", text, _SCOPES)


def from_trigger(text: str) -> Trigger:
    """Reads what sets a rule off."""
    return _known("trigger_type", text, _TRIGGERS)


def _known(field: str, text: str, words: Mapping[str, T]) -> T:
    value = words.get(text)
    if value is None:
        raise _unknown(field, text, words)
    return value


def _unknown(field: str, text: str, words: Iterable[str]) -> ServiceError:
    what = f"{text[:40]!r} is no {field}." if text else f"The field {field} is missing."
    return invalid(f"INVALID_{field.upper()}", what, field=field, hint="One of " + ", ".join(words) + ".")
