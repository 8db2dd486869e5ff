"""Packages that were fetched, looked into before anything is built: who signed them, and what their scripts do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from services.fixer.plan.outcome import NotFixable
from services.fixer.plan.packages import Candidate, Survey, SystemPlan
from services.fixer.systems.rpm import index, tags
from services.fixer.systems.rpm.facts import Fact, Facts, fact_of
from services.fixer.systems.rpm.package import check_payload, check_signature, invalid, open_package, tampered
from services.fixer.systems.rpm.plan import CONFIGS, decide, in_order, scripts_matter, triggered, with_field
from services.fixer.systems.rpm.world import Id, id_of
from services.rpmdb.faults import Damaged


def check(survey: Survey, facts: Facts, plan: SystemPlan, files: Mapping[str, Path]) -> SystemPlan:
    """Returns the plan as the packages' own headers have it, and without those that need their scripts.

    Raises:
        FixFailure: PACKAGE_TAMPERED, PACKAGE_INVALID, INDEX_UNSIGNED, INDEX_KEY_UNKNOWN.
    """
    installed = {id_of(fact): fact for fact in facts.packages}
    offered: dict[Id, list[tuple[Candidate, Fact]]] = {}
    blocked: dict[Id, tuple[NotFixable, str]] = {}
    for upgrade in plan.upgrades:
        package = upgrade.installed
        key = package.name, package.architecture, package.version
        fact = _verified(upgrade.candidate, files[upgrade.candidate.url], facts)
        offered[key] = [(upgrade.candidate, fact)]
        others = [one for other, one in installed.items() if other != key]
        if fact.module:
            blocked[key] = NotFixable.NEEDS_REBUILD, f"{fact.name} {fact.version} is of a module."
        elif fact.on_installation:
            blocked[key] = scripts_matter(fact.name, f"its {fact.on_installation}")
        elif trigger := triggered([*others, fact], fact, package.version):
            blocked[key] = scripts_matter(fact.name, trigger)
    # A new version may bring a trigger for what others bring at the same time.
    for key, offer in offered.items():
        news = [offer[0][1] for offer in offered.values()]
        trigger = triggered(news, offer[0][1], key[2])
        if trigger and key not in blocked:
            blocked[key] = scripts_matter(key[0], trigger)
    asked = tuple(dict.fromkeys(finding for upgrade in plan.upgrades for finding in upgrade.because))
    again = decide(survey, facts, offered, asked, blocked)
    upgrades = []
    for upgrade in again.upgrades:
        old = upgrade.installed
        key = old.name, old.architecture, old.version
        names = {*installed[key].configs, *offered[key][0][1].configs}
        upgrades.append(with_field(upgrade, CONFIGS, sorted(names)))
    return SystemPlan(upgrades=tuple(upgrades), refusals=in_order((*plan.refusals, *again.refusals)))


def _verified(candidate: Candidate, path: Path, facts: Facts) -> Fact:
    package = open_package(path)
    keys = index.keys_for(candidate)
    if keys is not None:
        check_signature(package, keys)
        check_payload(package)
    try:
        fact = fact_of(package.header, facts.accounts, installed=False)
        if package.header.number(tags.SOURCE_PACKAGE):
            raise Damaged("is of sources")
    except Damaged as damage:
        raise invalid(path.name, str(damage)) from damage
    if (fact.name, fact.version, fact.architecture) != (candidate.name, candidate.version, candidate.architecture):
        raise tampered(
            f"{candidate.name} {candidate.version}", f"it is {fact.name} {fact.version} for {fact.architecture}"
        )
    return fact
