"""Files that tell of packages which no cataloger reads: seen by name, so that nobody takes the image for clean.

A record of what is installed counts, and so does a list that pins versions. A wish does not, because what came
of it is a record of its own (`requirements.txt`, `pom.xml`, a `package.json` outside `node_modules`), and neither
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
    "package.json": _in(r"node_modules/(?:@[^/]+/)?[^/]+/package\.json", "npm"),
    "package-lock.json": (None, "npm"),
    ".package-lock.json": (None, "npm"),
    "npm-shrinkwrap.json": (None, "npm"),
    "yarn.lock": (None, "npm"),
    "pnpm-lock.yaml": (None, "npm"),
    "bun.lock": (None, "npm"),
    "bun.lockb": (None, "npm"),
    "deno.lock": (None, "npm"),
    ".pnp.cjs": (None, "npm"),
    ".pnp.js": (None, "npm"),
    ".pnp.data.json": (None, "npm"),
    ".modules.yaml": _in(r"node_modules/[^/]+", "npm"),
    "Gemfile.lock": (None, "RubyGems"),
    "gems.locked": (None, "RubyGems"),
    "composer.lock": (None, "Packagist"),
    "installed.json": _in(r"composer/installed\.json", "Packagist"),
    "packages.lock.json": (None, "NuGet"),
    "poetry.lock": (None, "PyPI"),
    "Pipfile.lock": (None, "PyPI"),
    "uv.lock": (None, "PyPI"),
    "pdm.lock": (None, "PyPI"),
    "pylock.toml": (None, "PyPI"),
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
    **dict.fromkeys(("egg", "pex", "pyz"), ((None, "PyPI"),)),
    "gemspec": (_in(r"specifications/(?:default/)?[^/]+", "RubyGems"),),
    "json": (_in(r"[^/]+\.deps\.json", "NuGet"), _in(r"conda-meta/[^/]+", "conda")),
    "nuspec": (_in(r"packages/(?:[^/]+/){1,2}[^/]+", "NuGet"),),
    "reg": (_in(r"\.registry/(?:[^/]+/)?[^/]+", "PEAR"),),
    "spdx": (_at(r"opt/bitnami/(?:.*/)?\.spdx-[^/]+", "Bitnami"),),
}
"""By what follows the last dot, in lower case."""
_FOLDERS: Final[tuple[_Sign, ...]] = (
    _at(r"var/lib/pacman(?:/local(?:/[^/]+)?)?", "pacman"),
    _at(r"(?:var|usr)/lib/opkg", "opkg"),
    _at(r"var/db/pkg(?:/[^/]+){0,2}", "Portage"),
    _at(r"var/db/xbps", "xbps"),
    _at(r"nix(?:/store)?", "Nix"),
    _at(r"gnu(?:/store)?", "Guix"),
    _in(r"node_modules(?:/(?:@[^/]+/)?[^./@][^/]*|/@[^/]+)?", "npm"),
    _in(r"specifications(?:/default)?", "RubyGems"),
    _in(r"vendor/composer", "Packagist"),
    _in(r"conda-meta", "conda"),
    _in(r"\.nuget/packages", "NuGet"),
)
"""Folders that hold such files: as links only, what these lead to has other names."""
_MOOT: Final = {"RECORD": "METADATA"}
"""What says nothing beside a record that is read."""
_STORES: Final = {"nix/store/": "Nix", "gnu/store/": "Guix"}
_STORED: Final = re.compile(r"((?:nix|gnu)/store/)[^/]+/(?:bin|sbin|lib|libexec)/[^/]+", re.DOTALL)
"""A package of theirs is a folder; whatever is in it to be run tells of it."""


class UnreadCataloger(Cataloger):
    """Names the ecosystem that a file's name tells of."""

    name = "unread"
    version = 4
    reads = Reads.NAME
    hints = Hints(names=_NAMES, ends=_ENDS, folders=_STORES)

    def wants(self, path: str) -> bool:
        """Every file that tells of packages and is not read."""
        return bool(ecosystem_of(path))

    def holds(self, path: str) -> bool:
        """Folders of such files."""
        return bool(_ecosystem_in(path))

    def read(self, path: str, content: bytes) -> Evidence:
        """The ecosystem; of which packages is not known."""
        name = path[path.rfind("/") + 1 :]
        return Evidence(
            path=path,
            cataloger=self.name,
            unread=ecosystem_of(path) or _ecosystem_in(path),
            moot_beside=_MOOT.get(name, ""),
        )


def ecosystem_of(path: str) -> str:
    """Returns the ecosystem that a path tells of; empty for nearly all paths."""
    name = path[path.rfind("/") + 1 :]
    sign = _NAMES.get(name)
    if sign is not None:
        pattern, ecosystem = sign
        if pattern is None or pattern.fullmatch(path):
            return ecosystem
    dot = name.rfind(".") + 1
    if dot and (signs := _ENDS.get(name[dot:].lower())):
        for pattern, ecosystem in signs:
            if pattern is None or pattern.fullmatch(path):
                return ecosystem
    stored = _STORED.fullmatch(path)
    return "" if stored is None else _STORES[stored[1]]


def _ecosystem_in(folder: str) -> str:
    return next((ecosystem for pattern, ecosystem in _FOLDERS if pattern and pattern.fullmatch(folder)), "")
