"""The packages that a repository offers: its index, read piece by piece, of which little is kept.

Format: wiki.debian.org/DebianRepository/Format, "Packages" indices.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Candidate, RepositoryRef
from services.fixer.repositories.depot import Depot, Expected
from services.fixer.systems.dpkg.control import (
    Stanza,
    decode,
    is_architecture,
    is_package_name,
    is_version,
    parse_stanza,
    source_of,
)
from services.fixer.systems.dpkg.relations import RELATIONS, parse_relations
from services.fixer.systems.dpkg.release import ListedFile, SignedRelease, suite_address
from services.kernel.blocking import in_thread

PRIORITY: Final = "Drydock-Priority"
"""Field of a candidate: how much apt prefers the suite that it is from."""
_ENDINGS: Final = (".xz", ".gz", ".bz2", "")
_CHUNK: Final = 1 << 20
_MAX_INDEX: Final = 1 << 30
_MAX_RECORD: Final = 4 << 20
_MAX_PACKAGE: Final = 4 << 30
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_DAMAGED: Final = (lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError, OSError)


async def fetch_index(
    repository: RepositoryRef,
    release: SignedRelease,
    architectures: Collection[str],
    wanted: Collection[str],
    depot: Depot,
) -> list[Candidate]:
    """Fetches the indexes of all components of a repository and returns its packages of the wanted names.

    Raises:
        FixFailure: INDEX_TAMPERED, REPOSITORY_INVALID, and what the depot says.
    """
    found: list[Candidate] = []
    asked = sorted(architectures)
    if release.separate_all and "all" not in asked:
        asked.append("all")
    for component in repository.components:
        for architecture in asked:
            part = _listed(release, f"{component}/binary-{architecture}/Packages")
            if part is None:
                continue
            name, listed = part
            folder = f"{suite_address(repository)}/{name.rpartition('/')[0]}"
            url = (
                f"{folder}/by-hash/SHA256/{listed.sha256}"
                if release.by_hash
                else f"{folder}/{name.rpartition('/')[2]}"
            )
            path = await depot.file(
                url, Expected(size=listed.size, checksum=f"sha256:{listed.sha256}"), tampered=False
            )
            found += await in_thread(
                _read, path, _Origin(name, url, repository.address, release.priority), frozenset(wanted)
            )
    return found


def _listed(release: SignedRelease, name: str) -> tuple[str, ListedFile] | None:
    for ending in _ENDINGS:
        if (listed := release.files.get(name + ending)) is not None and listed.size:
            return name + ending, listed
    return None


class _Origin(NamedTuple):
    """Where a part of an index is from."""

    name: str
    url: str
    address: str
    priority: int


def _read(path: Path, origin: _Origin, wanted: frozenset[str]) -> list[Candidate]:
    found = []
    try:
        with _opened(path, origin.name) as stream:
            for record in _records(stream, wanted):
                candidate = _candidate(parse_stanza(decode(record)), origin)
                if candidate is not None:
                    found.append(candidate)
    except ValueError as error:
        raise FixFailure(
            FixReason.REPOSITORY_INVALID, f"The index {origin.url} cannot be read: {error}."
        ) from error
    except _DAMAGED as error:
        raise FixFailure(
            FixReason.REPOSITORY_INVALID, f"The index {origin.url} cannot be decompressed: {str(error)[:120]}."
        ) from error
    return found


def _opened(path: Path, name: str) -> BinaryIO:
    if name.endswith(".xz"):
        return cast("BinaryIO", lzma.open(path))
    if name.endswith(".gz"):
        return cast("BinaryIO", gzip.open(path))
    if name.endswith(".bz2"):
        return cast("BinaryIO", bz2.open(path))
    return path.open("rb")


def _records(stream: BinaryIO, wanted: frozenset[str]) -> Iterator[bytes]:
    """Yields the records of the wanted packages; the others are passed by their first line."""
    names = frozenset(b"Package: " + each.encode() for each in wanted)
    rest, total = b"", 0
    while chunk := stream.read(_CHUNK):
        total += len(chunk)
        if total > _MAX_INDEX:
            raise ValueError(f"it has more than {_MAX_INDEX} bytes")
        *whole, rest = (rest + chunk).split(b"\n\n")
        if len(rest) > _MAX_RECORD:
            raise ValueError(f"a record of it has more than {_MAX_RECORD} bytes")
        for record in whole:
            yield from _if_wanted(record, names)
    yield from _if_wanted(rest, names)


def _if_wanted(record: bytes, names: frozenset[bytes]) -> Iterator[bytes]:
    record = record.strip(b"\n")
    if record.partition(b"\n")[0].rstrip() in names:
        yield record


def _candidate(stanza: Stanza, origin: _Origin) -> Candidate | None:
    """A record without SHA-256, or with a name or a place that cannot be, is none that could be used."""
    name, version, architecture = stanza.get("Package"), stanza.get("Version"), stanza.get("Architecture")
    file, size, sha256 = stanza.get("Filename"), stanza.get("Size"), stanza.get("SHA256")
    if not (is_package_name(name) and is_version(version) and is_architecture(architecture)):
        return None
    if not (size.isascii() and size.isdigit() and 0 < int(size) <= _MAX_PACKAGE and _SHA256.fullmatch(sha256)):
        return None
    parts = file.removeprefix("./").split("/")
    if not file or any(part in ("", ".", "..") for part in parts) or not file.isprintable():
        return None
    source, source_version = source_of(stanza)
    fields = {each: stanza.get(each) for each in (*RELATIONS, "Multi-Arch") if each in stanza}
    for each in RELATIONS:
        parse_relations(fields.get(each, ""))  # a ValueError says what is wrong
    fields[PRIORITY] = str(origin.priority)
    return Candidate(
        name=name,
        version=version,
        architecture=architecture,
        source=source,
        source_version=source_version,
        url=f"{origin.address}/{'/'.join(parts)}",
        size=int(size),
        sha256=sha256.lower(),
        fields=fields,
    )
