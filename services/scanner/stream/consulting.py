"""Consulting: whether advisories that a scan judged by speak of a finding that it does not have.

An advisory that is not there says nothing: it was lost on the way, by a source that failed or an import that had
less than the one before. So a finding is over only when a record of its name is there and does not meet the
installed version any more, or says of itself that it was withdrawn.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.kernel.model.finding import Finding
from services.scanner.advisories.database import Database
from services.scanner.advisories.ecosystems import candidates, canonical_name
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.pipeline.match import judged_as


def consulted(files: AdvisoryFiles, version: str, findings: Sequence[Finding]) -> list[bool]:
    """Tells of each finding whether the advisories of that version speak of it.

    When others are current by now, of none: a scan that was judged by them will be told, too. Blocking.

    Raises:
        ServiceError: ADVISORIES_UNREADABLE.
    """
    with files.open() as database:
        if database.meta.version != version:
            return [False] * len(findings)
        withdrawn = database.withdrawn()
        return [_speaks_of(database, withdrawn, finding) for finding in findings]


def _speaks_of(database: Database, withdrawn: frozenset[str], finding: Finding) -> bool:
    package = finding.package
    if package is None:
        return True  # found by rules, which came with the release or from the operator
    if finding.id in withdrawn or not withdrawn.isdisjoint(finding.aliases):
        return True
    name, _ = judged_as(package)
    return any(
        finding.id == known.id or finding.id in known.aliases
        for group in candidates(package.ecosystem, database.meta.ecosystems)
        for ecosystem in group
        for known in database.vulnerabilities(ecosystem, canonical_name(ecosystem, name))
    )
