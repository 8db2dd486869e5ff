"""OSV's ecosystems: whose versions sort how, whose names are written how (OSV schema, "Defined Ecosystems")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

_SCHEMES: Final = {
    "Debian": "dpkg",
    "Ubuntu": "dpkg",
    "Alpine": "apk",
    "Chainguard": "apk",
    "Wolfi": "apk",
    "PyPI": "pep440",
    "npm": "npm",
    "Maven": "maven",
    "Go": "go",
    "crates.io": "cargo",
    "RubyGems": "gem",
    "Packagist": "packagist",
    "NuGet": "nuget",
    "Bitnami": "semver",
    "AlmaLinux": "rpm",
    "Azure Linux": "rpm",
    "Mageia": "rpm",
    "Photon OS": "rpm",
    "Red Hat": "rpm",
    "Rocky Linux": "rpm",
    "SUSE": "rpm",
    "openEuler": "rpm",
    "openSUSE": "rpm",
}
_SYSTEMS: Final = frozenset(
    {
        "AlmaLinux",
        "Alpine",
        "Azure Linux",
        "Chainguard",
        "Debian",
        "Mageia",
        "Photon OS",
        "Red Hat",
        "Rocky Linux",
        "SUSE",
        "Ubuntu",
        "Wolfi",
        "openEuler",
        "openSUSE",
    }
)
_BINARIES: Final = frozenset({"AlmaLinux", "Red Hat"})
"""Systems whose records name binary packages; those of all others name sources. Of AlmaLinux the schema says
otherwise, its records name `openssl-libs` all the same (AlmaLinux/osv-database)."""
_RELATED: Final = frozenset({"AlmaLinux", "Mageia", "Photon OS", "Rocky Linux", "SUSE", "openEuler", "openSUSE"})
"""Systems whose advisories name the CVEs that they answer in `related`, all of them or the older ones."""
_NO_VULNERABILITIES = re.compile(r"AL[BE]A-|(?:RH|RL)[BE]A-|SUSE-[RFO]U-")
"""Ids of bug fixes and enhancements."""
_SERVICE_PACK = re.compile(r" [0-9]+(?: SP[0-9]+)?$")
_SEPARATORS = re.compile(r"[-_.]+")
_CASELESS: Final = frozenset({"NuGet", "Packagist"})


@lru_cache(maxsize=1024)
def family(ecosystem: str) -> str:
    """Returns the ecosystem without its release: `Debian` of `Debian:12`."""
    return ecosystem.partition(":")[0]


def scheme_of(ecosystem: str) -> str | None:
    """Returns the version scheme; None where Drydock cannot compare that ecosystem's versions."""
    return _SCHEMES.get(family(ecosystem))


def is_system(ecosystem: str) -> bool:
    """Tells whether its packages belong to an operating system."""
    return family(ecosystem) in _SYSTEMS


def candidates(ecosystem: str, known: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Returns those of the known ecosystems whose records speak of a package's, in groups; none is empty.

    Within a group all count. An earlier group's word on an id stands against a later one's: that of Ubuntu Pro
    where it is on, that of the stream which is kept beside a minor release of Red Hat. A record without a release,
    plain `Debian`, speaks of every release, in the last group.
    """
    name, _, release = ecosystem.partition(":")
    groups: list[Callable[[str], bool]] = [_same(ecosystem)]
    if name == "Ubuntu" and release.startswith("Pro:"):
        groups.append(_same(f"Ubuntu:{release.removeprefix('Pro:')}"))
    elif name == "Red Hat":
        product, _, number = release.partition(":")
        groups = [_part_of(f"{ecosystem}:")]
        if product != "enterprise_linux":
            groups.append(_part_of(f"Red Hat:enterprise_linux:{number.partition('.')[0]}:"))
    elif name == "SUSE":
        groups = [_sold_with(ecosystem)]
    elif name == "Azure Linux":
        groups = [lambda other: other in (ecosystem, f"{ecosystem}.0")]
    last = groups.pop()
    groups.append(lambda other: other == name or last(other))
    sorted_known = sorted(known)
    found = (tuple(filter(speaks, sorted_known)) for speaks in groups)
    return tuple(group for group in found if group)


def _same(ecosystem: str) -> Callable[[str], bool]:
    return lambda other: other == ecosystem


def _part_of(release: str) -> Callable[[str], bool]:
    """Parts of a release of Red Hat, `…:9::appstream`, and minor ones, `…:10.1`, where these are told apart."""
    exact = release.rstrip(":")
    return lambda other: other == exact or other.startswith((release, f"{exact}."))


def _sold_with(ecosystem: str) -> Callable[[str], bool]:
    """SUSE's server consists of modules, ecosystems of their own with the same number, and of what outlasts it."""
    _, _, product = ecosystem.partition(":")
    match = _SERVICE_PACK.search(product)
    if match is None:
        return _same(ecosystem)
    number = re.escape(match[0])
    pattern = re.compile(rf"SUSE:Linux Enterprise (?:Server|Module for .+){number}(?:-LTSS)?")
    return lambda other: other == ecosystem or pattern.fullmatch(other) is not None


def names_binaries(ecosystem: str) -> bool:
    """Tells whether its records name binary packages, where others name sources."""
    return family(ecosystem) in _BINARIES


def answers_related(ecosystem: str) -> bool:
    """Tells whether the CVEs in `related` are what an advisory of it answers."""
    return family(ecosystem) in _RELATED


def is_advisory(ecosystem: str, identifier: str, *, answers: bool) -> bool:
    """Tells whether a record is of vulnerabilities: a bug fix is where it `answers` ids, AlmaLinux' never."""
    if _NO_VULNERABILITIES.match(identifier) is None:
        return True
    return answers and family(ecosystem) != "AlmaLinux"


def canonical_name(ecosystem: str, name: str) -> str:
    """Returns the one spelling of a package's name.

    Python's follow PEP 503, NuGet and Packagist do not tell large from small letters, others are as they stand.
    """
    if ecosystem == "PyPI":
        return _SEPARATORS.sub("-", name).lower()
    return name.lower() if ecosystem in _CASELESS else name
