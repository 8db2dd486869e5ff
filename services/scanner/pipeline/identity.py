"""How a found package is named in the world: its ecosystem in OSV's words and its package URL.

Sources: OSV schema, "Defined Ecosystems"; package-url/purl-spec, "Package URL Type definitions".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from packageurl import PackageURL

from services.scanner.advisories.ecosystems import canonical_name
from services.scanner.catalogers.interface import Distribution, FoundPackage, PackageFormat

_LANGUAGES: Final = {
    PackageFormat.PYPI: "PyPI",
    PackageFormat.NPM: "npm",
    PackageFormat.MAVEN: "Maven",
    PackageFormat.GO: "Go",
    PackageFormat.CARGO: "crates.io",
    PackageFormat.GEM: "RubyGems",
    PackageFormat.COMPOSER: "Packagist",
    PackageFormat.NUGET: "NuGet",
    PackageFormat.BITNAMI: "Bitnami",
}
_SEPARATORS: Final = {PackageFormat.MAVEN: ":"}
"""What parts a namespace from a name: elsewhere a slash, the last one of several."""
_DEBIAN = re.compile(r"(\d+)(?:\.\d+)*")
_UBUNTU = re.compile(r"(\d\d)\.(\d\d)(?:\.\d+)?")
_ALPINE = re.compile(r"(\d+)\.(\d+)(?:\.\d+)?")
_ROLLING: Final = {"wolfi": "Wolfi", "chainguard": "Chainguard"}


def ecosystem_of(kind: PackageFormat, distribution: Distribution | None) -> str:
    """Returns OSV's word, as in `Debian:12`; empty where OSV has none for the distribution or its release."""
    if kind in _LANGUAGES:
        return _LANGUAGES[kind]
    if distribution is None:
        return ""
    return _SYSTEMS[kind](distribution) if kind in _SYSTEMS else ""


def purl_of(package: FoundPackage, distribution: Distribution | None) -> str:
    """Returns the package URL; a system's package has its distribution as namespace, where that is known."""
    kind = package.format
    if kind in _SYSTEMS:
        return _purl_of_system(package, distribution)
    name = canonical_name("PyPI", package.name) if kind is PackageFormat.PYPI else package.name
    namespace, _, last = name.rpartition(_SEPARATORS.get(kind, "/"))
    if not last:  # a name that no package has, but a record may
        namespace, last = "", name
    return PackageURL(kind.value, namespace or None, last, package.version).to_string()


def _purl_of_system(package: FoundPackage, distribution: Distribution | None) -> str:
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


def _rpm(distribution: Distribution) -> str:
    return ""


_SYSTEMS: Final[Mapping[PackageFormat, Callable[[Distribution], str]]] = {
    PackageFormat.DEB: _deb,
    PackageFormat.APK: _apk,
    PackageFormat.RPM: _rpm,
}
