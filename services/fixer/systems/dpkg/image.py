"""What dpkg keeps about an image besides its packages: owners of files, diversions, overrides, users, options."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from services.fixer.image.node import Attributes, Node, Tree
from services.fixer.plan.packages import InstalledPackage, SystemPlan
from services.fixer.systems.accounts import GROUPS, USERS, ids_of
from services.fixer.systems.dpkg.alternatives import ALTERNATIVES
from services.fixer.systems.dpkg.contents import content_of, text_of
from services.fixer.systems.dpkg.control import Stanza, corrupt
from services.fixer.systems.dpkg.deb import Entry
from services.fixer.systems.dpkg.excludes import Excludes
from services.fixer.systems.dpkg.facts import DIVERSIONS
from services.fixer.systems.dpkg.ldcache import CACHE
from services.fixer.systems.dpkg.status import CONFFILES, conffiles_of
from services.fixer.systems.dpkg.survey import DATABASE, INFO, PARTS, STATUS

_OVERRIDES: Final = f"{DATABASE}/statoverride"
_OPTIONS: Final = "etc/dpkg/dpkg.cfg"
_LOCAL: Final = ":"
"""Who diverts where no package does."""
_SPLIT: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32")
"""Directories that are links into `usr` where it is merged; lists of files have either name."""


def reads(path: str, plan: SystemPlan) -> bool:
    """Tells whether the content of the image's file at a real path is needed to build."""
    folder, _, name = path.rpartition("/")
    if folder == INFO:
        return name.endswith(".list") or name in {
            f"{base}.prerm" for each in plan.upgrades for base in info_names(each.installed)
        }
    if folder == PARTS:
        return any(name in (part, f"{part}.md5sums") for part in _parts(plan))
    if path in (STATUS, DIVERSIONS, _OVERRIDES, _OPTIONS, USERS, GROUPS, CACHE) or folder in (
        f"{_OPTIONS}.d",
        ALTERNATIVES,
    ):
        return True
    return any(f"/{path}" in conffiles_of(each.candidate.fields.get(CONFFILES, "")) for each in plan.upgrades)


def info_names(package: InstalledPackage) -> tuple[str, str]:
    """Returns the two names that the files of a package's record can begin with."""
    return f"{package.name}:{package.architecture}", package.name


def info_name(control: Stanza) -> str:
    """Returns what the names of the files of a package's record begin with."""
    name = control.get("Package")
    return f"{name}:{control.get('Architecture')}" if control.get("Multi-Arch") == "same" else name


class ImageState:
    """Reads an image's state as far as it is asked for."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.excludes = Excludes(self._options())
        self.divert = Diversions(self.text(DIVERSIONS))
        self._overrides = _overrides(self.text(_OVERRIDES))
        self._uids, self._gids = (ids_of(self.text(each)) for each in (USERS, GROUPS))

    def text(self, path: str) -> str:
        """Returns a file's text, empty where there is none."""
        return text_of(self.tree, path)

    def content(self, path: str) -> bytes | None:
        """Returns a file's content; None where there is no file, or nobody asked for its content."""
        return content_of(self.tree, path)

    def real(self, path: str) -> str:
        """Returns where a path leads, its last part not followed."""
        real = self.tree.real_path(path)
        if real is None:
            raise corrupt(f"links on the way to /{path[:200]} go in a circle")
        return real

    def node(self, path: str) -> Node | None:
        """Returns what lies at a path."""
        return self.tree.get(self.real(path))

    def base(self, package: InstalledPackage) -> str:
        """Returns what the names of an installed package's files begin with.

        Raises:
            FixFailure: DATABASE_CORRUPT: there is no list of its files.
        """
        for each in info_names(package):
            if self.tree.get(f"{INFO}/{each}.list") is not None:
                return each
        raise corrupt(f"there is no list of the files of {package.name}")

    def listed(self, base: str) -> list[str]:
        """Returns the files of a package, as paths without leading slash, in their order; the root is empty."""
        lines = self.text(f"{INFO}/{base}.list").splitlines()
        return ["" if line == "/." else line.lstrip("/") for line in lines if line.startswith("/")]

    def bases(self) -> Iterator[str]:
        """Yields what the files of all packages' records begin with."""
        for name in self.tree.names(INFO):
            if name.endswith(".list"):
                yield name.removesuffix(".list")

    def info_kinds(self, base: str) -> list[str]:
        """Returns what the names of the files of a package's record end with."""
        kinds = (name.removeprefix(f"{base}.") for name in self.tree.names(INFO) if name.startswith(f"{base}."))
        return [kind for kind in kinds if "." not in kind and ":" not in kind]

    def attributes(self, entry: Entry, real: str, kept: frozenset[str]) -> Attributes:
        """Returns what a package's new file gets: its own, an override's, or those that the image has."""
        if real in kept and (node := self.tree.get(real)) is not None:
            return Attributes(
                mode=node.attributes.mode,
                uid=node.attributes.uid,
                gid=node.attributes.gid,
                mtime=entry.mtime,
                xattrs=node.attributes.xattrs,
            )
        mode = entry.mode
        uid = self._uids.get(entry.user, entry.uid)
        gid = self._gids.get(entry.group, entry.gid)
        if (override := self._overrides.get(entry.path)) is not None:
            user, group, mode = override
            uid, gid = self._id(user, self._uids), self._id(group, self._gids)
        return Attributes(mode=mode, uid=uid, gid=gid, mtime=entry.mtime)

    def _id(self, name: str, ids: Mapping[str, int]) -> int:
        if re.fullmatch("#[0-9]{1,10}", name):
            return int(name[1:])
        if name not in ids:
            raise corrupt(f"/{_OVERRIDES} tells of {name[:80]!r}, whom the image does not know")
        return ids[name]

    def _options(self) -> Iterator[bytes]:
        parts = [f"{_OPTIONS}.d/{name}" for name in self.tree.names(f"{_OPTIONS}.d")]
        for path in (*parts, _OPTIONS):
            if (content := self.content(path)) is not None:
                yield content


class Diversions:
    """Files that one package moved aside, so that others' files of that name go elsewhere (dpkg-divert(1))."""

    def __init__(self, text: str) -> None:
        lines = text.splitlines()
        if len(lines) % 3:
            raise corrupt(f"/{DIVERSIONS} has not three lines for each diversion")
        self._moved: dict[str, tuple[str, str]] = {}
        for source, target, package in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
            self._moved[source.lstrip("/")] = (target.lstrip("/"), package)

    def __call__(self, path: str, package: str) -> str:
        """Returns where a package's file of that name really goes."""
        target, by = self._moved.get(path, (path, package))
        return path if by == package and by != _LOCAL else target


def names_of(path: str) -> tuple[str, ...]:
    """Returns the names that a file can have in a list of files, where `usr` is merged."""
    head, slash, rest = path.partition("/")
    if head in _SPLIT:
        return path, f"usr/{path}"
    if head == "usr" and slash and rest.partition("/")[0] in _SPLIT:
        return path, rest
    return (path,)


def _overrides(text: str) -> dict[str, tuple[str, str, int]]:
    found: dict[str, tuple[str, str, int]] = {}
    for line in text.splitlines():
        words = line.split(" ", 3)
        if len(words) != 4 or not words[2] or any(digit not in "01234567" for digit in words[2]):
            raise corrupt(f"a line of /{_OVERRIDES} cannot be read: {line[:80]!r}")
        found[words[3].lstrip("/")] = (words[0], words[1], int(words[2], 8) & 0o7777)
    return found


def _parts(plan: SystemPlan) -> set[str]:
    return {each.installed.path.removeprefix(f"{PARTS}/") for each in plan.upgrades}
