"""Which packages go to which versions, and why other findings stay. Pure.

No package is added and none is taken away: what needs that is refused. Each package that has a finding goes to the
newest version that the image's world allows, with all that was built with it and all that must go along; when that
cannot be, it stays as it is, and so do they.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from services.fixer.plan.outcome import FindingRef, NotFixable, Refusal
from services.fixer.plan.packages import Candidate, Survey, SystemPlan, Upgrade
from services.fixer.systems.apk.database import read_database
from services.fixer.systems.apk.dependencies import parse
from services.fixer.systems.apk.index import TAG
from services.fixer.systems.apk.protected import PROTECTED, ProtectedPaths
from services.fixer.systems.apk.state import Breach, Package, State
from services.fixer.systems.apk.survey import known
from services.kernel.versions.apk import sort_key

_MAX_ROUNDS: Final = 200
_HELD: Final = "The image holds {name} where it is: /etc/apk/world says {pin}."


class _CannotGo(Exception):
    """A package cannot go to a newer version."""

    def __init__(self, why: NotFixable, message: str) -> None:
        super().__init__(message)
        self.why = why
        self.message = message


def make_plan(
    survey: Survey,
    candidates: Iterable[Candidate],
    findings: Sequence[FindingRef],
    barred: Mapping[str, str] | None = None,
) -> SystemPlan:
    """Returns the plan.

    Args:
        survey: of the image.
        candidates: what the repositories offer.
        findings: what is to be fixed.
        barred: packages that may not be exchanged because of scripts, each with a sentence why.
    """
    return _Planner(survey, candidates, barred or {}).plan(findings)


class _Planner:
    def __init__(self, survey: Survey, candidates: Iterable[Candidate], barred: Mapping[str, str]) -> None:
        facts = known(survey)
        self._packages = {package.name: package for package in survey.packages}
        records = read_database(facts.installed)
        self._folders = {record.name: record.folders for record in records}
        self._protected = ProtectedPaths(facts.protected)
        self._world = {each.name: each for each in parse(facts.world)}
        self._before = State({each.name: Package(each.fields) for each in records}, self._world.values())
        self._amiss = frozenset(self._before.breaches(tuple(self._before.packages.values())))
        """What is not right already is nothing to refuse a fix for."""
        self._state, self._chosen = self._before.copy(), dict[str, Candidate]()
        self._barred = barred
        self._siblings: dict[str, list[str]] = defaultdict(list)
        for name, package in self._before.packages.items():
            self._siblings[package.origin].append(name)
        self._offers: dict[str, list[Candidate]] = defaultdict(list)
        for candidate in candidates:
            if self._is_for(candidate, survey.architecture):
                self._offers[candidate.name].append(candidate)
        for offers in self._offers.values():
            offers.sort(key=lambda each: (sort_key(each.version), each.url), reverse=True)

    def plan(self, findings: Sequence[FindingRef]) -> SystemPlan:
        """Goes through the packages that have findings, each on top of what is settled."""
        refusals: list[Refusal] = []
        because: dict[str, list[FindingRef]] = defaultdict(list)
        failed: dict[str, _CannotGo] = {}
        for finding in sorted(findings, key=lambda each: (each.package, each.id)):
            try:
                self._seek(finding)
                self._settle(finding.package, failed)
                if not _reaches(self._chosen[finding.package].version, finding):
                    raise _too_old(finding, self._chosen[finding.package].version)
            except _CannotGo as stays:
                refusals.append(Refusal(finding=finding, why=stays.why, message=stays.message))
            else:
                because[finding.package].append(finding)
        return SystemPlan(
            upgrades=tuple(
                Upgrade(
                    installed=self._packages[name], candidate=self._marked(candidate), because=tuple(because[name])
                )
                for name, candidate in sorted(self._chosen.items())
            ),
            refusals=tuple(sorted(refusals, key=lambda each: (each.finding.id, each.finding.package))),
        )

    def _marked(self, candidate: Candidate) -> Candidate:
        """Notes which files of the package may be the administrator's: building compares them."""
        paths = (
            f"{folder}/{name}"
            for folder, owned in self._folders[candidate.name].items()
            if self._protected.protects(folder)
            for name in owned.files
        )
        return dataclasses.replace(candidate, fields={**candidate.fields, PROTECTED: "\n".join(paths)})

    def _settle(self, name: str, failed: dict[str, _CannotGo]) -> None:
        """Exchanges a package, with all that goes along, unless it is; raises where that cannot be."""
        if name in failed:
            raise failed[name]
        if name in self._chosen:
            return
        try:
            self._state, self._chosen = self._closure(name, self._state, self._chosen)
        except _CannotGo as stays:
            failed[name] = stays
            raise

    def _is_for(self, candidate: Candidate, architecture: str) -> bool:
        """Whether apk would take it: its architecture, a tag that the image asks for, newer than what is there."""
        installed = self._before.packages.get(candidate.name)
        if installed is None or candidate.architecture not in (architecture, "noarch", ""):
            return False
        pin = self._world.get(candidate.name)
        tags = {"", installed.fields.get("s", ""), pin.tag if pin is not None else ""}
        if candidate.fields.get(TAG, "") not in tags:
            return False
        return sort_key(candidate.version) > sort_key(installed.version)

    def _seek(self, finding: FindingRef) -> None:
        """Refuses findings that no repository can help."""
        installed = self._before.packages.get(finding.package)
        if installed is None or installed.version != finding.version:
            raise _CannotGo(
                NotFixable.NOT_INSTALLED, f"The image's database has no {finding.package} {finding.version}."
            )
        if not finding.fixed_version:
            raise _CannotGo(NotFixable.NO_FIXED_VERSION, f"No fixed version of {finding.package} is known.")
        offers = [each for each in self._offers[finding.package] if _reaches(each.version, finding)]
        if not offers:
            raise _too_old(finding, next((each.version for each in self._offers[finding.package]), ""))
        if not any(each in offers for each in self._allowed(finding.package)):
            raise _CannotGo(
                NotFixable.HELD,
                _HELD.format(name=finding.package, pin=self._world[finding.package]),
            )

    def _allowed(self, name: str) -> list[Candidate]:
        """Returns the newer versions that the image's world allows, the newest first."""
        pin = self._world.get(name)
        return [
            each
            for each in self._offers[name]
            if pin is None or pin.conflict or pin.admits(each.version, each.fields.get("C", ""))
        ]

    def _closure(
        self, name: str, state: State, chosen: Mapping[str, Candidate]
    ) -> tuple[State, dict[str, Candidate]]:
        """Exchanges a package and all that has to go with it; raises where that cannot be."""
        state, chosen = state.copy(), dict(chosen)
        waiting = [(name, self._allowed(name)[0])]
        changed: list[Package] = []
        for _ in range(_MAX_ROUNDS):
            for each, candidate in waiting:
                changed += self._exchange(each, candidate, state, chosen)
            breach = next((each for each in state.breaches(changed) if each not in self._amiss), None)
            if breach is None:
                return state, chosen
            waiting = [self._mend(breach, state, chosen)]
        raise _CannotGo(
            NotFixable.NEEDS_NEW_DEPENDENCY, f"No set of versions was found that {name} can be part of."
        )

    def _exchange(
        self, name: str, candidate: Candidate, state: State, chosen: dict[str, Candidate]
    ) -> list[Package]:
        """Exchanges a package and those built with it; returns what was there, and what is there now."""
        changed = []
        origin, version = state.packages[name].origin, state.packages[name].version
        moves = [(name, candidate)]
        for sibling in self._siblings[origin]:
            if sibling != name and sibling not in chosen and state.packages[sibling].version == version:
                along = next((each for each in self._offers[sibling] if each.version == candidate.version), None)
                moves += [(sibling, along)] if along is not None else []
        for each, new in moves:
            if each in self._barred:
                raise _CannotGo(NotFixable.NEEDS_REBUILD, self._barred[each])
            changed += [state.packages[each], Package(new.fields)]
            state.exchange(Package(new.fields))
            chosen[each] = new
        return changed

    def _mend(self, breach: Breach, state: State, chosen: Mapping[str, Candidate]) -> tuple[str, Candidate]:
        """Returns a package whose newer version helps; raises where none does."""
        if not breach.package:
            raise _CannotGo(NotFixable.HELD, _HELD.format(name=breach.wanted.name, pin=breach.wanted))
        if not breach.wanted.conflict:
            for name in self._before.packages:
                for offer in self._allowed(name) if name not in chosen else ():
                    if Package(offer.fields).meets(breach.wanted):
                        return name, offer
        for name in (breach.package, breach.culprit):
            if name and name not in chosen and self._allowed(name):
                return name, self._allowed(name)[0]
        raise _stuck(breach, state)


def _reaches(version: str, finding: FindingRef) -> bool:
    return sort_key(version) >= sort_key(finding.fixed_version)


def _too_old(finding: FindingRef, newest: str) -> _CannotGo:
    has = f"nothing newer than {finding.version}" if not newest else f"{newest}, no later one"
    return _CannotGo(
        NotFixable.NOT_IN_REPOSITORY,
        f"{finding.package} is fixed in {finding.fixed_version}; the repositories have {has}.",
    )


def _stuck(breach: Breach, state: State) -> _CannotGo:
    package = state.packages[breach.package]
    label = f"{package.name} {package.version}"
    if breach.only_if:
        return _CannotGo(
            NotFixable.NEEDS_REMOVAL,
            f"{label} is there only beside {breach.wanted}, which would not be there any more.",
        )
    if breach.wanted.conflict:
        return _CannotGo(
            NotFixable.NEEDS_REMOVAL,
            f"{label} cannot be together with {breach.culprit} {state.packages[breach.culprit].version}"
            f" ({breach.wanted}).",
        )
    return _CannotGo(
        NotFixable.NEEDS_NEW_DEPENDENCY, f"{label} wants {breach.wanted}, which the image does not have."
    )


def findings_of(plan: SystemPlan) -> tuple[FindingRef, ...]:
    """Returns what a plan was made for."""
    return (
        *(finding for upgrade in plan.upgrades for finding in upgrade.because),
        *(refusal.finding for refusal in plan.refusals),
    )
