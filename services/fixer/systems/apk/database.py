"""apk's database of what is installed (apk-installed(5); `apk_db_fdb_read` and `_write` of apk-tools).

A record is lines of `LETTER:value`: first the package's own, as an index has them, then its folders (`F`, with `M`
for owner and mode where not root's 0755), in each its files (`R`, with `a` where not root's 0644, `Z` the hash).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Final

from services.fixer.failure import FixFailure, FixReason
from services.kernel.stanzas import stanzas

FOLDERS: Final = ("lib/apk/db", "usr/lib/apk/db")
"""The second one since /lib became a link to /usr/lib."""
MAX_RECORDS: Final = 100_000
_OF_FILES: Final = frozenset("FMRaZ")
_ONCE: Final = frozenset("CPVASITULomtckDpirqsf")
_ACL: Final = re.compile(r"(\d{1,10}):(\d{1,10}):([0-7]{1,5})(?::(.+))?")
_WORD: Final = re.compile(r"[^\s/\\\x00-\x20\x7f]{1,255}")


@dataclasses.dataclass(frozen=True, slots=True)
class Acl:
    """Owner and mode of a file or folder, and the hash of its extended attributes, as the database writes it."""

    uid: int = 0
    gid: int = 0
    mode: int = 0o644
    xattrs: str = ""

    def __str__(self) -> str:
        """As the database has it."""
        return f"{self.uid}:{self.gid}:{self.mode:o}" + (f":{self.xattrs}" if self.xattrs else "")


FILE_ACL: Final = Acl()
FOLDER_ACL: Final = Acl(mode=0o755)


@dataclasses.dataclass(frozen=True, slots=True)
class OwnedFile:
    """A file of a package that the database tells of."""

    acl: Acl = FILE_ACL
    digest: str = ""
    """`Q1` and the SHA-1 in base64, of the content or of a link's target; empty where it has none."""


@dataclasses.dataclass(slots=True)
class OwnedFolder:
    """A folder of a package with its files by name, both in the order of the archive."""

    acl: Acl = FOLDER_ACL
    files: dict[str, OwnedFile] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True)
class Record:
    """One installed package."""

    fields: dict[str, str]
    """Lines about the package by letter, in their order; what we do not know is kept with the rest."""
    folders: dict[str, OwnedFolder] = dataclasses.field(default_factory=dict)
    """By path, relative to the root; the root is the empty one."""

    @property
    def name(self) -> str:
        """Of the package."""
        return self.fields["P"]

    @property
    def version(self) -> str:
        """As written."""
        return self.fields["V"]

    @property
    def origin(self) -> str:
        """The package whose build made it; its own name where the database tells of none."""
        return self.fields.get("o") or self.name

    def paths(self) -> Iterator[tuple[str, OwnedFile]]:
        """Yields its files by path."""
        for folder, owned in self.folders.items():
            for name, file in owned.files.items():
                yield (f"{folder}/{name}" if folder else name), file


def read_database(content: bytes) -> tuple[Record, ...]:
    """Reads the database, in its order.

    Raises:
        FixFailure: DATABASE_CORRUPT: a record that is none, or two of one package.
    """
    records: dict[str, Record] = {}
    for number, stanza in enumerate(stanzas(content), start=1):
        if number > MAX_RECORDS:
            raise corrupt(f"tells of more than {MAX_RECORDS} packages")
        record = _record(stanza, number)
        if record.name in records:
            raise corrupt(f"has two records of {record.name}")
        records[record.name] = record
    return tuple(records.values())


def corrupt(what: str) -> FixFailure:
    """Returns the failure for a database of which something is said: the end of a sentence."""
    return FixFailure(FixReason.DATABASE_CORRUPT, f"The image's apk database {what}.")


def _record(stanza: bytes, number: int) -> Record:
    fields: dict[str, str] = {}
    record = Record(fields)
    label = f"record {number}"
    folder: OwnedFolder | None = None
    last = ""
    for raw in stanza.split(b"\n"):
        line = raw.decode("utf-8", "surrogateescape")
        letter, colon, value = line[:1], line[1:2], line[2:]
        if not letter:
            continue
        if colon != ":" or not letter.isalpha():
            raise corrupt(f"has a line in {label} that is none: {line[:60]!r}")
        if letter not in _OF_FILES:
            if letter in _ONCE and letter in fields:
                raise corrupt(f"says {letter}: twice in {label}")
            fields[letter] = value
            if letter == "P":
                label = f"the record of {value[:80]!r}"
        elif letter == "F":
            if not _is_folder(value):
                raise corrupt(f"has a folder in {label} that cannot be: {value[:80]!r}")
            folder, last = record.folders.setdefault(value, OwnedFolder()), ""
        else:
            last = _of_file(folder, last, letter, value, label)
    for letter in "PV":
        if not _WORD.fullmatch(fields.get(letter, "")):
            raise corrupt(f"has no {letter}: in {label} that could be one")
    return record


def _of_file(folder: OwnedFolder | None, last: str, letter: str, value: str, label: str) -> str:
    """Takes in a line about a file or its folder; returns the file that the next lines are about."""
    if folder is None or (letter in "aZ" and not last):
        raise corrupt(f"has {letter}: before what it is about in {label}")
    if letter == "R":
        if not value or "/" in value or value in (".", ".."):
            raise corrupt(f"has a file in {label} that cannot be: {value[:80]!r}")
        folder.files[value] = OwnedFile()
        return value
    if letter == "Z":
        folder.files[last] = dataclasses.replace(folder.files[last], digest=value)
        return last
    match = _ACL.fullmatch(value)
    if match is None:
        raise corrupt(f"has {letter}: in {label} that is none: {value[:80]!r}")
    acl = Acl(int(match[1]), int(match[2]), int(match[3], 8), match[4] or "")
    if letter == "M":
        folder.acl = acl
    else:
        folder.files[last] = dataclasses.replace(folder.files[last], acl=acl)
    return last


def _is_folder(path: str) -> bool:
    return not path or all(part not in ("", ".", "..") for part in path.split("/"))


def write_database(records: Iterable[Record]) -> bytes:
    """Returns the database as apk writes it: what it wrote itself comes out as it was."""
    return "".join(f"{chr(10).join(_lines(record))}\n\n" for record in records).encode("utf-8", "surrogateescape")


def _lines(record: Record) -> Iterator[str]:
    yield from (f"{letter}:{value}" for letter, value in record.fields.items())
    for path, folder in record.folders.items():
        yield f"F:{path}"
        if folder.acl != FOLDER_ACL:
            yield f"M:{folder.acl}"
        for name, file in folder.files.items():
            yield f"R:{name}"
            if file.acl != FILE_ACL:
                yield f"a:{file.acl}"
            if file.digest:
                yield f"Z:{file.digest}"
