"""What a gate is asked, and what it answers."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import datetime, timedelta

from services.kernel.errors import invalid
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.finding import FindingKind
from services.kernel.model.severity import Severity
from services.scanner.api import PlacedFinding


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """A finding that somebody has decided to live with, for a while."""

    finding_id: str
    """Its id, or one of its aliases; without regard to case."""
    reason: str
    """Why; never empty."""
    package: str = ""
    """Only in this package, by its name or its package URL without qualifiers; in any when empty."""
    expires_at: datetime | None = None
    """From this moment on it counts again; None: never."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """What may pass."""

    fail_on: Severity = Severity.HIGH
    """Findings so severe or worse fail."""
    allowed: Mapping[Severity, int] = dataclasses.field(default_factory=dict)
    """How many of a severity may be there all the same, or, of a lesser one, at most."""
    ignore_unknown: bool = False
    """Whether findings of which nobody has said how severe they are may pass. They may be anything: they fail."""
    fixable_only: bool = False
    """Whether only vulnerabilities count that a newer version mends. What was found in content always counts."""
    kinds: frozenset[FindingKind] = frozenset()
    """Only these count, and the scan must have looked for each; whatever it looked for when empty."""
    exemptions: tuple[Exemption, ...] = ()
    vex: tuple[bytes, ...] = ()
    """OpenVEX documents, JSON."""
    max_advisory_age: timedelta | None = None
    """How old the facts of advisories may be now; None: as old as a scan's may be."""

    def limit(self, severity: Severity) -> int | None:
        """Returns how many findings of a severity may pass; None: any number."""
        if severity is Severity.UNKNOWN and self.ignore_unknown:
            return None
        if severity in self.allowed:
            return self.allowed[severity]
        strict = severity is Severity.UNKNOWN or severity.rank >= self.fail_on.rank
        return 0 if strict else None


class Decision(enum.Enum):
    """What a gate says."""

    PASS = "PASS"  # noqa: S105 - no password
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"
    """Nobody can tell: it is no PASS."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GateReason:
    """One thing that speaks for the decision, or is worth knowing."""

    code: str
    """Machine-readable, upper snake case."""
    message: str
    detail: str = ""
    """The code behind it, such as that of a failed scan; a severity, where findings are counted."""
    count: int = 0
    """How many findings, warnings or statements it is about; 0 where nothing is counted."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Excused:
    """A finding that does not count, and who says so."""

    placed: PlacedFinding
    source: str
    """`EXEMPTION` or `VEX`."""
    reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """The decision on one image, and all that led to it."""

    decision: Decision
    reasons: tuple[GateReason, ...]
    """Of the decision, never empty; of a FAIL also what could not be told besides."""
    notes: tuple[GateReason, ...] = ()
    """What changes nothing: exemptions that are over, statements that fit nothing."""
    counts: Mapping[Severity, int] = dataclasses.field(default_factory=dict)
    """Findings that count, by severity; every severity has its key where there was a report."""
    failing: tuple[PlacedFinding, ...] = ()
    """Findings of severities that are beyond their limits, worst first."""
    excused: tuple[Excused, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GateAnswer:
    """A verdict, and what it is about."""

    verdict: GateVerdict
    digest: Digest | None = None
    """None: the registry did not tell what the tag is."""
    task_id: str = ""
    """Empty where there is none."""
    engine: Engine | None = None
    """Of the task."""


_MOST_SECONDS = 3650 * 86400
UNDER_WAY = "SCAN_UNDER_WAY"
NOT_SCANNED = "IMAGE_NOT_SCANNED"
SCAN_FAILED = "SCAN_FAILED"
REGISTRY_SILENT = "REGISTRY_SILENT"
MAY_COME = frozenset({UNDER_WAY, NOT_SCANNED, REGISTRY_SILENT})
"""Reasons of an UNDECIDED that another look a little later may not have."""


def checked_age(seconds: float) -> timedelta:
    """Returns how old advisories may be.

    Raises:
        ServiceError: INVALID_AGE; also for 0, by which nothing could ever pass.
    """
    if not 1 <= seconds <= _MOST_SECONDS:
        raise invalid("INVALID_AGE", "Advisories may be one second to ten years old.", field="max_advisory_age")
    return timedelta(seconds=seconds)


def undecided(code: str, message: str, *, detail: str = "") -> GateVerdict:
    """The verdict on an image of which there is no report to look at."""
    reason = GateReason(code=code, message=message, detail=detail)
    return GateVerdict(decision=Decision.UNDECIDED, reasons=(reason,))
