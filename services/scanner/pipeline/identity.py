"""How a found package is named in the world: its ecosystem in OSV's words and its package URL.

Sources: OSV schema, "Defined Ecosystems"; package-url/purl-spec, types deb, apk and pypi.
"""

from __future__ import annotations

import re
from typing import Final

from packageurl import PackageURL

from services.scanner.advisories.ecosystems import canonical_name
from services.scanner.catalogers.interface import Distribution, FoundPackage, PackageFormat

_PYPI: Final = "PyPI"
_DEBIAN = re.compile(r"(\d+)(?:\.\d+)*")
_UBUNTU = re.compile(r"(\d\d)\.(\d\d)(?:\.\d+)?")
_ALPINE = re.compile(r"(\d+)\.(\d+)(?:\.\d+)?")
_ROLLING: Final = {"wolfi": "Wolfi", "chainguard": "Chainguard"}


def ecosystem_of(kind: PackageFormat, distribution: Distribution | None) -> str:
    """Returns OSV's word, as in `Debian:12`; empty where OSV has none for the distribution or its release."""
    if kind is PackageFormat.PYPI:
        return _PYPI
    if distribution is None:
        return ""
    return _deb(distribution) if kind is PackageFormat.DEB else _apk(distribution)


def purl_of(package: FoundPackage, distribution: Distribution | None) -> str:
    """Returns the package URL; without a distribution it has no namespace."""
    if package.format is PackageFormat.PYPI:
        return PackageURL("pypi", None, canonical_name(_PYPI, package.name), package.version).to_string()
    qualifiers = {"arch": package.arch} if package.arch else {}
    if distribution is not None:
        release = distribution.version_id or distribution.codename
        qualifiers["distro"] = f"{distribution.id}-{release}" if release else distribution.id
    namespace = None if distribution is None else distribution.id
    return PackageURL(package.format.value, namespace, package.name, package.version, qualifiers).to_string()


def _deb(distribution: Distribution) -> str:
    if distribution.id == "debian" and (match := _DEBIAN.fullmatch(distribution.version_id)):
        return f"Debian:{match[1]}"
    if distribution.id == "ubuntu" and (match := _UBUNTU.fullmatch(distribution.version_id)):
        year, month = match[1], match[2]
        # Long-term releases appear in April of even years.
        return f"Ubuntu:{year}.{month}" + (":LTS" if month == "04" and int(year) % 2 == 0 else "")
    return ""


def _apk(distribution: Distribution) -> str:
    if distribution.id == "alpine" and (match := _ALPINE.fullmatch(distribution.version_id)):
        return f"Alpine:v{match[1]}.{match[2]}"
    return _ROLLING.get(distribution.id, "")
