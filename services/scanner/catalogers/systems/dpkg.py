"""Debian's package database (dpkg(1), "Package states"; deb822(5); deb-src-control(5) for `Source`)."""

from __future__ import annotations

import re
from typing import Final

from services.kernel.model.finding import SourcePackage
from services.scanner.catalogers.interface import Cataloger, Evidence, FoundPackage, Hints, PackageFormat
from services.scanner.catalogers.systems.stanzas import stanzas
from services.scanner.reading.complaints import Complaints, is_word, shown, to_text

_STATUS: Final = "var/lib/dpkg/status"
_PARTS: Final = "var/lib/dpkg/status.d/"
"""Images without dpkg itself keep one file for each package there."""
_FOLDERS: Final = frozenset({"var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/status.d"})

_ABSENT: Final = frozenset({"not-installed", "config-files"})
"""The states in which none of a package's programs are there; in all others they may be, at least in part."""
_STATES: Final = _ABSENT | {
    "half-installed",
    "unpacked",
    "half-configured",
    "triggers-awaited",
    "triggers-pending",
    "installed",
}
_FIELD = re.compile(
    rb"^(Package|Status|Version|Architecture|Source|Maintainer):[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE
)
_SOURCE = re.compile(r"(\S+)(?:\s+\((\S+)\))?")


class DpkgCataloger(Cataloger):
    """Reads `status` and `status.d`."""

    name = "dpkg"
    version = 3
    hints = Hints(folders=(_STATUS,))
    max_bytes = 256 << 20

    def wants(self, path: str) -> bool:
        """The file, and every file of the directory that is no list of checksums."""
        if path == _STATUS:
            return True
        if not path.startswith(_PARTS) or path.endswith(".md5sums"):
            return False
        return "/" not in path[len(_PARTS) :]

    def holds(self, path: str) -> bool:
        """The folder of the parts, and those above the database."""
        return path in _FOLDERS

    def read(self, path: str, content: bytes) -> Evidence:
        """Every record that is not known to be absent; a package without a version is only warned about."""
        complaints = Complaints(path)
        found: dict[FoundPackage, None] = {}
        for number, record in stanzas(content, complaints):
            package = _package(record, number, path == _STATUS, complaints)
            if package is not None:
                found[package] = None
        return Evidence(path=path, cataloger=self.name, packages=tuple(found), warnings=complaints.warnings())


def _package(record: bytes, number: int, with_status: bool, complaints: Complaints) -> FoundPackage | None:
    fields: dict[bytes, str] = {}
    for each in _FIELD.finditer(record):
        if (key := each[1].lower()) not in fields:
            fields[key] = to_text(each[2])
    name, version = fields.get(b"package", ""), fields.get(b"version", "")
    label = f"The record of {name}" if name else f"Record {number}"
    if not is_word(name):
        complaints.broken(label, "has no name that could be one")
        return None
    if with_status and not _is_there(fields.get(b"status", ""), label, complaints):
        return None
    if not is_word(version):
        complaints.broken(label, f"has no version that could be one: {shown(version)!r}")
        return None
    arch = fields.get(b"architecture", "")
    if arch and not is_word(arch):
        complaints.broken(label, f"has no architecture that could be one: {shown(arch)!r}")
        arch = ""
    return FoundPackage(
        format=PackageFormat.DEB,
        name=name,
        version=version,
        arch=arch,
        vendor=shown(fields.get(b"maintainer", "")),
        source=_source(fields.get(b"source", ""), version, label, complaints),
    )


def _is_there(status: str, label: str, complaints: Complaints) -> bool:
    """Doubt is told and speaks for the package: one too many is seen, one too few is not."""
    state = status.rsplit(maxsplit=1)[-1].lower() if status else ""
    if state not in _STATES:
        complaints.broken(
            label, f"has a status that dpkg does not know: {shown(status)!r}; it is taken as installed"
        )
    return state not in _ABSENT


def _source(field: str, version: str, label: str, complaints: Complaints) -> SourcePackage | None:
    """Reads `name` or `name (version)`; the binary's own version counts where the field gives none."""
    if not field:
        return None
    match = _SOURCE.fullmatch(field)
    if match is None or not is_word(match[1]) or (match[2] is not None and not is_word(match[2])):
        complaints.broken(label, f"names a source that cannot be one: {shown(field)!r}")
        return None
    return SourcePackage(name=match[1], version=match[2] or version)
