"""Match: what is known to be wrong with the packages of an image, and how much of them could be judged at all.

Pure: the same packages, advisories and moment give the same result. The rules on disagreeing records stand in
`services.scanner.advisories.merge`; what the verdict does not vouch for is `reservations`, and how much that
leaves of the image is `coverage`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from services.kernel.model.finding import Finding, FindingKey, FindingKind, FixState, Package
from services.kernel.model.report import Coverage, ReportWarning
from services.kernel.versions import sort_key as version_key
from services.scanner.advisories.database import AdvisoryDatabase
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
from services.scanner.pipeline.coverage import coverage_of
from services.scanner.pipeline.endoflife import end_of
from services.scanner.pipeline.reservations import reservations

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
_MAX_REMEMBERED: Final = 100_000
"""Verdicts, and versions without any, that are kept at once: some ten megabytes."""
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
    warnings = tuple(
        reservations(
            distribution,
            packages,
            alone=alone,
            judged=judged,
            unread=unread,
            ended=ended,
            database=database,
            now=now,
            max_age=max_age,
        )
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
    name, _ = judged_as(package)
    of_family = family(package.ecosystem)
    releases = (each for each in database.meta.ecosystems if family(each) == of_family)
    return any(database.vulnerabilities(each, canonical_name(each, name)) for each in releases)


def judged_as(package: Package) -> tuple[str, str]:
    """Returns the name and the version that advisories of its ecosystem speak of."""
    source = None if names_binaries(package.ecosystem) else package.source
    return (source.name, source.version) if source else (package.name, package.version)


class _Memory:
    """Verdicts on versions by one set of advisories, for all images that a process judges: they share packages."""

    def __init__(self) -> None:
        self._verdicts: dict[tuple[str, str, str, str], tuple[_Verdict, ...]] = {}
        self._count = 0

    def get(self, asked: tuple[str, str, str, str]) -> tuple[_Verdict, ...] | None:
        return self._verdicts.get(asked)

    def keep(self, asked: tuple[str, str, str, str], verdicts: tuple[_Verdict, ...]) -> None:
        self._count += 1 + len(verdicts)
        if self._count > _MAX_REMEMBERED:
            self._verdicts.clear()
            self._count = 1 + len(verdicts)
        self._verdicts[asked] = verdicts


_MEMORIES: Final[WeakKeyDictionary[AdvisoryDatabase, _Memory]] = WeakKeyDictionary()


class _Judge:
    """Judges packages; the verdict on a version is remembered, for the many binaries of one source share it."""

    def __init__(self, database: AdvisoryDatabase, *, unfixed: FixState) -> None:
        self._database = database
        self._unfixed = unfixed
        self._memory = _MEMORIES.setdefault(database, _Memory())
        self._candidates: dict[str, tuple[tuple[str, ...], ...]] = {}

    def findings(self, package: Package) -> Iterator[Finding]:
        """Everything that is wrong with one package; nothing of one whose version nobody knows."""
        if not package.version:
            return
        name, version = judged_as(package)
        verdicts = self._verdict(package.ecosystem, name, version, _label(package))
        if verdicts:
            unfixed = self._unfixed if is_system(package.ecosystem) else FixState.AFFECTED
            for verdict in verdicts:
                yield _finding(package, verdict, unfixed)

    def _verdict(self, ecosystem: str, name: str, version: str, label: str) -> tuple[_Verdict, ...]:
        asked = (ecosystem, name, version, label)
        known = self._memory.get(asked)
        if known is None:
            known = tuple(self._verdicts_on(*asked))
            self._memory.keep(asked, known)
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
