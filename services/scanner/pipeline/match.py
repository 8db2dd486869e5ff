"""Match: what is known to be wrong with the packages of an image, and how much of them could be judged at all.

Pure: the same packages, advisories and moment give the same result. The rules on disagreeing records stand in
`services.scanner.advisories.merge`, those on coverage in `services.scanner.pipeline.coverage`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from services.kernel.model.finding import Finding, FindingKey, FindingKind, FixState, Package
from services.kernel.model.report import Coverage, ReportWarning, sort_key
from services.kernel.versions import is_valid
from services.kernel.versions import sort_key as version_key
from services.scanner.advisories.database import AdvisoryDatabase, Meta
from services.scanner.advisories.ecosystems import canonical_name, family, is_system, scheme_of
from services.scanner.advisories.merge import Vulnerability
from services.scanner.catalogers.interface import Distribution
from services.scanner.pipeline.coverage import ECOSYSTEM_NOT_READ, coverage_of

NO_PACKAGES: Final = "NO_PACKAGES"
NO_ADVISORIES: Final = "NO_ADVISORIES"
SAMPLE_ADVISORIES: Final = "SAMPLE_ADVISORIES"
STALE_ADVISORIES: Final = "STALE_ADVISORIES"
VERSION_NOT_COMPARABLE: Final = "VERSION_NOT_COMPARABLE"

_MAX_VERSION_WARNINGS: Final = 50
_PAGES_OF_CVES: Final = {
    "Alpine": "https://security.alpinelinux.org/vuln/{}",
    "Debian": "https://security-tracker.debian.org/tracker/{}",
    "Red Hat": "https://access.redhat.com/security/cve/{}",
    "SUSE": "https://www.suse.com/security/cve/{}.html",
    "Ubuntu": "https://ubuntu.com/security/{}",
    "openSUSE": "https://www.suse.com/security/cve/{}.html",
}
"""Of the distributions that keep one for each CVE."""
_PAGE_OF_CVE: Final = "https://nvd.nist.gov/vuln/detail/{}"
_PAGES: Final = {
    "GHSA": "https://github.com/advisories/{}",
    "GO": "https://pkg.go.dev/vuln/{}",
    "RUSTSEC": "https://rustsec.org/advisories/{}.html",
}
_PAGE: Final = "https://osv.dev/vulnerability/{}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The verdict on an image's packages."""

    findings: tuple[Finding, ...]
    """Sorted by `model.report.sort_key`; distinct by id, package, version and path."""
    coverage: Coverage
    coverage_reason: str
    """Code of the first warning that lowers the coverage; empty when it is FULL."""
    warnings: tuple[ReportWarning, ...]
    """Ecosystems that were not read, those of the verdict, then the others that came with the packages."""


class _Verdict(NamedTuple):
    vulnerability: Vulnerability
    fixed: str
    link: str


def match(
    distribution: Distribution | None,
    packages: Sequence[Package],
    database: AdvisoryDatabase,
    *,
    unread: Sequence[ReportWarning],
    now: datetime,
    max_age: timedelta,
) -> Matched:
    """Judges packages by advisories that are at most `max_age` old at the moment `now`.

    `unread` are the warnings of reading the image. Nothing is silently taken for harmless: what could not be read
    or judged, or only by a sample, by old advisories or by a version that does not follow its scheme, lowers the
    coverage and is told in the warnings.
    """
    covered = [package for package in packages if _is_covered(package.ecosystem, database)]
    found: dict[FindingKey, Finding] = {}
    judge = _Judge(database)
    for package in packages:
        for finding in judge.findings(package):
            found.setdefault(finding.key, finding)
    unseen = [warning for warning in unread if warning.code == ECOSYSTEM_NOT_READ]
    warnings = (
        *(unseen or _emptiness(packages)),
        *_uncovered(distribution, packages, database),
        *_trust(database.meta, covered, now, max_age),
        *_odd_versions(covered),
        *(warning for warning in unread if warning.code != ECOSYSTEM_NOT_READ),
    )
    coverage, reason = coverage_of(warnings, judged=bool(covered))
    return Matched(
        findings=tuple(sorted(found.values(), key=sort_key)),
        coverage=coverage,
        coverage_reason=reason,
        warnings=warnings,
    )


def _is_covered(ecosystem: str, database: AdvisoryDatabase) -> bool:
    """A release is covered by advisories of its own: those that name no release are few."""
    return scheme_of(ecosystem) is not None and ecosystem in database.meta.ecosystems


class _Judge:
    """Remembers the verdict on a version: the many binaries of one source share it."""

    def __init__(self, database: AdvisoryDatabase) -> None:
        self._database = database
        self._verdicts: dict[tuple[str, str, str, bool], tuple[_Verdict, ...]] = {}

    def findings(self, package: Package) -> Iterator[Finding]:
        """Everything that is wrong with one package."""
        system = is_system(package.ecosystem)
        source = package.source
        name, version = (source.name, source.version) if source else (package.name, package.version)
        for verdict in self._verdict(package.ecosystem, name, version, binary=False):
            yield _finding(package, verdict, system=system)
        if system and self._database.meta.binaries:
            for verdict in self._verdict(package.ecosystem, package.name, package.version, binary=True):
                yield _finding(package, verdict, system=system)

    def _verdict(self, ecosystem: str, name: str, version: str, *, binary: bool) -> tuple[_Verdict, ...]:
        asked = (ecosystem, name, version, binary)
        known = self._verdicts.get(asked)
        if known is None:
            known = self._verdicts[asked] = tuple(_verdicts(self._database, *asked))
        return known


def _verdicts(
    database: AdvisoryDatabase, ecosystem: str, name: str, version: str, binary: bool
) -> Iterator[_Verdict]:
    scheme = scheme_of(ecosystem)
    if scheme is None:
        return
    key = partial(version_key, scheme)
    installed = key(version)
    of_family = family(ecosystem)
    # A record without a release, plain "Debian", speaks of every release.
    known = database.meta.ecosystems
    for each in (name for name in dict.fromkeys((ecosystem, of_family)) if name in known):
        for vulnerability in database.vulnerabilities(each, canonical_name(each, name), binary=binary):
            ceiling = key(vulnerability.ceiling) if vulnerability.ceiling else None
            if ceiling is not None and ceiling < installed:
                break  # sorted: no later one reaches up to the installed version
            if vulnerability.plain:
                if installed < ceiling:
                    yield _Verdict(vulnerability, vulnerability.ceiling, _link(vulnerability.id, of_family))
            elif vulnerability.affects(installed, key):
                fixed = vulnerability.fixed_above(installed, key)
                yield _Verdict(vulnerability, fixed, _link(vulnerability.id, of_family))


def _finding(package: Package, verdict: _Verdict, *, system: bool) -> Finding:
    vulnerability = verdict.vulnerability
    return Finding(
        kind=_kind(vulnerability, system=system),
        id=vulnerability.id,
        aliases=vulnerability.aliases,
        severity=vulnerability.severity,
        score=vulnerability.score,
        title=vulnerability.title or f"{vulnerability.id} in {package.name}",
        link=verdict.link,
        package=package,
        fixed_version=verdict.fixed,
        path=package.path,
        layer=package.layer,
        fix_state=FixState.FIXED if verdict.fixed else FixState.AFFECTED,
    )


def _kind(vulnerability: Vulnerability, *, system: bool) -> FindingKind:
    if vulnerability.is_malicious:
        return FindingKind.MALICIOUS_SAMPLE
    return FindingKind.SYSTEM_VULNERABILITY if system else FindingKind.APPLICATION_VULNERABILITY


def _link(identifier: str, of_family: str) -> str:
    """The page that whoever keeps the id has about it; records bring no links that would be facts."""
    kind = identifier.partition("-")[0]
    page = _PAGES_OF_CVES.get(of_family, _PAGE_OF_CVE) if kind == "CVE" else _PAGES.get(kind, _PAGE)
    return page.format(identifier)


def _emptiness(packages: Sequence[Package]) -> Iterator[ReportWarning]:
    if not packages:
        yield ReportWarning(
            code=NO_PACKAGES,
            message="No packages were found in the image: that nothing was found wrong with it means nothing.",
        )


def _uncovered(
    distribution: Distribution | None, packages: Sequence[Package], database: AdvisoryDatabase
) -> Iterator[ReportWarning]:
    missing = Counter(each.ecosystem for each in packages if not _is_covered(each.ecosystem, database))
    for ecosystem, count in sorted(missing.items()):
        named = ecosystem or _named(distribution)
        yield ReportWarning(
            code=NO_ADVISORIES,
            message=f"There are no advisories for {named}: {count} of its packages could not be judged.",
        )
    # What has no ecosystem is a system's package, too: its distribution is one that OSV does not know.
    if distribution is not None and not any(not p.ecosystem or is_system(p.ecosystem) for p in packages):
        yield ReportWarning(
            code=NO_ADVISORIES,
            message=f"The packages of {_named(distribution)} were not read: no record of them was found that "
            "Drydock can read.",
        )


def _named(distribution: Distribution | None) -> str:
    if distribution is None:
        return "the packages of an unknown distribution"
    return f"the distribution {distribution.id} {distribution.version_id}".strip()


def _trust(meta: Meta, covered: Sequence[Package], now: datetime, max_age: timedelta) -> Iterator[ReportWarning]:
    """The sample is never enough; of other advisories, the families count that these packages belong to."""
    if meta.sample:
        yield ReportWarning(
            code=SAMPLE_ADVISORIES,
            message=f"Only the sample of advisories that ships with Drydock was used ({meta.records} records of "
            f"{meta.built_at:%Y-%m-%d}): run `drydock advisories update` for a verdict.",
        )
        return
    used = {family(package.ecosystem) for package in covered}
    if stale := [each for each in meta.stale_families(now, max_age) if each in used]:
        ages = ", ".join(f"{each} ({_age(meta.families[each], now)})" for each in stale)
        yield ReportWarning(
            code=STALE_ADVISORIES,
            message=f"Advisories are too old for a verdict: {ages}. Run `drydock advisories update`.",
        )


def _age(moment: datetime | None, now: datetime) -> str:
    return "nobody knows how old" if moment is None else f"of {moment:%Y-%m-%d}, {(now - moment).days} days old"


def _odd_versions(packages: Sequence[Package]) -> Iterator[ReportWarning]:
    odd = [package for package in packages if not _is_comparable(package)]
    for package in odd[:_MAX_VERSION_WARNINGS]:
        yield ReportWarning(
            code=VERSION_NOT_COMPARABLE,
            message=f"The version {package.version[:80]!r} of {package.name[:80]} does not follow the rules of "
            f"{family(package.ecosystem)}: whether it is affected is a guess.",
            path=package.path,
            layer=package.layer,
        )
    if len(odd) > _MAX_VERSION_WARNINGS:
        yield ReportWarning(
            code=VERSION_NOT_COMPARABLE,
            message=f"{len(odd) - _MAX_VERSION_WARNINGS} more packages have versions that cannot be compared.",
        )


def _is_comparable(package: Package) -> bool:
    scheme = scheme_of(package.ecosystem)
    versions = (package.version, *((package.source.version,) if package.source else ()))
    return scheme is not None and all(is_valid(scheme, version) for version in versions)
