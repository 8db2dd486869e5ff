"""Pinned: which packages of lock files count, beside what is known to be installed. Pure. Why: decision 0020."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from services.kernel.versions import sort_key
from services.scanner.advisories.ecosystems import canonical_name, scheme_of
from services.scanner.catalogers.interface import Evidence, FoundPackage, PackageFormat
from services.scanner.pipeline.identity import ecosystem_of

_INSIDE: Final = {PackageFormat.NPM: "node_modules", PackageFormat.COMPOSER: "vendor"}
"""Tools that install into the project, and the folder there; the others install where every project finds it."""

_Files = Mapping[str, tuple[Evidence, ...]]
_Key = tuple[PackageFormat, str, object]


class _Installed(NamedTuple):
    packages: set[_Key]
    projects: set[tuple[PackageFormat, str]]
    """Folders into which some package of the format is installed."""


def without_moot_pins(files: _Files) -> _Files:
    """Returns the files, those that pin packages only with the packages that no other file tells of.

    Where a project has packages installed, its lock says nothing: what it pins beyond them was left out. Where
    they are installed for all, each is looked up by name and version. Of two locks in one folder the first tells.
    """
    if not any(each.pinned for several in files.values() for each in several):
        return files
    installed = _installed(files)
    told: set[tuple[str, _Key]] = set()
    return {
        path: tuple(_left(each, path, installed, told) if each.pinned else each for each in several)
        for path, several in sorted(files.items())
    }


def _installed(files: _Files) -> _Installed:
    found = _Installed(set(), set())
    for path, several in files.items():
        for package in (package for each in several if not each.pinned for package in each.packages):
            found.packages.add(_key(package))
            if package.format in _INSIDE:
                found.projects.update((package.format, home) for home in _homes(path, _INSIDE[package.format]))
    return found


def _homes(path: str, inside: str) -> Iterator[str]:
    """Yields the folders that hold a folder of that name on the way to the path."""
    parts = path.split("/")
    return ("/".join(parts[:place]) for place, part in enumerate(parts) if part == inside)


def _left(evidence: Evidence, path: str, installed: _Installed, told: set[tuple[str, _Key]]) -> Evidence:
    left: list[FoundPackage] = []
    home, _, _ = path.rpartition("/")
    for package in evidence.packages:
        key = _key(package)
        inside = _INSIDE.get(package.format)
        if inside is None:
            moot = key in installed.packages
        else:  # npm keeps a lock of its own in the folder itself
            moot = (package.format, _above(home, inside)) in installed.projects
        if not moot and (home, key) not in told:
            told.add((home, key))
            left.append(package)
    return msgspec.structs.replace(evidence, packages=tuple(left))


def _above(home: str, inside: str) -> str:
    above, _, last = home.rpartition("/")
    return above if last == inside else home


def _key(package: FoundPackage) -> _Key:
    """Takes spellings of one name, and of one version, for the same: 3.2.0 is installed as 3.2."""
    ecosystem = ecosystem_of(package.format, None)
    scheme = scheme_of(ecosystem)
    version = package.version if scheme is None else sort_key(scheme, package.version)
    return package.format, canonical_name(ecosystem, package.name), version
