"""Records: names and versions become packages, and what cannot be one becomes a complaint."""

from __future__ import annotations

import codecs
import re
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator
from typing import ClassVar, Final, NamedTuple

from services.scanner.catalogers.interface import Cataloger, Evidence, FoundPackage, Hints, PackageFormat
from services.scanner.reading.complaints import Complaints, is_scoped, is_word, shown
from services.scanner.reading.documents import Unreadable

MAX_LOCK_BYTES: Final = 16 << 20
"""Locks of very large projects have 6 MB; read, a file takes up to forty times its size."""
MAX_RECORDS: Final = 100_000
"""In one file; the largest projects have a tenth of it."""
_SCOPED: Final = frozenset({PackageFormat.NPM, PackageFormat.COMPOSER})
_INSTALLED = re.compile(
    r"(?:^|/)(?:node_modules|share/nodejs|site-packages|dist-packages|gems/[^/]+-\d[^/]*|vendor/[^/]+/[^/]+"
    r"|pkg/mod|share/gocode/src|\.?cargo/registry|\.?cargo/git/checkouts)/"
)
"""Folders of packages, installed or fetched to build with: a lock in there is what a package was published with,
for its developers."""
_MERGE = re.compile(rb"^(?:<{7}|>{7}) ", re.MULTILINE)


class Record(NamedTuple):
    """What a file says of one package."""

    name: str
    version: str


def packages_of(
    records: Iterable[Record | Unreadable],
    kind: PackageFormat,
    complaints: Complaints,
    *,
    unversioned: bool = False,
) -> tuple[FoundPackage, ...]:
    """Returns the packages, none twice, in the order of the file; an Unreadable on the way is complained of.

    One without a version is a package of which that is not known, where there may be `unversioned` ones.
    """
    found: dict[FoundPackage, None] = {}
    try:
        for record in records:
            if isinstance(record, Unreadable):
                complaints.broken("A record", record.why)
            elif len(found) == MAX_RECORDS:
                raise Unreadable(f"tells of more than {MAX_RECORDS} packages")
            elif is_record(record, kind, complaints, unversioned=unversioned):
                found[FoundPackage(format=kind, name=record.name, version=record.version)] = None
    except Unreadable as error:
        complaints.broken("The document", error.why)
    return tuple(found)


def is_record(record: Record, kind: PackageFormat, complaints: Complaints, *, unversioned: bool = False) -> bool:
    """Tells whether it can be a package; complains of it otherwise."""
    name, version = record
    if not (is_scoped(name) if kind in _SCOPED else is_word(name)):
        complaints.broken("A record", f"has no name that could be one: {shown(name)!r}")
        return False
    if not is_word(version) and (version or not unversioned):
        complaints.broken(f"The record of {name}", f"has no version that could be one: {shown(version)!r}")
        return False
    return True


class RecordCataloger(Cataloger):
    """Reads files that tell packages of one format by name and version."""

    kind: ClassVar[PackageFormat]
    pins: ClassVar[bool] = False
    """Whether they tell what was to be installed, not what is."""
    unversioned: ClassVar[bool] = False
    """Whether they may tell of a package without its version."""

    def read(self, path: str, content: bytes) -> Evidence:
        """The packages; what is none, or cannot be read, is complained of."""
        return self._evidence(path, content, Complaints(path))

    @abstractmethod
    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """Yields what a file tells.

        Raises:
            Unreadable: nothing more can be read.
        """

    def _evidence(self, path: str, content: bytes, complaints: Complaints) -> Evidence:
        records = self._begun(path, content)
        packages = packages_of(records, self.kind, complaints, unversioned=self.unversioned)
        return Evidence(
            path=path, cataloger=self.name, packages=packages, warnings=complaints.warnings(), pinned=self.pins
        )

    def _begun(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """Raises what `records` raises only when it is asked for the first one."""
        yield from self.records(path, content)


class LockCataloger(RecordCataloger):
    """Reads files of certain names that pin packages: what production needs, as far as they tell that apart."""

    names: ClassVar[Collection[str]]
    pins = True
    max_bytes = MAX_LOCK_BYTES

    def __init_subclass__(cls) -> None:
        """Looks its files up by their names."""
        cls.hints = Hints(names=cls.names)

    def wants(self, path: str) -> bool:
        """Files of its names that are a project's own."""
        return path[path.rfind("/") + 1 :] in self.names and not is_published(path)

    def read(self, path: str, content: bytes) -> Evidence:
        """What production needs, as far as the file tells that apart."""
        complaints = Complaints(path)
        content = _plain(content)
        if _MERGE.search(content):
            complaints.broken("The document", "has the marks of a merge that nobody finished")
        return self._evidence(path, content, complaints)


def _plain(content: bytes) -> bytes:
    """Returns UTF-8 without a byte order mark: shells of Windows write UTF-16, which pip for one reads."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace").encode("utf-8", "replace")
    return content.removeprefix(codecs.BOM_UTF8)


def is_published(path: str) -> bool:
    """Tells whether a path lies in a folder of installed packages."""
    return _INSTALLED.search(path) is not None
