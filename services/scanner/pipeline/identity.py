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
    PackageFormat.CONDA: "conda",
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
_NUMBERS = re.compile(r"\d+(?:\.\d+)*")
_MARKETED = re.compile(r"(openSUSE|SUSE) ([A-Za-z0-9 .-]{1,80})")
_EULER = re.compile(r"openEuler (\d\d\.\d\d) ?\((LTS(?:-SP\d+)?)\)")
_KEPT = re.compile(r"rhel-(\d+)-for-[a-z0-9_]+-[a-z-]+-(eus|aus|tus|e4s)-rpms")
_OF_RED_HAT = re.compile(r"(?:rhel-\d+-|ubi-\d+-|codeready-builder-for-rhel-\d+-)[\w.-]+")
_NAMESPACES: Final = {
    "opensuse-leap": "opensuse",
    "opensuse-tumbleweed": "opensuse",
    "rhel": "redhat",
    "sles": "suse",
}
"""Of package URLs, where it is not the distribution's id."""
_ROLLING: Final = {"wolfi": "Wolfi", "chainguard": "Chainguard"}


def ecosystem_of(kind: PackageFormat, distribution: Distribution | None) -> str:
    """Returns OSV's word, as in `Debian:12`; empty where OSV has none for the distribution or its release."""
    if kind in _LANGUAGES:
        return _LANGUAGES[kind]
    if distribution is None:
        return ""
    return _SYSTEMS[kind](distribution) if kind in _SYSTEMS else ""


def foreign_channels(distribution: Distribution) -> tuple[str, ...]:
    """Returns the content sets of Red Hat's other products, which are ecosystems that no release names."""
    if distribution.id != "rhel":
        return ()
    return tuple(channel for channel in distribution.channels if not _OF_RED_HAT.fullmatch(channel))


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
    namespace = None if distribution is None else _NAMESPACES.get(distribution.id, distribution.id)
    version = package.version
    if package.format is PackageFormat.RPM:
        epoch, colon, rest = version.partition(":")
        if colon and epoch.isdecimal():
            qualifiers["epoch"], version = epoch, rest
    return PackageURL(package.format.value, namespace, package.name, version, qualifiers).to_string()


def _deb(distribution: Distribution) -> str:
    if distribution.id == "debian" and (match := _DEBIAN.fullmatch(distribution.version_id)):
        return f"Debian:{match[1]}"
    if distribution.id == "ubuntu" and (match := _UBUNTU.fullmatch(distribution.version_id)):
        year, month = match[1], match[2]
        # Long-term releases appear in April of even years, and only these have Pro.
        is_long = month == "04" and int(year) % 2 == 0
        pro = "Pro:" if is_long and distribution.has_pro else ""
        return f"Ubuntu:{pro}{year}.{month}" + (":LTS" if is_long else "")
    return ""


def _apk(distribution: Distribution) -> str:
    if distribution.id == "alpine" and (match := _ALPINE.fullmatch(distribution.version_id)):
        return f"Alpine:v{match[1]}.{match[2]}"
    return _ROLLING.get(distribution.id, "")


def _rpm(distribution: Distribution) -> str:
    """The release, in OSV's words; `ecosystems.candidates` tells which of its parts records may name.

    OSV knows nothing of Amazon, Fedora and Oracle.
    """
    named = _RPM.get(distribution.id)
    return named(distribution) if named is not None and _NUMBERS.fullmatch(distribution.version_id) else ""


def _red_hat(distribution: Distribution) -> str:
    """The major release; streams that are kept beside a minor one have content sets of their own."""
    release, major = distribution.version_id, _major(distribution)
    for channel in distribution.channels:
        kept = _KEPT.fullmatch(channel)
        if kept is not None and kept[1] == major:
            return f"Red Hat:rhel_{kept[2]}:{release}"
    return f"Red Hat:enterprise_linux:{major}"


def _centos(distribution: Distribution) -> str:
    """CentOS Linux rebuilt Red Hat's packages and has no advisories of its own; Stream, ahead of them, none."""
    return "" if distribution.is_stream else f"Red Hat:enterprise_linux:{_major(distribution)}"


def _marketed(distribution: Distribution) -> str:
    """SUSE's ecosystems have the names that it sells under."""
    match = _MARKETED.fullmatch(distribution.pretty_name)
    return f"{match[1]}:{match[2].strip()}" if match else ""


def _euler(distribution: Distribution) -> str:
    match = _EULER.fullmatch(distribution.pretty_name)
    return f"openEuler:{match[1]}-{match[2]}" if match else ""


def _by_major(family: str) -> Callable[[Distribution], str]:
    return lambda distribution: f"{family}:{_major(distribution)}"


def _major(distribution: Distribution) -> str:
    return distribution.version_id.partition(".")[0]


_RPM: Final[Mapping[str, Callable[[Distribution], str]]] = {
    "almalinux": _by_major("AlmaLinux"),
    "azurelinux": _by_major("Azure Linux"),
    "centos": _centos,
    "mageia": _by_major("Mageia"),
    "mariner": _by_major("Azure Linux"),
    "openeuler": _euler,
    "opensuse-leap": _marketed,
    "opensuse-tumbleweed": _marketed,
    "photon": lambda distribution: f"Photon OS:{distribution.version_id}",
    "rhel": _red_hat,
    "rocky": _by_major("Rocky Linux"),
    "sles": _marketed,
}
_SYSTEMS: Final[Mapping[PackageFormat, Callable[[Distribution], str]]] = {
    PackageFormat.DEB: _deb,
    PackageFormat.APK: _apk,
    PackageFormat.RPM: _rpm,
}
