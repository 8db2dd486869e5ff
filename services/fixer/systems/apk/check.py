"""What only the fetched packages tell: scripts that matter, triggers that fire, files of other packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from services.fixer.plan.packages import Survey, SystemPlan, Upgrade
from services.fixer.systems.apk.database import Record, read_database
from services.fixer.systems.apk.dependencies import provided
from services.fixer.systems.apk.effects import Effect, effect_of
from services.fixer.systems.apk.package import Control, open_control, open_data
from services.fixer.systems.apk.plan import findings_of, make_plan
from services.fixer.systems.apk.replaces import Replaces, takes
from services.fixer.systems.apk.scripts import AT_UPGRADE, fires
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
            _own_script(upgrade, package, records[name])
            or _trigger(upgrade, package, records, names, facts)
            or _foreign_file(name, upgrade, package, records, names)
        )
        if why:
            yield name, why


def _own_script(upgrade: Upgrade, package: _Fetched, old: Record) -> str:
    """Looks at the scripts that apk runs when it exchanges the package; its own trigger is one of them."""
    kinds = (*AT_UPGRADE, "trigger") if package.control.triggers else AT_UPGRADE
    for kind in kinds:
        script = package.control.scripts.get(kind)
        effect = effect_of(script) if script is not None else Effect.NOTHING
        name = upgrade.installed.name
        if effect is Effect.UNKNOWN:
            return f"{name} runs a script when it is upgraded ({kind}), and what that does is not known."
        if effect is Effect.APPLET_LINKS and not _same_program(upgrade):
            return f"{name} {upgrade.candidate.version} may have other applets, and makes links to them ({kind})."
        if effect is Effect.LIBRARY_CACHE and _libraries(old.fields) != _libraries(upgrade.candidate.fields):
            return f"{name} has other shared libraries now, and makes the linker's cache anew ({kind})."
    return ""


def _same_program(upgrade: Upgrade) -> bool:
    """Whether it is another build of the same version: distributions mend their stable releases that way."""
    old, new = (each.rpartition("-r")[0] for each in (upgrade.installed.version, upgrade.candidate.version))
    return bool(old) and old == new


def _libraries(fields: Mapping[str, str]) -> set[str]:
    return {name for name in provided(fields.get("p", "")) if name.startswith("so:")}


def _trigger(
    upgrade: Upgrade, package: _Fetched, records: Mapping[str, Record], names: set[str], facts: Known
) -> str:
    """Looks at the triggers of packages that stay: they fire for folders that this one has, before or after."""
    name, old = upgrade.installed.name, records[upgrade.installed.name]
    folders = [f"/{folder}" for folder in {*package.folders, *old.folders, *map(_parent, package.files)}]
    drops = not {path for path, _ in old.paths()} <= set(package.files)
    for other, record in records.items():
        fired = fires(facts.triggers.get(record.fields.get("C", ""), ()), folders) if other not in names else ()
        if not fired:
            continue
        script = facts.trigger_scripts.get(other)
        effect = effect_of(script) if script is not None else Effect.UNKNOWN
        if effect is Effect.UNKNOWN:
            return f"{other} runs its trigger when {name} changes {fired[0]}, and what that does is not known."
        if effect is Effect.APPLET_LINKS and (drops or any(each.startswith(_MODULES) for each in fired)):
            return f"{other} may put links in the place of files that {name} takes from {fired[0]}."
        if effect is Effect.LIBRARY_CACHE and _libraries(old.fields) != _libraries(upgrade.candidate.fields):
            return f"{other} makes the linker's cache anew, and {name} has other shared libraries now."
    return ""


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


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
