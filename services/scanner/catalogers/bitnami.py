"""What Bitnami put into its images, as it tells in SPDX (SPDX 2.3, JSON and tag:value; purl type `bitnami`)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from packageurl import PackageURL

from services.kernel.model.finding import SourcePackage
from services.scanner.catalogers.interface import Cataloger, Evidence, FoundPackage, Hints, PackageFormat
from services.scanner.catalogers.records import Record, is_record
from services.scanner.reading.complaints import Complaints, is_word, to_text
from services.scanner.reading.documents import Unreadable, read_json

_PLACE = re.compile(r"opt/bitnami/(?:.*/)?\.spdx-[^/]+\.spdx", re.DOTALL)
_TAG = re.compile(rb"^ExternalRef:\s*PACKAGE[-_]MANAGER\s+purl\s+(\S+)", re.MULTILINE)
_REVISION = re.compile(r"-\d+$")


class _Reference(msgspec.Struct):
    kind: str = msgspec.field(name="referenceType", default="")
    locator: str = msgspec.field(name="referenceLocator", default="")


class _Package(msgspec.Struct):
    references: list[_Reference] = msgspec.field(name="externalRefs", default_factory=list)


class _Document(msgspec.Struct):
    packages: list[_Package]


class BitnamiCataloger(Cataloger):
    """Reads packages by their package URLs; what Bitnami lists of other kinds has records of its own."""

    name = "bitnami"
    version = 1
    hints = Hints(folders=("opt/bitnami/",))
    max_bytes = 16 << 20

    def wants(self, path: str) -> bool:
        """The document of one component."""
        return path.endswith(".spdx") and _PLACE.fullmatch(path) is not None

    def read(self, path: str, content: bytes) -> Evidence:
        """Advisories speak of versions without Bitnami's own revision, so that is what a package is judged by."""
        complaints = Complaints(path)
        found: dict[FoundPackage, None] = {}
        try:
            for locator in _locators(content):
                package = _package(locator, complaints)
                if package is not None:
                    found[package] = None
        except Unreadable as error:
            complaints.broken("The document", error.why)
        return Evidence(path=path, cataloger=self.name, packages=tuple(found), warnings=complaints.warnings())


def _locators(content: bytes) -> Iterator[str]:
    if not content.lstrip().startswith(b"{"):
        tags = _TAG.findall(content)
        if not tags:
            raise Unreadable("names no package")
        yield from map(to_text, tags)
        return
    for package in read_json(content, _Document).packages:
        yield from (each.locator for each in package.references if each.kind == "purl")


def _package(locator: str, complaints: Complaints) -> FoundPackage | None:
    try:
        purl = PackageURL.from_string(locator)
    except ValueError:
        complaints.broken("A package URL", f"is none: {locator[:80]!r}")
        return None
    if purl.type != PackageFormat.BITNAMI.value:
        return None
    name, version = purl.name, purl.version or ""
    if not is_record(Record(name, version), PackageFormat.BITNAMI, complaints):
        return None
    upstream = _REVISION.sub("", version)
    return FoundPackage(
        format=PackageFormat.BITNAMI,
        name=name,
        version=version,
        arch=_arch(purl),
        source=SourcePackage(name=name, version=upstream),
    )


def _arch(purl: PackageURL) -> str:
    arch = dict(purl.qualifiers).get("arch", "")
    return arch if is_word(arch) else ""
