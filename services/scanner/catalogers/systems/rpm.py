"""rpm's package database in its three forms, and the list that images without it keep instead (decision 0018)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from services.kernel.model.finding import SourcePackage
from services.rpmdb import berkeley, header, ndb, sqlite
from services.rpmdb.faults import Damaged
from services.scanner.catalogers.interface import (
    Cataloger,
    Evidence,
    FoundPackage,
    Hints,
    OwnedFile,
    PackageFormat,
)
from services.scanner.catalogers.systems.ownership import MAX_OWNED, owned_files
from services.scanner.reading.complaints import Complaints, is_word, shown, to_text

PREFERENCE: Final = ("rpmdb.sqlite", "Packages.db", "Packages", "container-manifest-2")
"""Names of the records; where several tell of one package, the first of them does."""

_FOLDERS: Final = ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm")
_DATABASES: Final = frozenset(f"{folder}/{name}" for folder in _FOLDERS for name in PREFERENCE[:3])
_JOURNALS: Final = {f"{folder}/rpmdb.sqlite-{end}" for folder in _FOLDERS for end in ("wal", "journal")}
_MANIFEST: Final = "var/lib/rpmmanifest/container-manifest-2"
_HOLDERS: Final = frozenset({*_FOLDERS, "usr/lib/sysimage", "var/lib/rpmmanifest"})

_WAL_HEADER: Final = 32
_MAX_PACKAGES: Final = 100_000
_MAX_DAMAGES: Final = 1_000
"""Beyond either, nothing more is read: no distribution has as many, and a hostile file is not walked for ever."""
_MAX_MODULE: Final = 512
_KEY: Final = "gpg-pubkey"
"""Under this name rpm keeps the keys that it trusts, beside the packages."""
_NONE: Final = "(none)"
_LINE = re.compile(rb"[^\r\n]+")
_SOURCE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+-[^-]+)\.(?:no)?src\.rpm")


class _Record(NamedTuple):
    """What any of the forms tells of a package."""

    name: str
    epoch: int
    version: str
    """With its release."""
    arch: str
    source: str
    """File name of the source package; empty where none is told."""
    module: str = ""
    vendor: str = ""
    owned: tuple[OwnedFile, ...] = ()


class RpmCataloger(Cataloger):
    """Reads `rpmdb.sqlite`, `Packages.db`, `Packages` and `container-manifest-2`, by what is in them."""

    name = "rpm"
    version = 2
    hints = Hints(names=(*PREFERENCE, "rpmdb.sqlite-wal", "rpmdb.sqlite-journal"))
    max_bytes = 256 << 20

    def wants(self, path: str) -> bool:
        """The database in the three places that distributions have chosen, and what SQLite writes beside it."""
        return path in _DATABASES or path in _JOURNALS or path == _MANIFEST

    def holds(self, path: str) -> bool:
        """The folders of these."""
        return path in _HOLDERS

    def read(self, path: str, content: bytes) -> Evidence:
        """Every package but the keys; headers that cannot be read cost no others."""
        complaints = Complaints(path)
        records: tuple[_Record, ...] = ()
        if path in _JOURNALS:
            _note_changes(content, complaints)
        else:
            told = _of_manifest(content, complaints) if path == _MANIFEST else _of_database(content, complaints)
            records = tuple(told)
        return Evidence(
            path=path,
            cataloger=self.name,
            packages=_packages(records, complaints),
            warnings=complaints.warnings(),
            owned=tuple(owned for record in records for owned in record.owned),
        )


def _note_changes(content: bytes, complaints: Complaints) -> None:
    """What is written ahead or to be rolled back is not in the database; rpm leaves none when it ends."""
    if len(content) > _WAL_HEADER and any(content[:_WAL_HEADER]):
        complaints.broken("The journal", "holds changes that are not in the database: packages may be missing")


def _of_database(content: bytes, complaints: Complaints) -> Iterator[_Record]:
    number = damages = size = owned = 0
    try:
        for number, blob in enumerate(_form(content)(content), start=1):
            try:
                size += 0 if isinstance(blob, Damaged) else len(blob)
                if size > len(content) or number > _MAX_PACKAGES or damages > _MAX_DAMAGES:
                    complaints.broken(
                        "The rest", "is not read: its records overlap, or are too many or too broken"
                    )
                    return
                if isinstance(blob, Damaged):
                    raise blob
                record = _of_header(header.read_header(blob))
                files = owned_files(record.name, _folders(blob)) if is_word(record.name) else ()
                record = record._replace(owned=tuple(islice(files, MAX_OWNED - owned)))
                owned += len(record.owned)
                yield record
            except Damaged as damage:
                damages += 1
                complaints.broken(f"Record {number}", str(damage))
    except Damaged as damage:
        complaints.broken("The database", str(damage))


def _form(content: bytes) -> Callable[[bytes], Iterator[bytes | memoryview | Damaged]]:
    if content.startswith(sqlite.MAGIC):
        return sqlite.blobs
    if content.startswith(ndb.MAGIC):
        return ndb.blobs
    if berkeley.is_hash(content):
        return berkeley.blobs
    raise Damaged("is empty" if not content else "has none of the forms that rpm writes")


def _of_header(tags: dict[int, bytes | int]) -> _Record:
    def text(tag: int) -> str:
        value = tags.get(tag, b"")
        return to_text(value) if isinstance(value, bytes) else ""

    epoch = tags.get(header.EPOCH, 0)
    return _Record(
        name=text(header.NAME),
        epoch=epoch if isinstance(epoch, int) else 0,
        version=f"{text(header.VERSION)}-{text(header.RELEASE)}",
        arch=text(header.ARCH),
        source=text(header.SOURCE_RPM),
        module=text(header.MODULARITY_LABEL),
        vendor=text(header.VENDOR),
    )


def _folders(blob: bytes | memoryview) -> Iterator[tuple[str, Iterator[str]]]:
    for folder, names in header.read_files(blob):
        yield to_text(folder).strip("/"), map(to_text, names)


def _of_manifest(content: bytes, complaints: Complaints) -> Iterator[_Record]:
    """Lines of ten columns: the name, version-release, two times, vendor, epoch, size, arch, epoch, source."""
    damages = 0
    for number, line in enumerate(_LINE.finditer(content), start=1):
        if number > _MAX_PACKAGES or damages > _MAX_DAMAGES:
            complaints.broken("The rest", "is not read: its records are too many or too broken")
            return
        columns = [to_text(column) for column in line[0].split(b"\t", 10)]
        if len(columns) < 10:
            damages += 1
            complaints.broken(f"Record {number}", "has not the ten columns of a package")
            continue
        name, version, _, _, vendor, _, _, arch, epoch, source = columns[:10]
        is_number = epoch.isascii() and epoch.isdecimal() and len(epoch) < 10
        if not is_number and epoch not in ("", _NONE):
            complaints.broken(f"The record of {name}", f"has no epoch that could be one: {shown(epoch)!r}")
        yield _Record(name, int(epoch) if is_number else 0, version, arch, source, vendor=vendor)


def _packages(records: Sequence[_Record], complaints: Complaints) -> tuple[FoundPackage, ...]:
    epochs = _source_epochs(records)
    found: dict[FoundPackage, None] = {}
    for number, record in enumerate(records, start=1):
        if record.name != _KEY:
            package = _package(record, number, epochs, complaints)
            if package is not None:
                found[package] = None
    return tuple(found)


def _source_epochs(records: Iterable[_Record]) -> dict[str, int]:
    """The epoch of each source, which its file name does not tell, by the packages that were built from it.

    The one that has the source's name has its epoch. Where that one is not installed, the highest of the others is
    taken: those that have another than their source mostly have none, as perl's modules beside perl 4:5.26.
    """
    named: dict[str, int] = {}
    highest: dict[str, int] = {}
    for record in records:
        match = _SOURCE.fullmatch(record.source)
        if match is not None:
            highest[record.source] = max(record.epoch, highest.get(record.source, 0))
            if match["name"] == record.name:
                named[record.source] = record.epoch
    return highest | named


def _package(record: _Record, number: int, epochs: dict[str, int], complaints: Complaints) -> FoundPackage | None:
    label = f"The record of {record.name}" if record.name else f"Record {number}"
    if not is_word(record.name):
        complaints.broken(label, "has no name that could be one")
        return None
    version = _with_epoch(record.epoch, record.version)
    if not is_word(version) or record.version.startswith("-") or record.version.endswith("-"):
        complaints.broken(label, f"has no version that could be one: {shown(version)!r}")
        return None
    arch = "" if record.arch == _NONE else record.arch
    if arch and not is_word(arch):
        complaints.broken(label, f"has no architecture that could be one: {shown(arch)!r}")
        arch = ""
    return FoundPackage(
        format=PackageFormat.RPM,
        name=record.name,
        version=version,
        arch=arch,
        source=_source(record.source, epochs, label, complaints),
        module=_module(record.module, label, complaints),
        vendor="" if record.vendor == _NONE else shown(record.vendor),
    )


def _source(file: str, epochs: dict[str, int], label: str, complaints: Complaints) -> SourcePackage | None:
    if file in ("", _NONE):
        return None
    match = _SOURCE.fullmatch(file)
    if match is None or not is_word(match["name"]) or not is_word(match["version"]):
        complaints.broken(label, f"names a source that cannot be one: {shown(file)!r}")
        return None
    return SourcePackage(name=match["name"], version=_with_epoch(epochs.get(file, 0), match["version"]))


def _module(text: str, label: str, complaints: Complaints) -> str:
    """Reads `nodejs:16:8050020211222124241:c5368500`: name and stream, what else tells of the build."""
    if text in ("", _NONE):
        return ""
    parts = text.split(":")
    if len(text) > _MAX_MODULE or len(parts) < 2 or not all(map(is_word, parts[:2])):
        complaints.broken(label, f"is of a module that cannot be one: {shown(text)!r}")
        return ""
    return ":".join(parts[:2])


def _with_epoch(epoch: int, version: str) -> str:
    return f"{epoch}:{version}" if epoch else version
