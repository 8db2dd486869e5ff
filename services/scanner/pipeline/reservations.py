"""Reservations: what the verdict on an image's packages does not vouch for, as warnings. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from services.kernel.model.finding import Package
from services.kernel.model.report import ReportWarning
from services.kernel.versions import is_valid
from services.scanner.advisories.database import AdvisoryDatabase, Meta
from services.scanner.advisories.ecosystems import canonical_name, family, is_system, scheme_of
from services.scanner.catalogers.interface import Distribution
from services.scanner.pipeline.coverage import ECOSYSTEM_NOT_READ
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


def reservations(
    distribution: Distribution | None,
    packages: Sequence[Package],
    *,
    alone: Sequence[Package],
    judged: Collection[str],
    unread: Sequence[ReportWarning],
    ended: date | None,
    database: AdvisoryDatabase,
    now: datetime,
    max_age: timedelta,
) -> Iterator[ReportWarning]:
    """Yields all warnings of a report: ecosystems that were not read, those of the verdict, then the others.

    Args:
        distribution: what the image says of itself.
        packages: all of the image.
        alone: those that are judged by themselves, not with the one that brought them.
        judged: ecosystems that there are advisories for.
        unread: warnings of reading the image.
        ended: the day on which the distribution's release ended, if that is past.
        database: the advisories.
        now: the moment of the verdict.
        max_age: of advisories that a verdict may rest on.
    """
    covered = [package for package in alone if package.ecosystem in judged]
    unseen = [warning for warning in unread if warning.code == ECOSYSTEM_NOT_READ]
    yield from unseen or _emptiness(packages)
    yield from _uncovered(distribution, alone, judged)
    yield from _ended(distribution, ended)
    yield from _borrowed(distribution, covered)
    yield from _foreign(distribution)
    yield from _trust(database.meta, covered, now, max_age)
    yield from _odd_versions(covered)
    yield from _unknown_versions(covered, database)
    yield from (warning for warning in unread if warning.code != ECOSYSTEM_NOT_READ)


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
            ecosystem=ecosystem,
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
        ages = ", ".join(f"{each} ({age_of(meta.families[each], now)})" for each in stale)
        yield ReportWarning(
            code=STALE_ADVISORIES,
            message=f"Advisories are too old for a verdict: {ages}. Run `drydock advisories update`.",
        )


def age_of(moment: datetime | None, now: datetime) -> str:
    """Tells of when advisories are, and how old, as a part of a sentence."""
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
