"""Where records come from: zips, directories, files of one record and files of one record a line. All bounded.

Any damage makes the whole source worthless: half a list of advisories would make images look clean.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from services.kernel.errors import Kind, ServiceError, invalid
from services.scanner.advisories.osv import Record, decode

MAX_RECORD_BYTES: Final = 16 << 20
MAX_RECORDS: Final = 5_000_000
MAX_RATIO: Final = 200
"""Inflated bytes for each byte of a zip; OSV's own are near 10."""
_MAGIC: Final = b"PK\x03\x04"
_SUFFIXES_OF_LINES: Final = (".ndjson", ".jsonl")
_SUFFIXES: Final = (".json", ".zip", *_SUFFIXES_OF_LINES)
"""What counts inside a directory."""


def read_source(path: Path, name: str) -> Iterator[Record]:
    """Yields the records of one source in its own order, one at a time; at least one.

    `name` is what errors call the source.

    Raises:
        ServiceError: ADVISORY_SOURCE_NOT_FOUND, ADVISORY_SOURCE_BROKEN or ADVISORY_SOURCE_TOO_LARGE.
    """
    count = 0
    for member, content in _contents(path, name):
        count += 1
        if count > MAX_RECORDS:
            raise _too_large(name, member, f"more than {MAX_RECORDS} records")
        yield _decode(content, name, member)
    if count == 0:
        raise broken(name, "", "it holds no OSV record")


def broken(name: str, member: str, what: str) -> ServiceError:
    """The error about a source that must not be used."""
    where = f"{name}, {member}" if member else name
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "ADVISORY_SOURCE_BROKEN",
        f"The advisory source {where} is broken: {what}.",
        hint="Nothing was imported; the advisories that were there still serve. Fetch the source again.",
    )


def _contents(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    try:
        if path.is_dir():
            yield from _directory(path, name)
            return
        yield from _file(path, name)
    except FileNotFoundError as error:
        raise invalid(
            "ADVISORY_SOURCE_NOT_FOUND",
            f"There is no advisory source {name}.",
            field="sources",
            hint="Give a zip, a directory, a .json or .ndjson file, or a URL.",
        ) from error
    except OSError as error:
        raise broken(name, "", f"it cannot be read ({error.strerror or 'input/output error'})") from error


def _file(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as file:
        magic = file.read(len(_MAGIC))
        file.seek(0)
        # Half a zip may have lost its end, but never its beginning; an empty one has another magic.
        if magic[:2] == _MAGIC[:2]:
            yield from _zip(file, name)
        elif path.suffix in _SUFFIXES_OF_LINES:
            yield from _lines(file, name)
        else:
            yield path.name, _bounded(file, name, path.name)


def _zip(file: IO[bytes], name: str) -> Iterator[tuple[str, bytes]]:
    member = ""
    size = file.seek(0, 2)
    inflated = 0
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                member = entry.filename
                if entry.is_dir() or not member.endswith(".json"):
                    continue
                with archive.open(entry) as stream:
                    content = _bounded(stream, name, member)
                inflated += len(content)
                if inflated > MAX_RECORD_BYTES + size * MAX_RATIO:
                    raise _too_large(name, member, f"it inflates to more than {MAX_RATIO} times its size")
                yield member, content
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        # RuntimeError: encrypted; NotImplementedError: a compression that no zip of OSV's uses.
        raise broken(name, member, "the zip is cut off, damaged or encrypted") from error


def _directory(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """Everything below a directory that can be a source of its own; other files are left alone."""
    for file in sorted(path.rglob("*")):
        if file.suffix in _SUFFIXES and file.is_file() and not file.is_symlink():
            place = str(file.relative_to(path))
            for member, content in _file(file, f"{name}, {place}"):
                yield place if member == file.name else f"{place}, {member}", content


def _lines(file: IO[bytes], name: str) -> Iterator[tuple[str, bytes]]:
    number = 0
    while line := file.readline(MAX_RECORD_BYTES + 1):
        number += 1
        if len(line) > MAX_RECORD_BYTES:
            raise _too_large(name, f"line {number}", f"a record is longer than {MAX_RECORD_BYTES} bytes")
        if line.strip():
            yield f"line {number}", line


def _bounded(stream: IO[bytes], name: str, member: str) -> bytes:
    content = stream.read(MAX_RECORD_BYTES + 1)
    if len(content) > MAX_RECORD_BYTES:
        raise _too_large(name, member, f"a record is longer than {MAX_RECORD_BYTES} bytes")
    return content


def _decode(content: bytes, name: str, member: str) -> Record:
    try:
        record = decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise broken(name, member, "it is no OSV record") from error
    if not record.id:
        raise broken(name, member, "the record has no id")
    return record


def _too_large(name: str, member: str, what: str) -> ServiceError:
    return ServiceError(
        Kind.RESOURCE_EXHAUSTED,
        "ADVISORY_SOURCE_TOO_LARGE",
        f"The advisory source {name} ({member}) is beyond the limits: {what}.",
        hint="Nothing was imported; the advisories that were there still serve.",
    )
