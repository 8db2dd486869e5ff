"""Java's archives: the packages that they are, that are shaded into them, and that lie in them as archives.

Sources: JAR File Specification; Jakarta Servlet, "Directory Structure" (`WEB-INF/lib`); Spring Boot, "The
Executable Jar Format" (`BOOT-INF/lib`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from services.scanner.catalogers.interface import Cataloger, Evidence, FoundPackage, Hints, PackageFormat
from services.scanner.catalogers.java.names import (
    Coordinates,
    is_of_java,
    manifest_of,
    of_manifest,
    of_pom,
    of_properties,
)
from services.scanner.reading.complaints import Complaints, shown, to_text
from services.scanner.reading.zips import Budget, Entry, Zip, ZipBroken

_ENDS: Final = frozenset(("jar", "war", "ear", "par", "sar", "nar", "jpi", "hpi", "kar", "lpkg", "aar", "rar"))
_MAYBE: Final = frozenset(("par", "sar", "nar", "kar", "rar", "lpkg"))
"""Other things have these names, too."""
_CONTAINERS: Final = frozenset(("war", "ear", "par", "sar", "kar", "lpkg", "rar"))
_MANIFEST: Final = b"META-INF/MANIFEST.MF"
_PROPERTIES, _POM = b"/pom.properties", b"/pom.xml"
_RECORDS: Final = b"META-INF/maven/"
_MAX_DEPTH: Final = 6
_MAX_RECORD: Final = 1 << 20
_MAX_NESTED: Final = 128 << 20
_MAX_NAME: Final = 1024


class JavaArchiveCataloger(Cataloger):
    """Reads archives and the archives in them, to a bounded depth and a bounded size of all together."""

    name = "java-archive"
    version = 2
    hints = Hints(ends=_ENDS)
    max_bytes = 256 << 20

    def wants(self, path: str) -> bool:
        """By what follows the last dot, in any case."""
        return _end(path) in _ENDS

    def read(self, path: str, content: bytes) -> Evidence:
        """Every package that Maven's files or, for want of these, manifest and file name tell of an archive.

        Where nothing says for certain which group it is of, that is a guess, or its name alone.
        """
        reading = _Reading(path)
        if content:
            reading.archive(path.rpartition("/")[2], "", memoryview(content), _MAX_DEPTH)
        return Evidence(
            path=path,
            cataloger=self.name,
            packages=tuple(reading.found),
            warnings=reading.complaints.warnings(),
        )


@dataclasses.dataclass(slots=True, kw_only=True)
class _Seen:
    """What one archive has."""

    records: dict[bytes, Coordinates] = dataclasses.field(default_factory=dict)
    """By the folder of Maven's files."""
    manifest: Mapping[str, str] | None = None
    poms: list[Entry] = dataclasses.field(default_factory=list)
    nested: list[Entry] = dataclasses.field(default_factory=list)
    classes: bool = False


class _Reading:
    def __init__(self, path: str) -> None:
        self.complaints = Complaints(path)
        self.found: dict[FoundPackage, None] = {}
        self._budget = Budget(entries=500_000, bytes_=512 << 20)

    def archive(self, file: str, inner: str, content: memoryview, depth: int) -> None:
        """Reads one archive: its file's name, and where it lies in the outermost one."""
        label = f"The archive {inner}" if inner else "The archive"
        seen = _Seen()
        try:
            archive = Zip(content)
        except ZipBroken as error:
            if _end(file) not in _MAYBE:
                self.complaints.broken(label, str(error))
            return
        try:
            for entry in archive.entries(self._budget):
                self._look(archive, entry, inner, seen)
        except ZipBroken as error:
            self.complaints.broken(label, str(error))
        for entry in seen.poms:
            folder = entry.name.removesuffix(_POM)
            record = None if folder in seen.records else of_pom(self._record(archive, entry, inner))
            if record is not None:
                seen.records[folder] = record
        self._tell(file, inner, seen)
        for entry in seen.nested:
            self._nested(archive, entry, inner, depth)

    def _look(self, archive: Zip, entry: Entry, inner: str, seen: _Seen) -> None:
        name = entry.name
        if name.endswith(b".class"):
            seen.classes = True
        elif name == _MANIFEST:
            seen.manifest = manifest_of(self._record(archive, entry, inner))
        elif name.endswith(_PROPERTIES):
            record = of_properties(self._record(archive, entry, inner))
            if record is not None:
                seen.records[name.removesuffix(_PROPERTIES)] = record
            elif _RECORDS in name:
                self.complaints.broken(
                    _place(inner, to_text(name)), "has no group and artifact that could be such"
                )
        elif name.endswith(_POM) and _RECORDS in name:
            seen.poms.append(entry)
        elif len(name) <= _MAX_NAME and _end(to_text(name)) in _ENDS:
            seen.nested.append(entry)

    def _record(self, archive: Zip, entry: Entry, inner: str) -> bytes:
        try:
            return bytes(archive.read(entry, _MAX_RECORD, self._budget))
        except ZipBroken as error:
            self.complaints.broken(_place(inner, to_text(entry.name)), str(error))
            return b""

    def _nested(self, archive: Zip, entry: Entry, inner: str, depth: int) -> None:
        place = _place(inner, to_text(entry.name))
        if depth <= 1:
            self.complaints.broken(place, f"is not read: it lies {_MAX_DEPTH} archives deep")
            return
        try:
            content = archive.read(entry, _MAX_NESTED, self._budget)
        except ZipBroken as error:
            self.complaints.broken(place, str(error))
            return
        if content:
            self.archive(to_text(entry.name).rpartition("/")[2], place, content, depth - 1)

    def _tell(self, file: str, inner: str, seen: _Seen) -> None:
        """Notes the packages of an archive: those of its Maven files, and its own where these do not have it."""
        manifest = seen.manifest or {}
        if "Weave-Classes" in manifest:
            return  # an agent's hooks for what they are named after
        own = of_manifest(file[:_MAX_NAME], manifest)
        records = list(seen.records.values())
        for record in records:
            completes = not record.version and own is not None and _is_own(record, own, records)
            self._add(record._replace(version=own.version) if completes and own else record, inner)
        if own is None or any(_is_own(record, own, records) for record in records):
            return
        # What only holds others, and what Java itself is made of, are no packages that advisories could speak of.
        # A library that has others shaded into it has its version in its name, an application seldom.
        library = own.version and own.version in file
        holds = (records and not library) or seen.nested or _end(file) in _CONTAINERS
        counts = seen.classes and not holds and not is_of_java(manifest)
        self._add(own, inner, guessed=counts and not (own.sure and own.group))

    def _add(self, own: Coordinates, inner: str, *, guessed: bool = False) -> None:
        name = f"{own.group}:{own.artifact}" if own.group else own.artifact
        package = FoundPackage(
            format=PackageFormat.MAVEN, name=name, version=own.version, inner=inner, guessed=guessed
        )
        self.found[package] = None


def _is_own(record: Coordinates, own: Coordinates, records: Sequence[Coordinates]) -> bool:
    """Tells whether Maven's files are of the archive itself.

    They have its name; or there are no others, and nothing says that it has another version: it was renamed.
    """
    return record.artifact == own.artifact or (len(records) == 1 and own.version in ("", record.version))


def _place(inner: str, name: str) -> str:
    name = shown(name, _MAX_NAME)
    return f"{inner}:{name}" if inner else name


def _end(path: str) -> str:
    return path[path.rfind("/") + 1 :].partition(".")[2].rpartition(".")[2].lower()
