"""What a scan vouches for: where it would have found a finding again, its silence says that it is over. Pure.

A finding is over only by the word of a complete scan of its platform by its engine that

- looked for findings of its kind (the report counts them, be it none);
- judged, where advisories decide, by advisories that are not older than those of the scan before, neither a sample
  nor stale, and had some for the finding's ecosystem;
- has no warning that could hide it: one of a file hides what was found in that file, one of an ecosystem what was
  found in that ecosystem, and one that tells neither hides all that it may be about. A code that comes to be later
  hides everything, unless somebody decides otherwise here.

Whether the advisory itself was there to be judged by is asked of the advisories (`consulting.py`).
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Final

from services.kernel.model.finding import Finding, FindingKind
from services.kernel.model.report import Coverage, ReportWarning
from services.scanner.advisories.ecosystems import family
from services.scanner.stream.records import Told

_EARLIEST: Final = datetime.fromtimestamp(0, UTC)


class _About(enum.Enum):
    """What a warning may be about, where it tells neither a path nor an ecosystem."""

    NOTHING = enum.auto()
    """A standing reservation: each scan of the image has it, and it takes no package away."""
    SYSTEM = enum.auto()
    """Packages of the system."""
    ADVISED = enum.auto()
    """All that advisories decide."""
    CONTENT = enum.auto()
    """All that rules find in files."""
    EVERYTHING = enum.auto()


_ABOUT: Final = {
    "ECOSYSTEM_NOT_READ": _About.NOTHING,
    "BORROWED_ADVISORIES": _About.NOTHING,
    "FOREIGN_PACKAGES": _About.NOTHING,
    "END_OF_LIFE": _About.SYSTEM,
    "NO_PACKAGES": _About.ADVISED,
    "NO_ADVISORIES": _About.ADVISED,
    "SAMPLE_ADVISORIES": _About.ADVISED,
    "STALE_ADVISORIES": _About.ADVISED,
    "SYSTEM_NOT_RECOGNISED": _About.ADVISED,
    "VERSION_NOT_COMPARABLE": _About.ADVISED,
    "VERSION_UNKNOWN": _About.ADVISED,
    "PACKAGE_NOT_IDENTIFIED": _About.ADVISED,
    "PACKAGE_RECORD_BROKEN": _About.ADVISED,
    "TRIVY_WARNED": _About.ADVISED,
    "NOT_REEVALUATED": _About.ADVISED,
    "CONTENT_NOT_READ": _About.CONTENT,
    "TOO_MANY_FINDINGS": _About.CONTENT,
    "RULE_FILE_BROKEN": _About.CONTENT,
    "CLAMD_UNAVAILABLE": _About.CONTENT,
    "CLAMD_FAILED": _About.CONTENT,
    "CLAMD_LIMIT": _About.CONTENT,
}


class Vouching:
    """What one scan vouches for."""

    def __init__(self, told: Told, *, advisories_before: str, last: bool) -> None:
        """Takes the scan, of when the youngest advisories of those before it were, and whether it is the last one.

        Of empty advisories nobody knows. A scan that is not the last one may speak by newer advisories.
        """
        self._told = told
        self._last = last
        self._judged = told.summary.coverage is not Coverage.NONE
        self._backward = moment_of_writing(told.advisories.built_at) < moment_of_writing(advisories_before)

    def covers(self, finding: Finding) -> bool:
        """Tells whether the scan would have found the finding, if it were there."""
        if finding.kind.value not in self._told.summary.by_kind:
            return False
        if not self._last and not is_of_advisories(finding):
            return False
        if is_of_advisories(finding) and (not self._judged or self._backward or self._told.advisories.sample):
            return False
        return not any(_hides(warning, finding) for warning in self._told.warnings)


def is_of_advisories(finding: Finding) -> bool:
    """Tells whether advisories decide over a finding: malicious packages are among those."""
    return finding.package is not None


def _hides(warning: ReportWarning, finding: Finding) -> bool:
    if not _is_about(_ABOUT.get(warning.code, _About.EVERYTHING), finding):
        return False
    if warning.ecosystem:
        package = finding.package
        return package is not None and family(package.ecosystem) == family(warning.ecosystem)
    if warning.path:
        return any(_lies_in(path, warning.path) for path in _paths(finding))
    return True


def _is_about(about: _About, finding: Finding) -> bool:
    match about:
        case _About.EVERYTHING:
            return True
        case _About.ADVISED:
            return is_of_advisories(finding)
        case _About.CONTENT:
            return not is_of_advisories(finding)
        case _About.SYSTEM:
            return finding.kind is FindingKind.SYSTEM_VULNERABILITY
        case _About.NOTHING:
            return False


def _paths(finding: Finding) -> tuple[str, ...]:
    return (finding.path, finding.package.path) if finding.package is not None else (finding.path,)


def _lies_in(path: str, place: str) -> bool:
    return path == place or path.startswith((f"{place}!", f"{place}/"))


def moment_of_writing(written: str) -> datetime:
    """Reads a moment of a report; what does not say of when it is may be older than anything."""
    return datetime.fromisoformat(written) if written else _EARLIEST
