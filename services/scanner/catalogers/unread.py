"""Files that tell of packages which no cataloger reads: seen by name, so that nobody takes the image for clean.

A record of what is installed counts, and so does a list that pins versions. A wish does not, because what came
of it is a record of its own (`pom.xml`, `Gemfile`, a `package.json` outside `node_modules`), and neither
does an archive to install from (`*.whl`, `*.gem`, `*.deb`). Why: decision 0006.

Sources of the names: the documentation of each tool; ecosystems are in the words of the OSV schema, "Defined
Ecosystems", where it has one. A cataloger that comes to read one of them takes its line out of here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from services.scanner.catalogers.interface import Cataloger, Evidence, Hints, Reads

_Sign = tuple[re.Pattern[str] | None, str]
"""How the whole path has to look, if the name is not enough, and the ecosystem."""


def _in(pattern: str, ecosystem: str) -> _Sign:
    return re.compile(rf"(?:.*/)?{pattern}", re.DOTALL), ecosystem


def _at(pattern: str, ecosystem: str) -> _Sign:
    return re.compile(pattern, re.DOTALL), ecosystem


SYSTEM: Final = "the operating system"
"""Files of a distribution; they count where no record of its packages was read, nor which one it is."""
ELSEWHERE: Final = "a system in a folder of the image"
"""Databases of packages that are read at a system's root alone."""
_DATABASES: Final = ("status", "installed", "Packages", "Packages.db", "rpmdb.sqlite")
_BELOW_A_FOLDER: Final = re.compile(
    r"(?!usr/lib/apk/).+/"
    r"(?:var/lib/dpkg/status|lib/apk/db/installed|(?:var/lib|usr/lib/sysimage|usr/share)/rpm/[^/]+)",
    re.DOTALL,
)
_PNP: Final = (".pnp.cjs", ".pnp.js", ".pnp.data.json")
_NAMES: Final[Mapping[str, _Sign]] = {
    # Systems
    "libc.so.6": _in(r"lib[^/]*/(?:[^/]+/)?libc\.so\.6", SYSTEM),
    "busybox": _at(r"(?:usr/)?bin/busybox", SYSTEM),
    "alpine-release": _at(r"etc/alpine-release", SYSTEM),
    "debian_version": _at(r"etc/debian_version", SYSTEM),
    "redhat-release": _at(r"etc/redhat-release", SYSTEM),
    "desc": _at(r"var/lib/pacman/local/[^/]+/desc", "pacman"),
    "status": _at(r"(?:var|usr)/lib/opkg/status", "opkg"),
    "CONTENTS": _at(r"var/db/pkg/[^/]+/[^/]+/CONTENTS", "Portage"),
    "pkgdb-0.38.plist": _at(r"var/db/xbps/[^/]+", "xbps"),
    "INSTALL_RECEIPT.json": _in(r"Cellar/[^/]+/[^/]+/[^/]+", "Homebrew"),
    # Languages
    "bun.lockb": (None, "npm"),
    "deno.lock": (None, "npm"),
    **dict.fromkeys(_PNP, (None, "npm")),
    "RECORD": _in(r"[^/]+\.dist-info/RECORD", "PyPI"),
    "conan.lock": (None, "ConanCenter"),
    "Podfile.lock": (None, "CocoaPods"),
    "Package.resolved": (None, "SwiftURL"),
    "pubspec.lock": (None, "Pub"),
    "mix.lock": (None, "Hex"),
    "stack.yaml.lock": (None, "Hackage"),
    "cabal.project.freeze": (None, "Hackage"),
    "renv.lock": (None, "CRAN"),
    ".packlist": _in(r"auto/(?:.*/)?[^/]+", "CPAN"),
    "rock_manifest": _in(r"rocks(?:-[^/]+)?/[^/]+/[^/]+/[^/]+", "LuaRocks"),
    "DESCRIPTION": _in(r"(?:site-)?library/[^/]+/DESCRIPTION", "CRAN"),
}
_ENDS: Final[Mapping[str, tuple[_Sign, ...]]] = {
    **dict.fromkeys(("pex", "pyz"), ((None, "PyPI"),)),
    "zip": (_in(r"\.yarn/cache/[^/]+", "npm"),),
    "nuspec": (_in(r"packages/(?:[^/]+/){1,2}[^/]+", "NuGet"),),
    "reg": (_in(r"\.registry/(?:[^/]+/)?[^/]+", "PEAR"),),
}
"""By what follows the last dot, in lower case."""
_FOLDERS: Final[tuple[_Sign, ...]] = (
    _at(r"var/lib/pacman(?:/local(?:/[^/]+)?)?", "pacman"),
    _at(r"(?:var|usr)/lib/opkg", "opkg"),
    _at(r"var/db/pkg(?:/[^/]+){0,2}", "Portage"),
    _at(r"var/db/xbps", "xbps"),
    _at(r"nix(?:/store)?", "Nix"),
    _at(r"gnu(?:/store)?", "Guix"),
    _in(r"\.nuget/packages", "NuGet"),
)
"""Folders that hold such files: as links only, what these lead to has other names."""
_MOOT: Final = {"RECORD": "METADATA", "bun.lockb": "node_modules", **dict.fromkeys(_PNP, "yarn.lock")}
"""What says nothing beside a record that is read, or a folder of them."""
_MOOT_IN: Final = {".yarn/cache/": "../../yarn.lock"}
"""The same by the folder that a file is in."""
_STORES: Final = {"nix/store/": "Nix", "gnu/store/": "Guix"}
_STORED: Final = re.compile(r"((?:nix|gnu)/store/)[^/]+/(?:bin|sbin|lib|libexec)/[^/]+", re.DOTALL)
"""A package of theirs is a folder; whatever is in it to be run tells of it."""


class UnreadCataloger(Cataloger):
    """Names the ecosystem that a file's name tells of."""

    name = "unread"
    version = 5
    reads = Reads.NAME
    hints = Hints(names=(*_NAMES, *_DATABASES), ends=_ENDS, folders=_STORES)

    def wants(self, path: str) -> bool:
        """Every file that tells of packages and is not read."""
        return bool(ecosystem_of(path))

    def holds(self, path: str) -> bool:
        """Folders of such files."""
        return bool(_ecosystem_in(path))

    def read(self, path: str, content: bytes) -> Evidence:
        """The ecosystem; of which packages is not known."""
        name = path[path.rfind("/") + 1 :]
        moot = next((beside for folder, beside in _MOOT_IN.items() if f"{folder}{name}" in path), "")
        return Evidence(
            path=path,
            cataloger=self.name,
            unread=ecosystem_of(path) or _ecosystem_in(path),
            moot_beside=_MOOT.get(name, moot),
        )


def ecosystem_of(path: str) -> str:
    """Returns the ecosystem that a path tells of; empty for nearly all paths."""
    name = path[path.rfind("/") + 1 :]
    sign = _NAMES.get(name)
    if sign is not None:
        pattern, ecosystem = sign
        if pattern is None or pattern.fullmatch(path):
            return ecosystem
    if name in _DATABASES and _BELOW_A_FOLDER.fullmatch(path):
        return ELSEWHERE
    dot = name.rfind(".") + 1
    if dot and (signs := _ENDS.get(name[dot:].lower())):
        for pattern, ecosystem in signs:
            if pattern is None or pattern.fullmatch(path):
                return ecosystem
    stored = _STORED.fullmatch(path)
    return "" if stored is None else _STORES[stored[1]]


def _ecosystem_in(folder: str) -> str:
    return next((ecosystem for pattern, ecosystem in _FOLDERS if pattern and pattern.fullmatch(folder)), "")
