"""Which packages go to which versions, so that all of the image still fits together. Pure.

Each goes to the newest version that is offered, as `dnf upgrade` takes it, and with it those of the same source
and those that it needs newer. Nothing is added to an image and nothing taken away from it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from services.fixer.plan.outcome import FindingRef, NotFixable, Refusal
from services.fixer.plan.packages import Candidate, InstalledPackage, Survey, SystemPlan, Upgrade
from services.fixer.systems.rpm.facts import Fact, Facts
from services.fixer.systems.rpm.relations import joined, split
from services.fixer.systems.rpm.world import Changed, Id, World, id_of, is_met
from services.kernel.versions.rpm import sort_key

CONFIGS: Final = "configs"
"""Field of a candidate: names of files of which building must know the content, without their folders."""

_DATABASE = re.compile(r"(?:^|/)rpmdb\.sqlite$")
_FEATURES: Final = re.compile(r"rpmlib\((?P<name>[A-Za-z0-9]+)\)")
_KNOWN_FEATURES: Final = frozenset(
    """
    BuiltinLuaScripts CaretInVersions CompressedFileNames ConcurrentAccess ExplicitPackageProvide FileCaps
    FileDigests HeaderLoadSortsTags HeaderTranslateSyms LargeFiles PartialHardlinkSets PayloadFilesHavePrefix
    PayloadIsBzip2 PayloadIsLzma PayloadIsXz PayloadIsZstd RichDependencies ScriptletExpansion
    ScriptletInterpreterArgs TildeInVersions VersionedDependencies
""".split()  # noqa: SIM905  # as rpm lists them
)

Blocked = Mapping[Id, tuple[NotFixable, str]]
"""Packages that may not be replaced, and why."""


class _Stuck(Exception):
    """There is no way; said of a group of packages."""

    def __init__(self, why: NotFixable, message: str) -> None:
        super().__init__(message)
        self.why = why
        self.message = message


def decide(
    survey: Survey,
    facts: Facts,
    offered: Mapping[Id, Sequence[tuple[Candidate, Fact]]],
    findings: Sequence[FindingRef],
    blocked: Blocked,
) -> SystemPlan:
    """Returns the plan; `offered` are the newer versions of each installed package, newest first."""
    planner = _Planner(survey, facts, offered, blocked)
    wishes: dict[Id, list[FindingRef]] = {}
    told: set[FindingRef] = set()
    refusals: list[Refusal] = []
    for finding in findings:
        try:
            for key in planner.meant(finding):
                wishes.setdefault(key, []).append(finding)
        except _Stuck as stuck:
            refusals.append(Refusal(finding=finding, why=stuck.why, message=stuck.message))
    chosen, stuck_at = planner.all_that_fit(sorted(wishes))
    refused = {
        finding: Refusal(finding=finding, why=stuck.why, message=stuck.message)
        for key, stuck in stuck_at.items()
        for finding in wishes[key]
    }
    upgrades = []
    for key, (candidate, _) in sorted(chosen.items()):
        # What is found in one package for two machines is told once.
        because = tuple(f for f in wishes.get(key, ()) if f not in refused and f not in told)
        told.update(because)
        upgrades.append(Upgrade(installed=planner.installed[key], candidate=candidate, because=because))
    return SystemPlan(
        upgrades=tuple(upgrades),
        refusals=in_order((*refusals, *refused.values())),
    )


def in_order(refusals: Iterable[Refusal]) -> tuple[Refusal, ...]:
    """Returns refusals as a plan has them."""
    return tuple(sorted(refusals, key=lambda each: (each.finding.id, each.finding.package)))


def offers(
    survey: Survey, facts: Facts, candidates: Iterable[Candidate]
) -> dict[Id, list[tuple[Candidate, Fact]]]:
    """Returns of each installed package the newer versions that can replace it, newest first."""
    by_name: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_name.setdefault(candidate.name, []).append(candidate)
    found: dict[Id, list[tuple[Candidate, Fact]]] = {}
    for fact in facts.packages:
        newer = [
            candidate
            for candidate in by_name.get(fact.name, ())
            if _replaces(candidate, fact, survey.architecture)
            and sort_key(candidate.version) > sort_key(fact.version)
        ]
        newer.sort(key=lambda each: (sort_key(each.version), each.architecture == fact.architecture, each.url))
        found[id_of(fact)] = [(candidate, _fact(candidate, fact)) for candidate in reversed(newer)]
    return found


def _replaces(candidate: Candidate, fact: Fact, native: str) -> bool:
    return (
        candidate.architecture == fact.architecture
        or candidate.architecture == "noarch" != fact.architecture == native
        or fact.architecture == "noarch" != candidate.architecture == native
    )


def _fact(candidate: Candidate, installed: Fact) -> Fact:
    """An index tells not all files: those of the installed version are taken to stay until it is fetched."""

    def texts(kind: str) -> tuple[str, ...]:
        return tuple(split(candidate.fields.get(kind, "")))

    return Fact(
        name=candidate.name,
        version=candidate.version,
        architecture=candidate.architecture,
        requires=texts("requires"),
        provides=texts("provides"),
        conflicts=texts("conflicts"),
        obsoletes=texts("obsoletes"),
        files=tuple(dict.fromkeys((*texts("files"), *installed.files))),
    )


def blocked_in(survey: Survey, facts: Facts) -> dict[Id, tuple[NotFixable, str]]:
    """Returns what the image's own database says against replacing packages."""
    found: dict[Id, tuple[NotFixable, str]] = {}
    held = {(each.name, each.architecture, each.version) for each in survey.packages if each.held}
    several = _several(facts.packages)
    for fact in facts.packages:
        key = id_of(fact)
        if key in held:
            found[key] = NotFixable.HELD, f"{fact.name} is locked or excluded by the image's dnf."
        elif fact.module:
            module = ":".join(fact.module.split(":")[:2])
            found[key] = (
                NotFixable.NEEDS_REBUILD,
                f"{fact.name} is of the module {module}, whose packages only go together, by dnf itself.",
            )
        elif (fact.name, fact.architecture) in several:
            found[key] = NotFixable.NEEDS_REBUILD, f"{fact.name} is installed in several versions at once."
        else:
            script = fact.on_erasure or fact.on_installation
            if script:
                found[key] = scripts_matter(fact.name, f"its {script}")
            elif trigger := triggered(facts.packages, fact, fact.version):
                found[key] = scripts_matter(fact.name, trigger)
    return found


def scripts_matter(name: str, which: str) -> tuple[NotFixable, str]:
    """Returns why a package needs its scripts."""
    return NotFixable.NEEDS_REBUILD, f"Replacing {name} would run {which}, which does more than files do."


def triggered(packages: Iterable[Fact], fact: Fact, version: str) -> str:
    """Returns whose trigger that matters runs when a package goes to a version; empty where none does."""
    paths = [path.lstrip("/") for path in fact.files]
    names = [(fact.name, fact.version), (fact.name, version)]
    for owner in packages:
        if any(trigger.meets(names, paths) for trigger in owner.triggers):
            return f"a trigger of {owner.name}"
    return ""


def _several(packages: Iterable[Fact]) -> set[tuple[str, str]]:
    seen: set[tuple[str, str]] = set()
    return {fact.key for fact in packages if fact.key in seen or seen.add(fact.key)}  # type: ignore[func-returns-value]


_Chosen = dict[Id, tuple[Candidate, Fact]]


class _Planner:
    def __init__(
        self,
        survey: Survey,
        facts: Facts,
        offered: Mapping[Id, Sequence[tuple[Candidate, Fact]]],
        blocked: Blocked,
    ) -> None:
        self.installed = {(each.name, each.architecture, each.version): each for each in survey.packages}
        self._world = World(facts.packages)
        self._offered = offered
        self._blocked = blocked
        self._by_source: dict[tuple[str, str], list[Id]] = {}
        for key, package in self.installed.items():
            self._by_source.setdefault((package.source, _plain(package.source_version)), []).append(key)
        self._met = {
            (key, text)
            for key, fact in self._world.facts.items()
            for text in fact.requires
            if is_met(self._world, text)
        }

    def meant(self, finding: FindingRef) -> list[Id]:
        """Returns the packages that a finding is about and that can be replaced by one that is fixed."""
        if not _DATABASE.search(finding.path):
            raise _Stuck(NotFixable.NOT_A_SYSTEM_PACKAGE, f"{finding.package} is no package of the system.")
        keys = sorted(key for key in self.installed if key[0] == finding.package and key[2] == finding.version)
        if not keys:
            message = f"The image's database does not know {finding.package} {finding.version}."
            raise _Stuck(NotFixable.NOT_INSTALLED, message)
        if not finding.fixed_version:
            raise _Stuck(NotFixable.NO_FIXED_VERSION, f"The advisory knows of no fixed {finding.package}.")
        for key in keys:
            if key in self._blocked:
                raise _Stuck(*self._blocked[key])
            best = next(iter(self._offered.get(key, ())), None)
            if best is None or not _fixes(best[0], self.installed[key], finding.fixed_version):
                newest = f"{best[0].version} is the newest" if best is not None else "no newer one is offered"
                raise _Stuck(
                    NotFixable.NOT_IN_REPOSITORY,
                    f"No repository has {finding.package} {finding.fixed_version} or later: {newest}.",
                )
        return keys

    def all_that_fit(self, wishes: Sequence[Id]) -> tuple[_Chosen, dict[Id, _Stuck]]:
        """Returns what is replaced, and for each wish that cannot be had why."""
        try:
            return self._close(wishes), {}
        except _Stuck:
            pass
        accepted: list[Id] = []
        chosen: _Chosen = {}
        stuck_at: dict[Id, _Stuck] = {}
        for wish in wishes:
            try:
                chosen = self._close([*accepted, wish])
                accepted.append(wish)
            except _Stuck as stuck:
                stuck_at[wish] = stuck
        return chosen, stuck_at

    def _close(self, wishes: Sequence[Id]) -> _Chosen:
        """Adds what must go along until everything fits."""
        chosen: _Chosen = {}
        for wish in wishes:
            self._take(chosen, wish, self._offered[wish][0], "")
        for _ in range(len(self.installed) + 1):
            size = len(chosen)
            for key in list(chosen):
                self._take_siblings(chosen, key)
            changed = Changed(self._world, {key: fact for key, (_, fact) in chosen.items()})
            self._mend_wants(chosen, changed)
            self._mend_conflicts(chosen, changed)
            if len(chosen) == size:
                break
        return chosen

    def _take(self, chosen: _Chosen, key: Id, offer: tuple[Candidate, Fact], whose: str) -> None:
        if key in self._blocked:
            why, message = self._blocked[key]
            raise _Stuck(why, f"{whose} {message}".strip())
        chosen[key] = offer

    def _take_siblings(self, chosen: _Chosen, key: Id) -> None:
        package, (candidate, _) = self.installed[key], chosen[key]
        for other in self._by_source[package.source, _plain(package.source_version)]:
            if other in chosen:
                continue
            for offer in self._offered.get(other, ()):
                if (offer[0].source, _plain(offer[0].source_version)) == (
                    candidate.source,
                    _plain(candidate.source_version),
                ):
                    self._take(chosen, other, offer, f"{other[0]} goes along with {key[0]}.")
                    break

    def _mend_wants(self, chosen: _Chosen, changed: Changed) -> None:
        new = {key: fact for key, (_, fact) in chosen.items()}
        for fact in new.values():
            for text in fact.requires:
                if not _is_feature(text) and not is_met(changed, text):
                    self._bring(chosen, fact, text)
        for key, fact in self._world.facts.items():
            if key in new:
                continue
            for text in fact.requires:
                if (key, text) in self._met and not is_met(changed, text):
                    self._move(chosen, key, f"{fact.name} of the image wants {text}, as it was.")
                    break

    def _bring(self, chosen: _Chosen, fact: Fact, text: str) -> None:
        """Replaces a package of the image by a version that provides what is wanted."""
        for key, offered in self._offered.items():
            for offer in offered:
                if key not in chosen and is_met(World([offer[1]]), text):
                    self._take(chosen, key, offer, f"{fact.name} {fact.version} wants {text}.")
                    return
        message = f"{fact.name} {fact.version} wants {text}, which nothing in the image provides."
        raise _Stuck(NotFixable.NEEDS_NEW_DEPENDENCY, message)

    def _move(self, chosen: _Chosen, key: Id, why: str) -> None:
        """Replaces a package of the image that does not fit any more."""
        offered = self._offered.get(key, ())
        if not offered or key in chosen:
            raise _Stuck(NotFixable.NEEDS_REMOVAL, why)
        self._take(chosen, key, offered[0], why)

    def _mend_conflicts(self, chosen: _Chosen, changed: Changed) -> None:
        replaced = {id_of(fact): key for key, (_, fact) in chosen.items()}
        for fact in changed.facts():
            own = id_of(fact)
            for kind, find in (("conflicts with", changed.providers), ("replaces", changed.named)):
                for text in fact.conflicts if kind == "conflicts with" else fact.obsoletes:
                    if text.startswith("(") or (kind == "replaces" and own not in replaced):
                        continue
                    others = find(text)
                    for other in others:
                        if other == own or other[0] == fact.name or not {own, other} & replaced.keys():
                            continue
                        older = other if other not in replaced else own
                        self._move(
                            chosen, replaced.get(older, older), f"{fact.name} {fact.version} {kind} {text}."
                        )


def _is_feature(text: str) -> bool:
    match = _FEATURES.match(text)
    return match is not None and match["name"] in _KNOWN_FEATURES


def _fixes(candidate: Candidate, installed: InstalledPackage, fixed: str) -> bool:
    """Advisories tell the version of the package itself or of its source."""
    wanted = sort_key(fixed)
    return sort_key(candidate.version) >= wanted or (
        candidate.source_version != candidate.version
        and sort_key(installed.source_version) < wanted <= sort_key(candidate.source_version)
    )


def _plain(version: str) -> str:
    return version.rpartition(":")[2]


def with_field(upgrade: Upgrade, name: str, values: Iterable[str]) -> Upgrade:
    """Returns an upgrade whose candidate has one more field."""
    fields = {**upgrade.candidate.fields, name: joined(values)}
    return dataclasses.replace(upgrade, candidate=dataclasses.replace(upgrade.candidate, fields=fields))
