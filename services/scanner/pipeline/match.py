"""Match: what is known to be wrong with the packages of an image, and how much of them could be judged at all.

Pure: the same packages, advisories and moment give the same result. The rules on disagreeing records stand in
`services.scanner.advisories.merge`, those on coverage in `services.scanner.pipeline.coverage`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final

import msgspec

from services.kernel.model.finding import Finding, FindingKey, FindingKind, FixState, Package
from services.kernel.model.report import Coverage, ReportWarning
from services.kernel.versions import is_valid
from services.kernel.versions import sort_key as version_key
from services.scanner.advisories.database import AdvisoryDatabase, Meta
from services.scanner.advisories.ecosystems import (
    candidates,
    canonical_name,
    family,
    is_system,
    names_binaries,
    scheme_of,
)
from services.scanner.advisories.merge import Vulnerability
from services.scanner.advisories.modules import UNKNOWN, is_modular
from services.scanner.catalogers.interface import Distribution
from services.scanner.pipeline.coverage import ECOSYSTEM_NOT_READ, coverage_of
from services.scanner.pipeline.endoflife import end_of
from services.scanner.pipeline.identity import foreign_channels

NO_PACKAGES: Final = "NO_PACKAGES"
NO_ADVISORIES: Final = "NO_ADVISORIES"
SAMPLE_ADVISORIES: Final = "SAMPLE_ADVISORIES"
STALE_ADVISORIES: Final = "STALE_ADVISORIES"
VERSION_NOT_COMPARABLE: Final = "VERSION_NOT_COMPARABLE"
END_OF_LIFE: Final = "END_OF_LIFE"
BORROWED_ADVISORIES: Final = "BORROWED_ADVISORIES"
VERSION_UNKNOWN: Final = "VERSION_UNKNOWN"

_MAX_VERSION_WARNINGS: Final = 50
_PAGES_OF_CVES: Final = {
    "Alpine": "https://security.alpinelinux.org/vuln/%s",
    "Debian": "https://security-tracker.debian.org/tracker/%s",
    "Red Hat": "https://access.redhat.com/security/cve/%s",
    "SUSE": "https://www.suse.com/security/cve/%s.html",
    "Ubuntu": "https://ubuntu.com/security/%s",
    "openSUSE": "https://www.suse.com/security/cve/%s.html",
}
"""Of the distributions that keep one for each CVE."""
_PAGE_OF_CVE: Final = "https://nvd.nist.gov/vuln/detail/%s"
_PAGES: Final = {
    "GHSA": "https://github.com/advisories/%s",
    "GO": "https://pkg.go.dev/vuln/%s",
    "RUSTSEC": "https://rustsec.org/advisories/%s.html",
}
_PAGE: Final = "https://osv.dev/vulnerability/%s"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The verdict on an image's packages."""

    findings: tuple[Finding, ...]
    """In the order of `model.report.sort_key`; distinct by id, package, version and path."""
    coverage: Coverage
    coverage_reason: str
    """Code of the first warning that lowers the coverage; empty when it is FULL."""
    warnings: tuple[ReportWarning, ...]
    """Ecosystems that were not read, those of the verdict, then the others that came with the packages."""


class _Verdict(msgspec.Struct, frozen=True, gc=False):
    vulnerability: Vulnerability
    fixed: str
    kind: FindingKind
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
    judged = {each for each in {package.ecosystem for package in packages} if _is_covered(each, database)}
    alone = _on_their_own(packages, judged, database)
    covered = [package for package in alone if package.ecosystem in judged]
    found: dict[FindingKey, Finding] = {}
    end = end_of(distribution) if distribution is not None else None
    ended = end if end is not None and end < now.date() else None
    judge = _Judge(database, unfixed=FixState.AFFECTED if ended is None else FixState.END_OF_LIFE)
    for package in alone:
        for finding in judge.findings(package):
            found.setdefault(finding.key, finding)
    unseen = [warning for warning in unread if warning.code == ECOSYSTEM_NOT_READ]
    warnings = (
        *(unseen or _emptiness(packages)),
        *_uncovered(distribution, alone, judged),
        *_ended(distribution, ended),
        *_borrowed(distribution, covered),
        *_foreign(distribution),
        *_trust(database.meta, covered, now, max_age),
        *_odd_versions(covered),
        *_unknown_versions(covered, database),
        *(warning for warning in unread if warning.code != ECOSYSTEM_NOT_READ),
    )
    coverage, reason = coverage_of(warnings, judged=bool(covered))
    return Matched(
        findings=_sorted(found),
        coverage=coverage,
        coverage_reason=reason,
        warnings=warnings,
    )


def _sorted(found: Mapping[FindingKey, Finding]) -> tuple[Finding, ...]:
    """Sorts by the keys that are there: making each once more is as dear as all that was judged."""
    ranked = sorted((finding.severity.rank, key) for key, finding in found.items())
    return tuple(found[key] for _, key in ranked)


def _is_covered(ecosystem: str, database: AdvisoryDatabase) -> bool:
    """A release is covered by advisories of its own: those that name no release are few."""
    known = database.meta.ecosystems
    if ecosystem in known:
        return scheme_of(ecosystem) is not None
    release = (each for group in candidates(ecosystem, known) for each in group if each != family(ecosystem))
    return any(release)


def _on_their_own(
    packages: Sequence[Package], judged: Collection[str], database: AdvisoryDatabase
) -> list[Package]:
    """Leaves out what came with a package of the system, if that one is there and advisories speak of it.

    They know what the distribution mended without a new version, which those of the language do not. Of a package
    that somebody else built, or that merely says so, no advisory of the distribution speaks in any release.
    """
    owned = {package.owner for package in packages if package.owner}
    speaking = {
        package.name
        for package in packages
        if package.name in owned and package.ecosystem in judged and _is_spoken_of(package, database)
    }
    return [each for each in packages if each.owner not in speaking]


def _is_spoken_of(package: Package, database: AdvisoryDatabase) -> bool:
    if not is_system(package.ecosystem):
        return False
    name, _ = _judged_as(package)
    of_family = family(package.ecosystem)
    releases = (each for each in database.meta.ecosystems if family(each) == of_family)
    return any(database.vulnerabilities(each, canonical_name(each, name)) for each in releases)


def _judged_as(package: Package) -> tuple[str, str]:
    """Returns the name and the version that advisories of its ecosystem speak of."""
    source = None if names_binaries(package.ecosystem) else package.source
    return (source.name, source.version) if source else (package.name, package.version)


class _Judge:
    """Remembers the verdict on a version: the many binaries of one source share it."""

    def __init__(self, database: AdvisoryDatabase, *, unfixed: FixState) -> None:
        self._database = database
        self._unfixed = unfixed
        self._verdicts: dict[tuple[str, str, str, str], tuple[_Verdict, ...]] = {}
        self._candidates: dict[str, tuple[tuple[str, ...], ...]] = {}

    def findings(self, package: Package) -> Iterator[Finding]:
        """Everything that is wrong with one package; nothing of one whose version nobody knows."""
        if not package.version:
            return
        name, version = _judged_as(package)
        verdicts = self._verdict(package.ecosystem, name, version, _label(package))
        if verdicts:
            unfixed = self._unfixed if is_system(package.ecosystem) else FixState.AFFECTED
            for verdict in verdicts:
                yield _finding(package, verdict, unfixed)

    def _verdict(self, ecosystem: str, name: str, version: str, label: str) -> tuple[_Verdict, ...]:
        asked = (ecosystem, name, version, label)
        known = self._verdicts.get(asked)
        if known is None:
            known = self._verdicts[asked] = tuple(self._verdicts_on(*asked))
        return known

    def _verdicts_on(self, ecosystem: str, name: str, version: str, label: str) -> Iterator[_Verdict]:
        groups = self._candidates.get(ecosystem)
        if groups is None:
            groups = self._candidates[ecosystem] = candidates(ecosystem, self._database.meta.ecosystems)
        spoken: set[str] = set()
        for number, group in enumerate(groups, start=1):
            for each in group:
                for verdict in _verdicts(self._database, each, name, version, label):
                    if verdict.vulnerability.id not in spoken:
                        yield verdict
            if number < len(groups):
                named = (self._database.vulnerabilities(each, canonical_name(each, name)) for each in group)
                spoken |= {vulnerability.id for several in named for vulnerability in several}


def _label(package: Package) -> str:
    """The module that a package is of; its release tells that it is of one where its label is lost."""
    return package.module or (UNKNOWN if is_modular(package.version) else "")


def _verdicts(
    database: AdvisoryDatabase, ecosystem: str, name: str, version: str, label: str
) -> Iterator[_Verdict]:
    vulnerabilities = database.vulnerabilities(ecosystem, canonical_name(ecosystem, name))
    scheme = scheme_of(ecosystem)
    if scheme is None or not vulnerabilities:
        return
    key = partial(version_key, scheme)
    installed = key(version)
    kind = FindingKind.SYSTEM_VULNERABILITY if is_system(ecosystem) else FindingKind.APPLICATION_VULNERABILITY
    page = _PAGES_OF_CVES.get(family(ecosystem), _PAGE_OF_CVE)
    for vulnerability in vulnerabilities:
        ceiling = key(vulnerability.ceiling) if vulnerability.ceiling else None
        if ceiling is not None and ceiling < installed:
            break  # sorted: no later one reaches up to the installed version
        if vulnerability.plain:
            if installed < ceiling and not label:
                yield _verdict(vulnerability, vulnerability.ceiling, kind, page)
        elif vulnerability.affects(installed, key, label):
            fixed = vulnerability.fixed_above(installed, key, label)
            yield _verdict(vulnerability, fixed, kind, page)


def _verdict(vulnerability: Vulnerability, fixed: str, kind: FindingKind, page_of_cve: str) -> _Verdict:
    if vulnerability.is_malicious:
        kind = FindingKind.MALICIOUS_SAMPLE
    return _Verdict(vulnerability, fixed, kind, _link(vulnerability.id, page_of_cve))


def _finding(package: Package, verdict: _Verdict, unfixed: FixState) -> Finding:
    vulnerability = verdict.vulnerability
    return Finding(
        kind=verdict.kind,
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
        fix_state=FixState.FIXED if verdict.fixed else unfixed,
    )


def _link(identifier: str, page_of_cve: str) -> str:
    """The page that whoever keeps the id has about it; records bring no links that would be facts."""
    kind = identifier.partition("-")[0]
    page = page_of_cve if kind == "CVE" else _PAGES.get(kind, _PAGE)
    return page % identifier


def _emptiness(packages: Sequence[Package]) -> Iterator[ReportWarning]:
    if not packages:
        yield ReportWarning(
            code=NO_PACKAGES,
            message="No packages were found in the image: that nothing was found wrong with it means nothing.",
        )


def _uncovered(
    distribution: Distribution | None, packages: Sequence[Package], judged: Collection[str]
) -> Iterator[ReportWarning]:
    missing = Counter(each.ecosystem for each in packages if each.ecosystem not in judged)
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


def _ended(distribution: Distribution | None, ended: date | None) -> Iterator[ReportWarning]:
    if ended is not None:
        yield ReportWarning(
            code=END_OF_LIFE,
            message=f"Security updates of {_named(distribution)} ended on {ended:%Y-%m-%d}: what became known "
            "after it may be in no advisory, and will not be fixed.",
        )


def _borrowed(distribution: Distribution | None, covered: Sequence[Package]) -> Iterator[ReportWarning]:
    if distribution is not None and distribution.id == "centos" and any(is_system(p.ecosystem) for p in covered):
        yield ReportWarning(
            code=BORROWED_ADVISORIES,
            message=f"CentOS {distribution.version_id} has no advisories of its own: those of Red Hat, whose "
            "packages it rebuilt, were used. Whether it ever shipped a fix that they name is not known.",
        )


def _foreign(distribution: Distribution | None) -> Iterator[ReportWarning]:
    if distribution is not None and (channels := foreign_channels(distribution)):
        yield ReportWarning(
            code=NO_ADVISORIES,
            message=f"Packages come from {len(channels)} content sets of products beside Red Hat Enterprise Linux "
            f"({channels[0][:80]}), whose advisories were not used.",
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
    odd = [package for package in packages if package.version and not _is_comparable(package)]
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


def _unknown_versions(packages: Sequence[Package], database: AdvisoryDatabase) -> Iterator[ReportWarning]:
    """Yields packages without a version of which advisories speak: of others nothing is known whatever it is."""
    unknown = [
        package
        for package in packages
        if not package.version
        and database.vulnerabilities(package.ecosystem, canonical_name(package.ecosystem, package.name))
    ]
    for package in unknown[:_MAX_VERSION_WARNINGS]:
        yield ReportWarning(
            code=VERSION_UNKNOWN,
            message=f"Advisories speak of {package.name[:80]}, but {package.path[:200]} does not tell its "
            "version: whether it is affected is not known.",
            path=package.path,
            layer=package.layer,
        )
    if len(unknown) > _MAX_VERSION_WARNINGS:
        yield ReportWarning(
            code=VERSION_UNKNOWN,
            message=f"The versions of {len(unknown) - _MAX_VERSION_WARNINGS} more packages are not known.",
        )


def _is_comparable(package: Package) -> bool:
    scheme = scheme_of(package.ecosystem)
    versions = (package.version, *((package.source.version,) if package.source else ()))
    return scheme is not None and all(is_valid(scheme, version) for version in versions)
