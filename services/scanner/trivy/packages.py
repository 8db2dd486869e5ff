"""Packages of Trivy's in our words: ecosystem, path, layer, and the system that they are of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from packageurl import PackageURL

from services.kernel.model.finding import Package, SourcePackage
from services.kernel.model.report import Layer
from services.scanner.catalogers.interface import Distribution, PackageFormat
from services.scanner.pipeline.identity import ecosystem_of
from services.scanner.reading.complaints import shown
from services.scanner.trivy import output

SYSTEM: Final = "os-pkgs"
LANGUAGE: Final = "lang-pkgs"

_LONGEST: Final = 512
_LONGEST_PATH: Final = 4096
_ECOSYSTEMS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("python-pkg", "pip", "pipenv", "poetry", "pylock", "uv"), "PyPI"),
    **dict.fromkeys(("conda-pkg", "conda-environment"), "conda"),
    **dict.fromkeys(("node-pkg", "npm", "yarn", "pnpm", "bun"), "npm"),
    **dict.fromkeys(("jar", "pom", "gradle", "sbt"), "Maven"),
    **dict.fromkeys(("gobinary", "gomod"), "Go"),
    **dict.fromkeys(("rustbinary", "cargo"), "crates.io"),
    **dict.fromkeys(("gemspec", "bundler"), "RubyGems"),
    **dict.fromkeys(("composer", "composer-vendor"), "Packagist"),
    **dict.fromkeys(("nuget", "dotnet-core", "packages-props"), "NuGet"),
    "bitnami": "Bitnami",
    "pub": "Pub",
    "hex": "Hex",
    "swift": "SwiftURL",
}
"""Trivy's types of records to OSV's ecosystems."""
_TOGETHER: Final = frozenset({"Python", "Conda", "Ruby", "Node.js", "Java", "Kubernetes"})
"""Targets that are no file: what is in them tells its own."""
_FORMATS: Final = {
    "alpine": PackageFormat.APK,
    "wolfi": PackageFormat.APK,
    "chainguard": PackageFormat.APK,
    "debian": PackageFormat.DEB,
    "ubuntu": PackageFormat.DEB,
}
"""Of families; all others have rpm."""
_IDS: Final = {
    "alma": "almalinux",
    "redhat": "rhel",
    "opensuse.leap": "opensuse-leap",
    "opensuse-leap": "opensuse-leap",
    "opensuse.tumbleweed": "opensuse-tumbleweed",
    "suse linux enterprise server": "sles",
    "cbl-mariner": "mariner",
}
"""Trivy's families to the ids of os-release, where these are not the same."""
_NO_SYSTEM: Final = "none"
"""Family of packages that are there while nothing says what system they are of."""
_AROUND: Final = re.compile(r"^[\s/]+|[\s/]+$")
_INSIDE = re.compile(r"(\.(?:jar|war|ear|par|sar))/", re.IGNORECASE)
_PLATFORM = re.compile(r"(\d+)(?:\.(\d+))?")


def distribution_of(system: output.System | None) -> Distribution | None:
    """Returns the distribution that Trivy recognised; None where it recognised none."""
    family = system.family.lower() if system else ""
    if system is None or family in ("", _NO_SYSTEM):
        return None
    found = _IDS.get(family, family)
    release = _PLATFORM.match(system.name)
    pretty = ""
    if release and found == "opensuse-leap":
        pretty = f"openSUSE Leap {release[0]}"
    elif release and found == "sles":
        pack = f" SP{release[2]}" if release[2] and release[2] != "0" else ""
        pretty = f"SUSE Linux Enterprise Server {release[1]}{pack}"
    elif found == "opensuse-tumbleweed":
        pretty = "openSUSE Tumbleweed"
    return Distribution(id=text(found), version_id=text(system.name), pretty_name=pretty)


class Translator:
    """Turns what one report says of packages into ours."""

    def __init__(self, layers: Sequence[Layer], distribution: Distribution | None) -> None:
        self._digests = {layer.digest: layer.digest for layer in layers}
        self._digests |= {layer.diff_id: layer.digest for layer in reversed(layers)}
        self._distribution = distribution
        system = _FORMATS.get(distribution.id if distribution else "", PackageFormat.RPM)
        self._system = ecosystem_of(system, distribution)

    def ecosystem(self, result: output.Result) -> str:
        """Returns OSV's word for a result's packages; empty where it has none."""
        return self._system if result.class_ == SYSTEM else _ECOSYSTEMS.get(result.type, "")

    def package(self, result: output.Result, found: output.Package) -> Package:
        """Translates one package. Path and layer are empty where Trivy tells none."""
        version = _whole(found.epoch, found.version, found.release)
        source = None
        if found.src_name:
            of_source = _whole(found.src_epoch, found.src_version, found.src_release)
            source = SourcePackage(name=text(found.src_name), version=text(of_source or version))
        if source is not None and (source.name, source.version) == (found.name, version):
            source = None
        return Package(
            purl=purl_of(found.identifier.purl, found.name, version),
            name=text(found.name),
            version=text(version),
            ecosystem=self.ecosystem(result),
            path=self.path(result, found.file_path),
            layer=self.layer(found.layer),
            source=source,
            arch=text(found.arch) if result.class_ == SYSTEM else "",
            module=_module(found.modularitylabel),
        )

    def path(self, result: output.Result, path: str) -> str:
        """Returns where a package's record is: its own file, or the one that the result is about."""
        if result.class_ == SYSTEM:
            return ""
        found = path or ("" if result.target in _TOGETHER else result.target)
        if not found:
            return ""
        return shown("/" + _INSIDE.sub(r"\1:", found.removeprefix("/")), _LONGEST_PATH)

    def layer(self, layer: output.Layer) -> str:
        """Returns the digest of a layer of this image; of what Trivy names and the image has not, nothing."""
        return self._digests.get(layer.digest) or self._digests.get(layer.diff_id, "")


def purl_of(said: str, name: str, version: str) -> str:
    """Returns the package URL that Trivy gives, or else one that says no more than name and version."""
    if said.startswith("pkg:") and len(said) <= _LONGEST_PATH and said.isprintable():
        return said
    # What is nothing but spaces and slashes is no name to a package URL.
    return PackageURL("generic", None, _AROUND.sub("", text(name)) or "unknown", text(version)).to_string()


def text(value: str) -> str:
    """Returns what an image may have said as it may be shown."""
    return shown(value, _LONGEST)


def _whole(epoch: int, version: str, release: str) -> str:
    return (f"{epoch}:" if epoch else "") + version + (f"-{release}" if release else "")


def _module(label: str) -> str:
    """Name and stream of `nodejs:16:8040020210817133458:522a0ee4`."""
    return text(":".join(label.split(":")[:2])) if label else ""
