"""Looks into fetched packages before anything is built: which of them files alone do not install."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from services.fixer.plan.outcome import NotFixable
from services.fixer.plan.packages import Survey, SystemPlan, Upgrade
from services.fixer.systems.dpkg.alternatives import registers, why_unsettled
from services.fixer.systems.dpkg.build import SCRIPTS, open_deb
from services.fixer.systems.dpkg.control import decode, encode
from services.fixer.systems.dpkg.deb import Deb
from services.fixer.systems.dpkg.fit import Blocked
from services.fixer.systems.dpkg.image import info_names, names_of
from services.fixer.systems.dpkg.plan import replan
from services.fixer.systems.dpkg.scripts import Scripts, why_matters
from services.fixer.systems.dpkg.survey import FACTS, INFO, PARTS, TRIGGERS, parts_of

_IDLE_TRIGGERS: Final = frozenset({"ldconfig", "nginx-reload"})
"""The cache of libraries stays right while their names do (which is checked); services are not running."""
_IDLE_LISTENERS: Final = frozenset(
    {"man-db", "systemd", "udev", "dbus", "menu", "doc-base", "mailcap", "debianutils", "mariadb-server"}
)
"""They index manual pages, tell running services, make menus, or list shells, which a new version does not add."""
_BUNDLES: Final = frozenset({"ca-certificates"})
"""Packages of which images without dpkg have what a script made."""


def check(survey: Survey, plan: SystemPlan, files: Mapping[str, Path]) -> SystemPlan:
    """Returns the plan without the packages whose scripts or triggers matter, and what needs them.

    Raises:
        FixFailure: PACKAGE_INVALID, DATABASE_CORRUPT.
    """
    database = dict(parts_of(survey.database))
    triggers = _listeners(database)
    blocked: dict[tuple[str, str], Blocked] = {}
    for each in plan.upgrades:
        deb = open_deb(each, files)
        why = (
            _why_distroless(each) if each.installed.path.startswith(PARTS) else _why(each, deb, database, triggers)
        )
        if why is not None:
            blocked[each.installed.name, each.installed.architecture] = Blocked(
                NotFixable.NEEDS_REBUILD,
                f"{each.installed.name} {each.candidate.version} needs its image to be built anew: {why}.",
            )
    return replan(survey, plan, blocked) if blocked else plan


def _why_distroless(upgrade: Upgrade) -> str | None:
    """No script ever ran in an image without dpkg; of some packages it has what one made elsewhere."""
    return "the bundle of certificates is made of it" if upgrade.installed.name in _BUNDLES else None


def _why(upgrade: Upgrade, deb: Deb, database: Mapping[str, str], triggers: Mapping[str, list[str]]) -> str | None:
    before = _info(upgrade, database)
    name = upgrade.installed.name
    old = Scripts(
        package=name,
        version=upgrade.installed.version,
        texts={each: before[each] for each in SCRIPTS if each in before},
    )
    new = Scripts(
        package=name,
        version=upgrade.candidate.version,
        texts={each: deb.files[each].content for each in SCRIPTS if each in deb.files},
    )
    facts = frozenset(database[FACTS].split("\n"))
    if (why := why_matters(old, new, facts)) is not None:
        return why
    if any(" " in path for path in deb.conffiles):
        return "it has configuration files in a way that is not known here"
    after = {each: file.content for each, file in deb.files.items()}
    if changed := _libraries(after) ^ _libraries(before):
        return f"the image's cache of libraries has to be made anew for {min(changed)}"
    if _directives(before, "interest") != _directives(after, "interest"):
        return "it wants to be told of other events than the installed version"
    files = {*_files(after), *(f"/{path.lstrip('/')}" for path in deb.conffiles)}
    postinst = after.get("postinst", b"")
    if registers(postinst) and (why := why_unsettled(postinst, _by_each_name(files), facts)) is not None:
        return why
    return _triggered(after, files, triggers)


def _info(upgrade: Upgrade, database: Mapping[str, str]) -> dict[str, bytes]:
    """The files of the installed version's record by what their names end with."""
    found: dict[str, bytes] = {}
    stems = {f"{INFO}/{base}" for base in info_names(upgrade.installed)}
    for path, text in database.items():
        stem, _, kind = path.rpartition(".")
        if stem in stems:
            found[kind] = encode(text)
    return found


def _listeners(database: Mapping[str, str]) -> dict[str, list[str]]:
    """The packages that are interested in triggers, by the trigger's name or path with its slash."""
    found: dict[str, list[str]] = {}
    for path, text in database.items():
        folder, _, name = path.rpartition("/")
        if folder != TRIGGERS or name in ("Unincorp", "Lock") or name.endswith(".new"):
            continue
        for line in text.splitlines():
            trigger, _, package = line.rpartition(" ")
            found.setdefault(trigger.strip() if name == "File" else name, []).append(
                package.partition("/")[0].partition(":")[0]
            )
    return found


def _triggered(
    after: Mapping[str, bytes], files: Collection[str], triggers: Mapping[str, list[str]]
) -> str | None:
    """Tells which package would do something on account of the upgrade; None where none that matters."""
    for trigger in _directives(after, "activate"):
        if trigger not in _IDLE_TRIGGERS and triggers.get(trigger):
            return f"{triggers[trigger][0]} has to know of it"
    for trigger, packages in triggers.items():
        listeners = [each for each in packages if each not in _IDLE_LISTENERS]
        if (
            trigger.startswith("/")
            and listeners
            and any(each == trigger or each.startswith(f"{trigger}/") for each in files)
        ):
            return f"{listeners[0]} has to know of its files in {trigger}"
    return None


def _files(after: Mapping[str, bytes]) -> Iterator[str]:
    for line in decode(after.get("md5sums", b"")).splitlines():
        yield "/" + line.partition("  ")[2].lstrip("./")


def _by_each_name(files: Collection[str]) -> set[str]:
    return {f"/{name}" for path in files for name in names_of(path.lstrip("/"))}


def _libraries(info: Mapping[str, bytes]) -> set[str]:
    """The names and versions by which programs find a package's libraries (deb-shlibs(5))."""
    found = set()
    for line in decode(info.get("shlibs", b"")).splitlines():
        words = line.split()
        if words and words[0].endswith(":"):
            words = words[1:]
        if len(words) > 1:
            found.add(f"{words[0]} {words[1]}")
    return found


def _directives(info: Mapping[str, bytes], kind: str) -> set[str]:
    """The triggers that a package is interested in or sets off (deb-triggers(5))."""
    found = set()
    for line in decode(info.get("triggers", b"")).splitlines():
        words = line.partition("#")[0].split()
        if len(words) == 2 and words[0].partition("-")[0] == kind:
            found.add(words[1])
    return found
