"""Inventories to match: packages that advisories speak of, each without the newest fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Final

from services.kernel.model.finding import Package
from services.scanner.advisories.database import Database, KnownPackage
from tests.builders.advisories import LAYER, debian, rpm

_SOURCES: Final = ("openssl", "curl", "glibc", "perl", "systemd", "gnutls28", "libxml2", "sqlite3", "tar", "zlib")


def new_debian(database: Database) -> Sequence[Package]:
    """400 packages of ten sources, all newer than every fix: what remains is what nobody mended."""
    return _debian_at("99-1")


def old_debian(database: Database) -> Sequence[Package]:
    """The same, as old as can be."""
    return _debian_at("1-1")


def alma(database: Database) -> Sequence[Package]:
    """400 packages of AlmaLinux 9, modular ones among them."""
    return [
        rpm(known.name, fitting_version(known), ecosystem=known.ecosystem)
        for known in spread(database, "AlmaLinux:9", 400)
    ]


def languages(database: Database) -> Sequence[Package]:
    """200 packages of npm and 200 of PyPI."""
    return [*of_language(database, "npm", 200), *of_language(database, "PyPI", 200)]


def mixed(database: Database) -> Sequence[Package]:
    """A Debian image, two packages of each of 150 sources, with 50 packages of npm and 50 of PyPI."""
    return [
        *(
            debian(f"{known.name}-{number}", fitting_version(known), source=known.name)
            for known in spread(database, "Debian:12", 150)
            for number in range(2)
        ),
        *of_language(database, "npm", 50),
        *of_language(database, "PyPI", 50),
    ]


INVENTORIES: Final[Mapping[str, Callable[[Database], Sequence[Package]]]] = MappingProxyType(
    {
        "new Debian": new_debian,
        "old Debian": old_debian,
        "AlmaLinux": alma,
        "npm and PyPI": languages,
        "mixed": mixed,
    }
)


def _debian_at(version: str) -> Sequence[Package]:
    return [debian(f"{source}-{number}", version, source=source) for number in range(40) for source in _SOURCES]


def of_language(database: Database, ecosystem: str, count: int) -> Iterator[Package]:
    """So many packages of a language."""
    for known in spread(database, ecosystem, count):
        version = fitting_version(known)
        yield Package(
            purl=f"pkg:{ecosystem.lower()}/{known.name}@{version}",
            name=known.name,
            version=version,
            ecosystem=ecosystem,
            path=f"/app/{known.name}",
            layer=LAYER,
        )


def spread(database: Database, ecosystem: str, count: int) -> Sequence[KnownPackage]:
    """Takes every so many of the packages that are known, which are sorted by name."""
    known = [each for each in database.packages() if each.ecosystem == ecosystem]
    assert len(known) >= count, f"{ecosystem} has {len(known)} packages"
    return list(islice(known, 0, None, len(known) // count))[:count]


def fitting_version(known: KnownPackage) -> str:
    """A version without the newest fix.

    The highest fixes come first, several vulnerabilities may share one: the next is taken, if there is any.
    """
    fixes = list(dict.fromkeys(each.ceiling for each in known.vulnerabilities if each.ceiling))
    return fixes[:2][-1] if fixes else "1"
