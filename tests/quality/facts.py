"""What programs say of an image, in words that can be held against each other."""

from __future__ import annotations

import dataclasses
import re

from packageurl import PackageURL

_SEPARATORS = re.compile(r"[-_.]+")
_CASELESS = frozenset({"composer", "nuget"})


@dataclasses.dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Fact:
    """A package that is there, or a vulnerability that it has."""

    image: str
    type: str
    """Of the package URL: `deb`, `pypi`, `maven` and so on."""
    name: str
    version: str
    what: str
    """Of a package the file that says so, of a vulnerability its id."""

    def __str__(self) -> str:
        return f"{self.image}: {self.type} {self.name} {self.version} {self.what}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """All that one program says of one image."""

    packages: frozenset[Fact] = frozenset()
    findings: frozenset[Fact] = frozenset()
    fixes: dict[Fact, str] = dataclasses.field(default_factory=dict)
    """The version that a finding says to go to; without those that have none."""
    warnings: tuple[str, ...] = ()


def fact_of(image: str, purl: str, version: str, what: str) -> Fact:
    """Returns the fact in the one spelling; the package URL tells type and name, but not the version."""
    url = PackageURL.from_string(purl)
    spaced = url.namespace and url.type not in ("deb", "apk", "rpm")
    name = f"{url.namespace}/{url.name}" if spaced else url.name
    if url.type == "golang" and url.subpath:
        name = f"{name}/{url.subpath}"  # Syft puts there what is behind the third slash of a module's path
    return Fact(
        image=image, type=url.type, name=_plain(url.type, name), version=_bare(url.type, version), what=what
    )


def _plain(kind: str, name: str) -> str:
    if kind == "pypi":
        return _SEPARATORS.sub("-", name).lower()
    return name.lower() if kind in _CASELESS else name


def _bare(kind: str, version: str) -> str:
    """Go's versions have a `v` or `go` for some programs; an rpm's epoch 0 is told or not."""
    if kind == "golang":
        return version.removeprefix("go" if version.startswith("go") else "v")
    return version.removeprefix("0:") if kind == "rpm" else version
