"""Builds the layer of an image with dpkg: the packages' files, and the database as dpkg leaves it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.fixer.image.node import Attributes, Layer, NodeKind, Tree
from services.fixer.plan.packages import SystemPlan, Upgrade
from services.fixer.systems.dpkg.alternatives import registers, renewed
from services.fixer.systems.dpkg.control import Stanza, corrupt, decode, encode, is_version
from services.fixer.systems.dpkg.deb import Deb
from services.fixer.systems.dpkg.image import ImageState, info_name, names_of
from services.fixer.systems.dpkg.ldcache import CACHE, WRITER, written_by
from services.fixer.systems.dpkg.relations import parse_relations
from services.fixer.systems.dpkg.scripts import Scripts, kept_by
from services.fixer.systems.dpkg.status import CONFFILES, conffiles_of, installed_stanza, replaced
from services.fixer.systems.dpkg.survey import INFO, STATUS, Record, read_records
from services.fixer.systems.dpkg.unpack import Incoming, Unpacked, Unpacker

SCRIPTS: Final = ("preinst", "postinst", "prerm", "postrm")
_STATUS_OLD: Final = f"{STATUS}-old"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Package:
    """One package on its way from one version to another."""

    upgrade: Upgrade
    record: Record
    deb: Deb
    base: str
    """What the names of its record's files begin with."""
    listed: list[str]
    """The files of the installed version."""

    @property
    def conffiles(self) -> dict[str, str]:
        """Hashes of the installed version's configuration files, by path without leading slash."""
        return {
            path.lstrip("/"): each[0] for path, each in conffiles_of(self.record.stanza.get(CONFFILES)).items()
        }


def open_deb(upgrade: Upgrade, files: Mapping[str, Path]) -> Deb:
    """Opens a package's file, which has to be the package that the index says.

    Raises:
        FixFailure: PACKAGE_INVALID.
    """
    deb = Deb(files[upgrade.candidate.url])
    wanted = upgrade.candidate
    found = tuple(deb.control.get(each) for each in ("Package", "Version", "Architecture"))
    if found != (wanted.name, wanted.version, wanted.architecture) or not is_version(found[1]):
        raise deb.invalid(f"it is {' '.join(found)[:200]!r} where {wanted.name} {wanted.version} was wanted")
    return deb


class DatabaseBuild:
    """Builds for images that have dpkg's own database."""

    def __init__(self, tree: Tree, plan: SystemPlan, files: Mapping[str, Path], layer: Layer) -> None:
        self._state = ImageState(tree)
        self._status = self._state.content(STATUS)
        if self._status is None:
            raise corrupt(f"there is no /{STATUS}")
        self._unpacker = Unpacker(self._state, layer)
        self._records = read_records(encode(STATUS) + b"\0" + self._status)
        self._packages = [self._package(each, files) for each in plan.upgrades]
        self._moving = {each.base for each in self._packages}
        self._others = self._files_of_others()
        self._taken: dict[str, set[str]] = {}

    def run(self) -> tuple[str, ...]:
        """Writes everything; returns what is to be told."""
        unpacked = [self._unpack(each) for each in self._packages]
        owned = {name for done in unpacked for path in done.paths for name in names_of(path)}
        conffiles = [self._conffiles(*each) for each in zip(self._packages, unpacked, strict=True)]
        for package, done, configuration in zip(self._packages, unpacked, conffiles, strict=True):
            stays = {path.lstrip("/") for path, rest in configuration if rest.endswith(" obsolete")}
            self._unpacker.drop(
                [*self._gone(package, done, stays), *self._compiled(package)],
                package.record.package.name,
                lambda path: path in owned or path in self._others,
            )
        newest = max((done.newest for done in unpacked), default=0)
        records: dict[tuple[str, str], str] = {}
        for package, done, configuration in zip(self._packages, unpacked, conffiles, strict=True):
            self._record(package, done, configuration, newest)
            wish = package.record.stanza.get("Status").partition(" ")[0]
            records[package.record.package.name, package.record.package.architecture] = installed_stanza(
                package.deb.control, f"{wish} ok installed", configuration
            )
        self._take_over(newest)
        self._register_alternatives(unpacked, newest)
        self._name_ldconfig(newest)
        self._write_status(records, newest)
        return tuple(self._unpacker.notes)

    def _package(self, upgrade: Upgrade, files: Mapping[str, Path]) -> _Package:
        installed = upgrade.installed
        for record in self._records:
            if (record.package.name, record.package.architecture) == (installed.name, installed.architecture):
                break
        else:
            raise corrupt(f"/{STATUS} does not tell of {installed.name}")
        base = self._state.base(installed)
        return _Package(
            upgrade=upgrade,
            record=record,
            deb=open_deb(upgrade, files),
            base=base,
            listed=self._state.listed(base),
        )

    def _files_of_others(self) -> dict[str, str]:
        """The files of the packages that stay, each with whose it is; directories too."""
        others: dict[str, str] = {}
        for base in self._state.bases():
            if base not in self._moving:
                others.update(dict.fromkeys(self._state.listed(base), base))
        return others

    def _unpack(self, package: _Package) -> Unpacked:
        name = package.record.package.name
        new = Scripts(
            package=name,
            version=package.upgrade.candidate.version,
            texts={each: file.content for each, file in package.deb.files.items() if each in SCRIPTS},
        )
        return self._unpacker.unpack(
            Incoming(
                name=name,
                deb=package.deb,
                conffiles=package.conffiles,
                kept=frozenset(self._state.real(path) for path in kept_by(new)),
                may_take=lambda path: self._may_take(package, path),
            )
        )

    def _may_take(self, package: _Package, path: str) -> bool:
        """A file of another package is taken over where that is what the new one says (Policy 7.6.1)."""
        for name in names_of(path):
            base = self._others.get(name)
            if base is None or self._state.divert(path, package.record.package.name) != path:
                continue
            other = base.partition(":")[0]
            node = self._state.node(path)
            if other == package.record.package.name or (node is not None and node.kind is NodeKind.DIRECTORY):
                continue
            if not self._replaces(package.deb.control, other):
                return False
            self._taken.setdefault(base, set()).add(name)
        return True

    def _replaces(self, control: Stanza, other: str) -> bool:
        versions = [each.package.version for each in self._records if each.package.name == other]
        return any(
            relation.name == other and any(relation.allows(version) for version in versions)
            for group in parse_relations(control.get("Replaces"))
            for relation in group
        )

    def _compiled(self, package: _Package) -> list[str]:
        """What was compiled of the installed version's Python files, where its scripts would take that away.

        They would compile the new ones, too; without that Python does it whenever it starts.
        """
        prerm = self._state.content(f"{INFO}/{package.base}.prerm") or b""
        if b"py3clean" not in prerm and b"__pycache__" not in prerm:
            return []
        found: dict[str, None] = {}
        for path in package.listed:
            if not path.endswith(".py"):
                continue
            folder, _, name = path.rpartition("/")
            cache, stem = f"{folder}/__pycache__", name.removesuffix("py")
            for compiled in self._state.tree.names(self._state.real(cache)):
                if compiled.startswith(stem) and compiled.endswith(".pyc"):
                    found |= {f"{cache}/{compiled}": None, cache: None}
        if found:
            self._unpacker.notes.append(
                f"What was compiled of the Python files of {package.record.package.name} was taken away: "
                "Python compiles them whenever it starts, until somebody lets it write that down."
            )
        return list(found)

    def _gone(self, package: _Package, done: Unpacked, stays: set[str]) -> list[str]:
        """The files that the new version has not, by whatever name."""
        new, name = set(done.paths), package.record.package.name
        return [
            path
            for path in package.listed
            if path
            and path not in stays
            and path not in new
            and self._state.real(self._state.divert(path, name)) not in done.real
        ]

    def _conffiles(self, package: _Package, done: Unpacked) -> list[tuple[str, str]]:
        """The configuration files as the database has them: the new ones, then old ones that still lie there."""
        found = [
            (f"/{path}", done.conffiles[path])
            for each in package.deb.conffiles
            if (path := each.lstrip("/")) in done.conffiles
        ]
        new, before = set(done.paths), package.conffiles
        for path in reversed(package.listed):
            if path in before and path not in new and path not in self._others and self._state.node(path):
                found.append((f"/{path}", f"{before[path]} obsolete"))
                done.paths.append(path)
        return found

    def _record(self, package: _Package, done: Unpacked, conffiles: list[tuple[str, str]], newest: int) -> None:
        """Writes the files of the package's record, and takes away those that the new version has not."""
        base = info_name(package.deb.control)
        for kind, file in sorted(package.deb.files.items()):
            if kind != "control":
                self._put(f"{INFO}/{base}.{kind}", file.content, file.mode, file.mtime)
        self._put(f"{INFO}/{base}.list", _list(done.paths), 0o644, newest)
        for kind in self._state.info_kinds(package.base):
            self._unpacker.remove(f"{INFO}/{package.base}.{kind}")

    def _take_over(self, newest: int) -> None:
        for base, paths in sorted(self._taken.items()):
            left = [path for path in self._state.listed(base) if path not in paths]
            self._put(f"{INFO}/{base}.list", _list(left), 0o644, newest)

    def _register_alternatives(self, unpacked: list[Unpacked], newest: int) -> None:
        owned: set[str] = set()
        for package, done in zip(self._packages, unpacked, strict=True):
            postinst = package.deb.files.get("postinst")
            if postinst is not None and registers(postinst.content):
                owned.update(f"/{name}" for path in done.paths for name in names_of(path))
        for link in list(renewed(self._state.tree, owned, self._unpacker.is_there)):
            if link.target is None:
                self._unpacker.remove(link.path)
            else:
                self._unpacker.link(link.path, link.target, newest)

    def _name_ldconfig(self, newest: int) -> None:
        """The libraries of the cache stay (`check.py`); it tells of the ldconfig that a trigger would have run."""
        cache = self._state.content(CACHE)
        for each in (each.upgrade for each in self._packages if each.record.package.name == WRITER):
            if cache is not None:
                renamed = written_by(cache, each.installed.version, each.candidate.version)
                self._put(CACHE, renamed, 0o644, newest)

    def _write_status(self, records: Mapping[tuple[str, str], str], newest: int) -> None:
        """Dpkg keeps the file's last state beside it; here that is the one before the fix."""
        old = self._status or b""
        self._put(STATUS, encode(replaced(decode(old), records)), 0o644, newest)
        self._put(_STATUS_OLD, old, 0o644, newest)

    def _put(self, path: str, content: bytes, mode: int, mtime: int) -> None:
        self._unpacker.put(self._state.real(path), content, Attributes(mode=mode, mtime=mtime))


def _list(paths: list[str]) -> bytes:
    return encode("".join(f"/{path}\n" if path else "/.\n" for path in paths))
