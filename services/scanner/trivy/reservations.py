"""Reservations about a verdict of Trivy's: what it left out, or judged by too little, as warnings. Pure.

Trivy tells of most of it on standard error only, and ends well all the same.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from services.kernel.model.finding import Package
from services.kernel.model.report import ReportWarning
from services.scanner.advisories.ecosystems import family
from services.scanner.catalogers.interface import Distribution
from services.scanner.pipeline.coverage import ECOSYSTEM_NOT_READ
from services.scanner.pipeline.reservations import (
    END_OF_LIFE,
    NO_ADVISORIES,
    NO_PACKAGES,
    SAMPLE_ADVISORIES,
    STALE_ADVISORIES,
    VERSION_NOT_COMPARABLE,
    age_of,
)
from services.scanner.reading.complaints import shown
from services.scanner.trivy import output
from services.scanner.trivy.database import TrivyDatabase
from services.scanner.trivy.packages import SYSTEM

SYSTEM_NOT_RECOGNISED: Final = "SYSTEM_NOT_RECOGNISED"
TRIVY_WARNED: Final = "TRIVY_WARNED"

_MAX_WARNINGS: Final = 50
_MAX_SHOWN: Final = 400
_LINE = re.compile(r"^\S+\t(WARN|ERROR)\t(.*)$", re.MULTILINE)
_HARMLESS: Final = (
    "Using severities from other vendors",
    "Unable to collect additional info",
    "Unable to find python `site-packages`",
    "to identify direct dependencies",
    "to remove dev dependencies",
    "Unable to get licenses",
    "No OS package is detected",  # the report itself says so
    'e.g. files under "/lib/apk/db/"',
    "This OS version is no longer supported",
    "The vulnerability detection may be insufficient",
    'Unsupported os family="none"',
)
"""What takes nothing away from the list of vulnerabilities, or is told otherwise."""
_CODES: Final = (
    ("not on the EOL list", NO_ADVISORIES),
    ("Unsupported os", NO_ADVISORIES),
    ("not supported for vulnerability scanning", ECOSYSTEM_NOT_READ),
    ("not for vulnerability scanning", ECOSYSTEM_NOT_READ),
    ("Version matching error", VERSION_NOT_COMPARABLE),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What a verdict rests on."""

    database: TrivyDatabase
    now: datetime
    max_age: timedelta
    """Of advisories that a verdict may rest on."""


def reservations(
    document: output.Document,
    distribution: Distribution | None,
    packages: Sequence[Package],
    trust: Trust,
    *,
    said: str,
) -> Iterator[ReportWarning]:
    """Yields the warnings of a report; each lowers its coverage.

    Args:
        document: what Trivy wrote.
        distribution: what it recognised.
        packages: all that it found.
        trust: what it judged by.
        said: what it wrote to standard error.
    """
    if not packages:
        yield ReportWarning(
            code=NO_PACKAGES,
            message="Trivy found no packages in the image: that nothing was found wrong with it means nothing.",
        )
    yield from _system(document, distribution)
    yield from _uncovered(packages, trust.database)
    yield from _doubts(packages, trust)
    yield from _told(said)


def _system(document: output.Document, distribution: Distribution | None) -> Iterator[ReportWarning]:
    if distribution is None:
        yield ReportWarning(
            code=SYSTEM_NOT_RECOGNISED,
            message="Trivy recognised no operating system: its packages, if there are any, were not judged.",
        )
        return
    named = f"{distribution.id} {distribution.version_id}".strip()
    if not any(result.class_ == SYSTEM and result.packages for result in document.results):
        yield ReportWarning(
            code=NO_PACKAGES, message=f"The packages of {named} were not read: Trivy found no record of them."
        )
    if document.metadata.system is not None and document.metadata.system.ended:
        yield ReportWarning(
            code=END_OF_LIFE,
            message=f"Security updates of {named} have ended: what became known after it may be in no advisory.",
        )


def _uncovered(packages: Sequence[Package], database: TrivyDatabase) -> Iterator[ReportWarning]:
    missing = Counter(each.ecosystem for each in packages if not database.speaks_of(each.ecosystem))
    for ecosystem, count in sorted(missing.items()):
        yield ReportWarning(
            code=NO_ADVISORIES,
            message=f"Trivy's database has no advisories for {ecosystem or 'what OSV has no word for'}: "
            f"{count} packages could not be judged.",
            ecosystem=ecosystem,
        )


def _doubts(packages: Sequence[Package], trust: Trust) -> Iterator[ReportWarning]:
    database, now = trust.database, trust.now
    if database.sample:
        yield ReportWarning(
            code=SAMPLE_ADVISORIES,
            message="Trivy's database was made of the sample of advisories that ships with Drydock: run "
            "`drydock advisories update` and export it again for a verdict.",
        )
        return
    families = {family(package.ecosystem) for package in packages}
    if stale := database.stale_parts(now, trust.max_age, families):
        ages = ", ".join(f"{name or 'all of it'} ({age_of(moment, now)})" for name, moment in stale.items())
        yield ReportWarning(
            code=STALE_ADVISORIES,
            message=f"Trivy's database is too old for a verdict: {ages}. Write or fetch a new one.",
        )


def _told(said: str) -> Iterator[ReportWarning]:
    told = dict.fromkeys(" ".join(line.split()) for _, line in _LINE.findall(said))
    serious = [line for line in told if not any(words in line for words in _HARMLESS)]
    for line in serious[:_MAX_WARNINGS]:
        code = next((code for words, code in _CODES if words in line), TRIVY_WARNED)
        yield ReportWarning(code=code, message=f"Trivy says: {shown(line, _MAX_SHOWN)}")
    if len(serious) > _MAX_WARNINGS:
        yield ReportWarning(
            code=TRIVY_WARNED, message=f"Trivy says {len(serious) - _MAX_WARNINGS} more things of that kind."
        )
