"""OSV's ecosystems: whose versions sort how, whose names are written how (OSV schema, "Defined Ecosystems")."""

from __future__ import annotations

import re
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
_SEPARATORS = re.compile(r"[-_.]+")
_CASELESS: Final = frozenset({"NuGet", "Packagist"})


def family(ecosystem: str) -> str:
    """Returns the ecosystem without its release: `Debian` of `Debian:12`."""
    return ecosystem.partition(":")[0]


def scheme_of(ecosystem: str) -> str | None:
    """Returns the version scheme; None where Drydock cannot compare that ecosystem's versions."""
    return _SCHEMES.get(family(ecosystem))


def is_system(ecosystem: str) -> bool:
    """Tells whether its packages belong to an operating system."""
    return family(ecosystem) in _SYSTEMS


def canonical_name(ecosystem: str, name: str) -> str:
    """Returns the one spelling of a package's name.

    Python's follow PEP 503, NuGet and Packagist do not tell large from small letters, others are as they stand.
    """
    if ecosystem == "PyPI":
        return _SEPARATORS.sub("-", name).lower()
    return name.lower() if ecosystem in _CASELESS else name
