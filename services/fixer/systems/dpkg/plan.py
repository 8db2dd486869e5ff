"""Decides which packages go to which versions, so that the packages of the image still fit each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from services.fixer.plan.outcome import FindingRef, NotFixable, Refusal
from services.fixer.plan.packages import Candidate, InstalledPackage, Survey, SystemPlan, Upgrade
from services.fixer.systems.dpkg.choose import Choice
from services.fixer.systems.dpkg.fit import Blocked, Fitting
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
        record, refusal = _movable(finding, records, choice)
        if record is None:
            if refusal is not None:
                refusals.append(refusal)
        else:
            wanted.setdefault((record.package.name, record.package.architecture), []).append(finding)
    return settle(survey, records, choice, wanted, refusals, {})


def replan(
    survey: Survey, plan: SystemPlan, blocked: dict[Key, Blocked], records: list[Record] | None = None
) -> SystemPlan:
    """Plans once more with the packages of a plan, of which some turned out not to be movable."""
    records = read_records(survey.database) if records is None else records
    choice = Choice(records, [each.candidate for each in plan.upgrades])
    wanted = {
        (each.installed.name, each.installed.architecture): list(each.because)
        for each in plan.upgrades
        if each.because
    }
    return settle(survey, records, choice, wanted, list(plan.refusals), blocked)


def settle(
    survey: Survey,
    records: list[Record],
    choice: Choice,
    wanted: dict[Key, list[FindingRef]],
    refusals: list[Refusal],
    blocked: dict[Key, Blocked],
) -> SystemPlan:
    """Makes what is wanted fit together."""
    fitting = Fitting(records, choice, survey.architecture, blocked)
    for key in sorted(wanted):
        fitting.move_with_siblings(key)
    fitting.settle()
    _drop_idle(fitting, wanted)
    upgrades = []
    for record in records:
        key = (record.package.name, record.package.architecture)
        because = tuple(wanted.get(key, ()))
        if (candidate := fitting.moving.get(key)) is not None:
            upgrades.append(Upgrade(installed=record.package, candidate=candidate, because=because))
        elif because:
            why = fitting.blocked[key]
            refusals += [Refusal(finding=each, why=why.why, message=why.message) for each in because]
    return SystemPlan(
        upgrades=tuple(sorted(upgrades, key=lambda each: (each.installed.name, each.installed.architecture))),
        refusals=tuple(sorted(refusals, key=lambda each: (each.finding.id, each.finding.package))),
    )


def _drop_idle(fitting: Fitting, wanted: dict[Key, list[FindingRef]]) -> None:
    """Where nothing that was wanted moves, nothing that would only go along does."""
    if not any(key in fitting.moving for key in wanted):
        fitting.moving.clear()


def _movable(
    finding: FindingRef, records: Sequence[Record], choice: Choice
) -> tuple[Record | None, Refusal | None]:
    def refuse(why: NotFixable, message: str) -> tuple[None, Refusal]:
        return None, Refusal(finding=finding, why=why, message=message)

    if not finding.path.startswith(_DATABASES):
        return refuse(
            NotFixable.NOT_A_SYSTEM_PACKAGE,
            f"{finding.package} is not of the system's packages: only those are replaced.",
        )
    found = list(_installed(finding, records))
    if not found:
        return refuse(
            NotFixable.NOT_INSTALLED,
            f"The image's package database has no {finding.package} {finding.version}.",
        )
    if not finding.fixed_version:
        return refuse(NotFixable.NO_FIXED_VERSION, f"No version of {finding.package} is known that has it fixed.")
    record = found[0]
    package = record.package
    if package.held:
        return refuse(NotFixable.HELD, f"{package.name} is on hold in the image.")
    if not record.whole:
        return refuse(
            NotFixable.NEEDS_REBUILD,
            f"{package.name} is not wholly installed: its state is {record.state}.",
        )
    candidate = choice.best(package)
    if candidate is None:
        return refuse(
            NotFixable.NOT_IN_REPOSITORY,
            f"The repositories have no version of {package.name} above {package.version}.",
        )
    if sort_key(candidate.source_version) < sort_key(finding.fixed_version):
        return refuse(
            NotFixable.NOT_IN_REPOSITORY,
            f"The repositories have {package.name} {candidate.version} at best; "
            f"it is fixed in {finding.fixed_version}.",
        )
    return record, None


def _installed(finding: FindingRef, records: Iterable[Record]) -> Iterable[Record]:
    """Of a package that is there for several architectures, the first: its source's packages move together."""
    name, _, architecture = finding.package.partition(":")
    for each in records:
        package: InstalledPackage = each.package
        if package.name == name and package.version == finding.version:
            if architecture in ("", package.architecture):
                yield each
