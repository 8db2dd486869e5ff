"""What only the fetched packages tell: scripts that matter, triggers that fire, files of other packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from services.fixer.plan.packages import Survey, SystemPlan, Upgrade
from services.fixer.systems.apk.database import Record, read_database
from services.fixer.systems.apk.package import Control, open_control, open_data
from services.fixer.systems.apk.plan import findings_of, make_plan
from services.fixer.systems.apk.replaces import Replaces, takes
from services.fixer.systems.apk.scripts import AT_UPGRADE, does_nothing, fires, only_links_applets
from services.fixer.systems.apk.survey import Known, known

_MODULES: Final = "/lib/modules/"


def checked(survey: Survey, plan: SystemPlan, files: Mapping[str, Path]) -> SystemPlan:
    """Returns the plan without what would need a script to run; its findings are refused.

    What goes along with a package that stays, stays too, and what is left is looked at again.

    Raises:
        FixFailure: PACKAGE_TAMPERED, PACKAGE_INVALID.
    """
    facts = known(survey)
    records = {record.name: record for record in read_database(facts.installed)}
    fetched = {each.candidate.url: _Fetched(each, files[each.candidate.url]) for each in plan.upgrades}
    findings = findings_of(plan)
    refused = {refusal.finding: refusal for refusal in plan.refusals}
    barred: dict[str, str] = {}
    while True:
        found = dict(_barred(plan, fetched, records, facts))
        if not found:
            return plan
        barred |= found
        again = make_plan(survey, [each.candidate for each in plan.upgrades], findings, barred)
        plan = SystemPlan(
            upgrades=again.upgrades,
            refusals=tuple(refused.get(each.finding, each) for each in again.refusals),
        )


class _Fetched:
    """A package of the plan, with what its archive holds."""

    def __init__(self, upgrade: Upgrade, path: Path) -> None:
        label = f"{upgrade.candidate.name} {upgrade.candidate.version}"
        self.control: Control = open_control(path, upgrade.candidate)
        self.folders: list[str] = []
        self.files: list[str] = []
        with open_data(path, self.control, label) as entries:
            for entry, _ in entries:
                (self.folders if entry.info.isdir() else self.files).append(entry.path)


def _barred(
    plan: SystemPlan, fetched: Mapping[str, _Fetched], records: Mapping[str, Record], facts: Known
) -> Iterator[tuple[str, str]]:
    names = {upgrade.installed.name for upgrade in plan.upgrades}
    for upgrade in plan.upgrades:
        name, package = upgrade.installed.name, fetched[upgrade.candidate.url]
        why = (
            _own_script(name, package, plan)
            or _trigger(name, package, records, names, facts)
            or _foreign_file(name, upgrade, package, records, names)
        )
        if why:
            yield name, why


def _own_script(name: str, package: _Fetched, plan: SystemPlan) -> str:
    for kind in AT_UPGRADE:
        script = package.control.scripts.get(kind)
        if script is not None and not does_nothing(script):
            return f"{name} runs a script when it is upgraded ({kind}), and what that does is not known."
    trigger = package.control.scripts.get("trigger")
    if trigger is not None and package.control.triggers and not does_nothing(trigger):
        return f"{name} runs its trigger when it is upgraded, and what that does is not known."
    return ""


def _trigger(name: str, package: _Fetched, records: Mapping[str, Record], names: set[str], facts: Known) -> str:
    """Looks at the triggers of packages that stay: they fire for folders that this one has, before or after."""
    old = records[name]
    folders = [f"/{folder}" for folder in {*package.folders, *old.folders, *map(_parent, package.files)}]
    drops = _drops(old, package)
    for other, record in records.items():
        fired = fires(facts.triggers.get(record.fields.get("C", ""), ()), folders) if other not in names else ()
        script = facts.trigger_scripts.get(other)
        if not fired or (script is not None and does_nothing(script)):
            continue
        if script is None:
            return f"{other} has a trigger for {fired[0]}, a folder of {name}, and its script is not in the image."
        if not only_links_applets(script):
            return f"{other} runs its trigger when {name} changes {fired[0]}, and what that does is not known."
        if drops or any(each.startswith(_MODULES) for each in fired):
            return f"{other} may put links in the place of files that {name} takes from {fired[0]}."
    return ""


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _drops(old: Record, package: _Fetched) -> bool:
    return not {path for path, _ in old.paths()} <= set(package.files)


def _foreign_file(
    name: str, upgrade: Upgrade, package: _Fetched, records: Mapping[str, Record], names: set[str]
) -> str:
    owners = {path: other for other, record in records.items() for path, _ in record.paths() if other != name}
    ours = Replaces.of_candidate(upgrade.candidate, package.control)
    had = {path for path, _ in records[name].paths()}
    for path in package.files:
        owner = owners.get(path) if path not in had else None
        if owner is not None and owner not in names and takes(ours, Replaces.of_record(records[owner])) is None:
            return f"{name} has /{path}, which is {owner}'s."
    return ""
