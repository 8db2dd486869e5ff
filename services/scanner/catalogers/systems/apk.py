"""Alpine's package database (apk-package(5); the installed database of apk-tools 2, one record per package)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from services.kernel.model.finding import SourcePackage
from services.scanner.catalogers.interface import (
    Cataloger,
    Evidence,
    FoundPackage,
    Hints,
    OwnedFile,
    PackageFormat,
)
from services.scanner.catalogers.systems.ownership import MAX_OWNED, owned_files
from services.scanner.catalogers.systems.stanzas import stanzas
from services.scanner.reading.complaints import Complaints, is_word, shown, to_text

_PLACES: Final = frozenset({"lib/apk/db/installed", "usr/lib/apk/db/installed"})
"""The second one since /lib became a link to /usr/lib."""
_FOLDERS: Final = frozenset({"lib/apk", "lib/apk/db", "usr/lib/apk", "usr/lib/apk/db"})
"""Not /lib itself: it is a link in many images that never had the database."""

_FIELD = re.compile(rb"^([PVAo]):(.*)$", re.MULTILINE)
_FOLDER: Final = b"\nF:"
_FILE = re.compile(rb"^R:(.*)$", re.MULTILINE)


class ApkCataloger(Cataloger):
    """Reads the installed database."""

    name = "apk"
    version = 4
    hints = Hints(names=("installed",))
    max_bytes = 256 << 20

    def wants(self, path: str) -> bool:
        """The old and the new place."""
        return path in _PLACES

    def holds(self, path: str) -> bool:
        """The folder of either place, and the one above."""
        return path in _FOLDERS

    def read(self, path: str, content: bytes) -> Evidence:
        """Every record with a name and a version; virtual packages (`.build-deps`) are packages too."""
        complaints = Complaints(path)
        found: dict[FoundPackage, None] = {}
        owned: list[OwnedFile] = []
        for number, record in stanzas(content, complaints):
            package = _package(record, number, complaints)
            if package is not None:
                found[package] = None
                owned.extend(islice(owned_files(package.name, _folders(record)), MAX_OWNED - len(owned)))
        return Evidence(
            path=path,
            cataloger=self.name,
            packages=tuple(found),
            warnings=complaints.warnings(),
            owned=tuple(owned),
        )


def _package(record: bytes, number: int, complaints: Complaints) -> FoundPackage | None:
    fields: dict[bytes, str] = {}
    for each in _FIELD.finditer(record):
        if each[1] not in fields:
            fields[each[1]] = to_text(each[2])
    name, version = fields.get(b"P", ""), fields.get(b"V", "")
    label = f"The record of {name}" if name else f"Record {number}"
    if not is_word(name):
        complaints.broken(label, "has no name (P:) that could be one")
        return None
    if not is_word(version):
        complaints.broken(label, f"has no version (V:) that could be one: {shown(version)!r}")
        return None
    arch, origin = fields.get(b"A", ""), fields.get(b"o", "")
    for what, value in (("architecture (A:)", arch), ("origin (o:)", origin)):
        if value and not is_word(value):
            complaints.broken(label, f"has no {what} that could be one: {shown(value)!r}")
    return FoundPackage(
        format=PackageFormat.APK,
        name=name,
        version=version,
        arch=arch if is_word(arch) else "",
        source=SourcePackage(name=origin, version=version) if is_word(origin) else None,
    )


def _folders(record: bytes) -> Iterator[tuple[str, Iterator[str]]]:
    """Yields each folder of a package (F:) with the files in it (R:), which follow."""
    start = record.find(_FOLDER)
    while start >= 0:
        end = record.find(_FOLDER, start + 1)
        folder, _, rest = record[start + len(_FOLDER) : end if end >= 0 else len(record)].partition(b"\n")
        yield to_text(folder), (to_text(each[1]) for each in _FILE.finditer(rest))
        start = end
