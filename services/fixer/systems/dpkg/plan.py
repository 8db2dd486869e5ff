"""Decides which packages go to which versions, so that the packages of the image still fit each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

from services.fixer.plan.outcome import FindingRef, NotFixable, Refusal
from services.fixer.plan.packages import Candidate, InstalledPackage, Survey, SystemPlan, Upgrade
from services.fixer.systems.dpkg.choose import Choice
from services.fixer.systems.dpkg.fit import Blocked, Fitting
from services.fixer.systems.dpkg.status import CONFFILES
from services.fixer.systems.dpkg.survey import PARTS, STATUS, Record, read_records
from services.kernel.versions.dpkg import sort_key

Key = tuple[str, str]
_DATABASES: Final = (f"/{STATUS}", f"/{PARTS}/")


def make_plan(survey: Survey, candidates: Sequence[Candidate], findings: Sequence[FindingRef]) -> SystemPlan:
    """Plans; every finding comes out once, as a reason of an upgrade or as a refusal."""
    records = read_records(survey.database)
    choice = Choice(records, candidates)
    refusals: list[Refusal] = []
    wanted: dict[Key, list[FindingRef]] = {}
    for finding in findings:
        try:
            package = _movable(finding, records, choice)
        except _Stays as stays:
            refusals.append(Refusal(finding=finding, why=stays.why, message=stays.message))
        else:
            wanted.setdefault(_key(package), []).append(finding)
    return _outcome(_fitted(Fitting(records, choice, survey.architecture), set(wanted)), wanted, refusals)


def replan(survey: Survey, plan: SystemPlan, blocked: dict[Key, Blocked]) -> SystemPlan:
    """Plans once more with the packages of a plan, of which some turned out not to be movable."""
    records = read_records(survey.database)
    choice = Choice(records, [each.candidate for each in plan.upgrades])
    wanted = {_key(each.installed): list(each.because) for each in plan.upgrades if each.because}
    fitted = _fitted(Fitting(records, choice, survey.architecture, blocked), set(wanted))
    return _outcome(fitted, wanted, plan.refusals)


def _fitted(fitting: Fitting, wanted: set[Key]) -> Fitting:
    """Makes what is wanted fit; begins anew without what cannot move, so that nothing goes along with it."""
    for key in sorted(wanted):
        fitting.move_with_siblings(key)
    fitting.settle()
    moving = wanted & set(fitting.moving)
    return fitting if moving == wanted else _fitted(fitting.anew(), moving)


def _outcome(fitting: Fitting, wanted: dict[Key, list[FindingRef]], refusals: Sequence[Refusal]) -> SystemPlan:
    upgrades, all_refusals = [], list(refusals)
    for key, record in fitting.records.items():
        because = tuple(wanted.get(key, ()))
        if (candidate := fitting.moving.get(key)) is not None:
            # What is configuration now has to be read from the image later on.
            fields = {**candidate.fields, CONFFILES: record.stanza.get(CONFFILES)}
            changed = dataclasses.replace(candidate, fields=fields)
            upgrades.append(Upgrade(installed=record.package, candidate=changed, because=because))
        elif because:
            stays = fitting.blocked[key]
            all_refusals += [Refusal(finding=each, why=stays.why, message=stays.message) for each in because]
    return SystemPlan(
        upgrades=tuple(sorted(upgrades, key=lambda each: _key(each.installed))),
        refusals=tuple(sorted(all_refusals, key=lambda each: (each.finding.id, each.finding.package))),
    )


def _key(package: InstalledPackage) -> Key:
    return package.name, package.architecture


class _Stays(Exception):
    """A finding cannot be fixed; ends the look at it."""

    def __init__(self, why: NotFixable, message: str) -> None:
        super().__init__(message)
        self.why = why
        self.message = message


def _movable(finding: FindingRef, records: Sequence[Record], choice: Choice) -> InstalledPackage:
    name = finding.package
    if not finding.path.startswith(_DATABASES):
        raise _Stays(
            NotFixable.NOT_A_SYSTEM_PACKAGE, f"{name} is not of the system's packages: only those are replaced."
        )
    record = next(iter(_installed(finding, records)), None)
    if record is None:
        raise _Stays(NotFixable.NOT_INSTALLED, f"The image's package database has no {name} {finding.version}.")
    if not finding.fixed_version:
        raise _Stays(NotFixable.NO_FIXED_VERSION, f"No version of {name} is known that has it fixed.")
    package = record.package
    if package.held:
        raise _Stays(NotFixable.HELD, f"{package.name} is on hold in the image.")
    if not record.whole:
        raise _Stays(
            NotFixable.NEEDS_REBUILD, f"{package.name} is not wholly installed: its state is {record.state}."
        )
    best = choice.best(package)
    if best is None:
        raise _Stays(
            NotFixable.NOT_IN_REPOSITORY,
            f"The repositories have no version of {package.name} above {package.version}.",
        )
    if sort_key(best.source_version) < sort_key(finding.fixed_version):
        raise _Stays(
            NotFixable.NOT_IN_REPOSITORY,
            f"The repositories have {package.name} {best.version} at best; "
            f"it is fixed in {finding.fixed_version}.",
        )
    return package


def _installed(finding: FindingRef, records: Iterable[Record]) -> Iterable[Record]:
    """Of a package that is there for several architectures, the first: its source's packages move together."""
    name, _, architecture = finding.package.partition(":")
    for each in records:
        package = each.package
        here = (package.name, package.version) == (name, finding.version)
        if here and architecture in ("", package.architecture):
            yield each
